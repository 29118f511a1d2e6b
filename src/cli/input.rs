//! Inputs that are read once: files, and what arrives on standard input or through a pipe, of which a copy is
//! kept while the command runs.

use std::io::Write;
use std::path::{Path, PathBuf};

use gridlight::base::input;
use gridlight::train::TrainError;

use super::Failure;

/// What is copied from a pipe at most.
const MOST_BYTES: u64 = 2 << 30;

/// An input as the user named it.
pub struct Input {
    path: PathBuf,
    /// How messages call it.
    shown: String,
    /// Removed when dropped.
    copy: Option<tempfile::NamedTempFile>,
}

impl Input {
    /// An input at `path`; `-` is standard input.
    ///
    /// # Errors
    /// If it is a device or a socket, nobody writes to the pipe, or it cannot be copied.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let is_stdin = ["-", "/dev/stdin", "/dev/fd/0"].iter().any(|name| path == Path::new(name));
        let shown = if is_stdin { "standard input".into() } else { path.display().to_string() };
        if !is_stdin && !input::is_special(path) {
            return Ok(Self { path: path.into(), shown, copy: None });
        }
        let read = if is_stdin {
            input::bounded(std::io::stdin().lock(), MOST_BYTES)
        } else {
            input::read(path, MOST_BYTES)
        };
        let bytes = read.map_err(|reason| Failure::input(format!("{shown}: {reason}")))?;
        let ending = if bytes.starts_with(b"PAR1") { ".parquet" } else { ".csv" };
        let create = tempfile::Builder::new().prefix("gridlight-input-").suffix(ending).tempfile();
        let written =
            create.and_then(|mut copy| copy.write_all(&bytes).and_then(|()| copy.flush()).map(|()| copy));
        let copy = written.map_err(|e| TrainError::Io {
            path: std::env::temp_dir(),
            reason: format!("no copy of {shown}: {e}"),
        })?;
        Ok(Self { path: copy.path().into(), shown, copy: Some(copy) })
    }

    /// The file to read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A text with the name that the user knows.
    pub fn named(&self, text: &str) -> String {
        match &self.copy {
            Some(_) => text.replace(&self.path.display().to_string(), &self.shown),
            None => text.into(),
        }
    }

    /// A failure whose message has the name that the user knows.
    pub fn blame(&self, failure: impl Into<Failure>) -> Failure {
        let failure = failure.into();
        let text = self.named(&format!("{:#}", failure.error));
        Failure { code: failure.code, error: anyhow::Error::msg(text) }
    }
}
