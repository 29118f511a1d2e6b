//! Files of the system.

use std::ffi::OsString;
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

/// The names in a folder, in any order.
///
/// # Errors
/// If it cannot be read.
pub fn names_in(path: &Path) -> io::Result<Vec<OsString>> {
    std::fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect()
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
