//! The `gridlight` command: parses arguments, runs one command, turns errors into one message and an exit code.

mod cli;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::process::ExitCode;
use std::sync::OnceLock;

/// Where the first panic was, and its backtrace if `RUST_BACKTRACE` asks for one.
static BUG: OnceLock<(String, Backtrace)> = OnceLock::new();

fn main() -> ExitCode {
    let started = std::time::Instant::now();
    // A bug must end in a message and a code of the contract, never in a bare panic.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "an unknown place".into(), ToString::to_string);
        let _ = BUG.set((place, Backtrace::capture()));
    }));
    match std::panic::catch_unwind(|| cli::run(started)) {
        Ok(code) => code,
        Err(cause) => {
            let text = cause.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("unknown");
            let (place, trace) = BUG.get().map_or_else(Default::default, |(place, trace)| {
                let trace = if trace.status() == BacktraceStatus::Captured {
                    format!("\n{trace}")
                } else {
                    String::new()
                };
                (format!(" at {place}"), trace)
            });
            eprintln!(
                "error: internal error: {text}{place}{trace}\nThis is a bug in gridlight; please report it with the command."
            );
            ExitCode::from(1)
        }
    }
}
