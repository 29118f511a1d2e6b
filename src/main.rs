//! The `gridlight` command: parses arguments, runs one command, turns errors into one message and an exit
//! code.

// Both panic where nobody listens; `cli::output` does not.
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod cli;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write;
use std::process::ExitCode;
use std::sync::OnceLock;

/// Location of the first panic, and its backtrace if `RUST_BACKTRACE` requests one.
static BUG: OnceLock<(String, Backtrace)> = OnceLock::new();

fn main() -> ExitCode {
    let started = std::time::Instant::now();
    // Even a bug must end in an error message and a documented exit code, never in a bare panic.
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
            let _ = writeln!(
                std::io::stderr(),
                "error: internal error: {text}{place}{trace}\n\
                 This is a bug in gridlight; please report it with the command line."
            );
            ExitCode::from(1)
        }
    }
}
