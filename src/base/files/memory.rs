//! Files in memory: a browser has no others. There are no folders; a path is a name, and what precedes it in an
//! experiment (`../data/`) is no part of it.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

static FILES: Mutex<BTreeMap<String, Arc<[u8]>>> = Mutex::new(BTreeMap::new());

fn files() -> MutexGuard<'static, BTreeMap<String, Arc<[u8]>>> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn find(path: &Path) -> io::Result<Arc<[u8]>> {
    let missing = || {
        let known: Vec<String> = files().keys().cloned().collect();
        let known = if known.is_empty() { "none".to_string() } else { known.join(", ") };
        let reason = format!("the page was given no file `{}`; it has {known}", name(path));
        io::Error::new(io::ErrorKind::NotFound, reason)
    };
    let found = files().get(&name(path)).cloned();
    found.ok_or_else(missing)
}

/// Keeps a file under its name, in place of one of that name.
pub fn put(name: &str, bytes: Vec<u8>) {
    files().insert(name.to_string(), bytes.into());
}

/// Forgets all files.
pub fn clear() {
    files().clear();
}

/// An open file.
#[derive(Clone, Debug)]
pub struct File(Cursor<Arc<[u8]>>);

impl File {
    /// Opens a file.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self(Cursor::new(find(path.as_ref())?)))
    }
}

impl Read for File {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

/// The bytes of a file.
///
/// # Errors
/// If there is none of that name.
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    Ok(find(path.as_ref())?.to_vec())
}

/// Whether there is a file.
pub fn exists(path: &Path) -> bool {
    find(path).is_ok()
}

/// Whether there is a file.
pub fn is_file(path: &Path) -> bool {
    find(path).is_ok()
}

/// There are no folders.
pub fn is_dir(_path: &Path) -> bool {
    false
}

/// Bytes of a file.
///
/// # Errors
/// If there is none of that name.
pub fn size(path: &Path) -> io::Result<u64> {
    Ok(find(path)?.len() as u64)
}

/// Bytes of an open file.
pub fn size_of(file: &File) -> Option<u64> {
    Some(file.0.get_ref().len() as u64)
}
