//! Standard output and standard error, either of which may be closed or full at any time.

use std::io::{self, Write};

use gridlight::train::ErrorKind;

use super::{Failure, exit_code};

/// Writes a message to standard error. If nobody can read it, the work goes on all the same.
pub fn tell(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints a result on standard output.
///
/// # Errors
/// If it cannot be written: the result is lost.
pub fn print(text: &str) -> Result<(), Failure> {
    write(text).map_err(|e| lost(&e))
}

/// Prints a value as one line of JSON.
///
/// # Errors
/// As for [`print`].
pub fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string(value).unwrap_or_default())
}

/// Writes a text and a newline to standard output.
pub fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush())
}

/// What becomes of a result that standard output did not take.
pub fn lost(error: &io::Error) -> Failure {
    let reason = format!("standard output: {error}; the result could not be printed, run the command again");
    Failure { code: exit_code(ErrorKind::File), error: anyhow::Error::msg(reason) }
}
