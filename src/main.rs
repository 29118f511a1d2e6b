//! The `gridlight` command: parses arguments, runs one command, turns errors into one message and an exit code.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    let started = std::time::Instant::now();
    // A bug must end in a message and a code of the contract, never in a bare panic.
    std::panic::set_hook(Box::new(|_| {}));
    match std::panic::catch_unwind(|| cli::run(started)) {
        Ok(code) => code,
        Err(cause) => {
            let text = cause.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("unknown");
            eprintln!(
                "error: internal error: {text}\nThis is a bug in gridlight; please report it with the command."
            );
            ExitCode::from(1)
        }
    }
}
