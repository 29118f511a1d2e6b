//! Standard output and standard error, either of which may be closed or full at any time.

use std::io::{self, Write};

use std::path::Path;

use gridlight::train::{ErrorKind, output};

use super::{Failure, exit_code};

/// Writes a message to standard error. If nobody can read it, the work goes on all the same.
pub fn tell(text: impl std::fmt::Display) {
    // In one piece, or a launcher of several processes would put what others say before the end of the line.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
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

/// Whether a path names standard output.
pub fn is_standard_output(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1"].iter().any(|name| path == Path::new(name))
}

/// Writes a result to where the user wants it, and says so.
///
/// # Errors
/// If it cannot be written.
pub fn save(what: &str, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if is_standard_output(path) {
        let mut out = io::stdout().lock();
        return out.write_all(bytes).and_then(|()| out.flush()).map_err(|e| lost(&e));
    }
    output::write(path, bytes)?;
    tell(format_args!("{what} written to {}", path.display()));
    Ok(())
}

/// What becomes of a result that standard output did not take.
pub fn lost(error: &io::Error) -> Failure {
    let reason = format!("standard output: {error}; the result could not be printed, run the command again");
    Failure { code: exit_code(ErrorKind::File), error: anyhow::Error::msg(reason) }
}
