//! Files of the system.

use std::io;
use std::path::Path;

pub use std::fs::{File, read};

/// Whether there is a file or a folder.
pub fn exists(path: &Path) -> bool {
    path.exists()
}

/// Whether there is a file.
pub fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// Whether there is a folder.
pub fn is_dir(path: &Path) -> bool {
    path.is_dir()
}

/// Bytes of a file.
///
/// # Errors
/// If there is none.
pub fn size(path: &Path) -> io::Result<u64> {
    Ok(std::fs::metadata(path)?.len())
}

/// Bytes of an open file, if it is one whose bytes are counted.
pub fn size_of(file: &File) -> Option<u64> {
    file.metadata().ok().filter(std::fs::Metadata::is_file).map(|found| found.len())
}
