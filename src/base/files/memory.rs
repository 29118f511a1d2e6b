//! Files in memory: a browser has no others. They lie where the page put them (`table.csv`, `photos/cat/1.png`); what
//! precedes that in a path of an experiment (`../data/`) is no part of it, as pages know no places of a machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Component, Path};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

static FILES: Mutex<BTreeMap<String, Arc<[u8]>>> = Mutex::new(BTreeMap::new());

fn files() -> MutexGuard<'static, BTreeMap<String, Arc<[u8]>>> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The ends of a path, longest first: of `../a/b`, these are `a/b` and `b`.
fn ends(path: &Path) -> Vec<String> {
    let name = |part: Component| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    };
    let names: Vec<String> = path.components().filter_map(name).collect();
    (0..names.len()).map(|from| names[from..].join("/")).collect()
}

/// The names of the files in a folder, and of its folders' files as `folder/file`; empty if there is no such folder.
fn within(path: &Path) -> Vec<String> {
    let files = files();
    let inside = |folder: String| {
        let folder = folder + "/";
        let names = files.range(folder.clone()..).map_while(|(name, _)| name.strip_prefix(&folder));
        names.map(String::from).collect::<Vec<_>>()
    };
    ends(path).into_iter().map(inside).find(|names| !names.is_empty()).unwrap_or_default()
}

/// Names that an error lists.
const LISTED: usize = 10;

fn find(path: &Path) -> io::Result<Arc<[u8]>> {
    let files = files();
    let found = ends(path).into_iter().find_map(|name| files.get(&name));
    found.cloned().ok_or_else(|| {
        let known: Vec<&str> = files.keys().take(LISTED).map(String::as_str).collect();
        let more = if files.len() > LISTED { ", ..." } else { "" };
        let known = if known.is_empty() { "none".to_string() } else { known.join(", ") + more };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let reason = format!("the page was given no file `{name}`; it has {known}");
        io::Error::new(io::ErrorKind::NotFound, reason)
    })
}

/// Keeps a file under its name, which may have folders (`photos/cat/1.png`), in place of one of that name.
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

/// Whether there is a file or a folder.
pub fn exists(path: &Path) -> bool {
    is_file(path) || is_dir(path)
}

/// Whether there is a file.
pub fn is_file(path: &Path) -> bool {
    find(path).is_ok()
}

/// Whether there is a folder: files that lie in it.
pub fn is_dir(path: &Path) -> bool {
    !within(path).is_empty()
}

/// The names in a folder.
///
/// # Errors
/// If there is none of that name.
pub fn names_in(path: &Path) -> io::Result<Vec<OsString>> {
    let first = |name: &String| name.split('/').next().unwrap_or_default().to_string();
    let mut names: Vec<String> = within(path).iter().map(first).collect();
    names.dedup();
    if names.is_empty() {
        let reason = format!("the page was given no folder `{}`", path.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, reason));
    }
    Ok(names.into_iter().map(OsString::from).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_those_that_files_lie_in() {
        for name in ["shots/cat/1.png", "shots/cat/2.png", "shots/cat-big.txt", "shots/dog/1.png"] {
            put(name, name.into());
        }
        let names = |path: &str| -> Vec<String> {
            let names = names_in(Path::new(path)).unwrap_or_default();
            names.into_iter().map(|name| name.into_string().unwrap()).collect()
        };
        assert_eq!(names("../data/shots"), ["cat-big.txt", "cat", "dog"]);
        assert_eq!(names("shots/cat"), ["1.png", "2.png"]);
        assert!(names("shots/ca").is_empty(), "the beginning of a name is no folder");
        assert_eq!(read("/elsewhere/shots/dog/1.png").unwrap(), b"shots/dog/1.png");
        assert!(is_dir(Path::new("shots")) && !is_file(Path::new("shots")));
        assert!(is_file(Path::new("shots/cat/1.png")) && !is_dir(Path::new("shots/cat/1.png")));
        let error = read("shots/cow/1.png").unwrap_err().to_string();
        assert!(error.contains("1.png") && error.contains("shots/cat/1.png"), "{error}");
    }
}
