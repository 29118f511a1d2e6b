//! Locks a run directory, so that only one process at a time trains in it.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use super::TrainError;

/// Name of the lock file. It is left behind; what counts is whether a live process holds the lock.
pub const NAME: &str = ".lock";

/// Locks a run directory until the last clone is dropped; the system releases it when the process dies.
#[derive(Clone, Debug)]
pub struct Lock(#[allow(dead_code, reason = "held, not read")] Arc<File>);

/// Locks the run directory at `path`, which must exist.
///
/// # Errors
/// If another process trains there, or the lock file cannot be created.
pub fn take(path: &Path) -> Result<Lock, TrainError> {
    let name = path.join(NAME);
    let in_use = || TrainError::InUse { run: path.into() };
    let open = File::options().create(true).truncate(false).write(true).open(&name);
    let file = open.map_err(|e| TrainError::io(&name, &e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use()),
        // Some network file systems do not support locks; that should not prevent training on them.
        Err(TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Unsupported => {}
        Err(TryLockError::Error(e)) => return Err(TrainError::io(&name, &e)),
    }
    // Another process may have moved the directory aside between opening and locking.
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let number = |m: std::io::Result<std::fs::Metadata>| m.map(|m| (m.dev(), m.ino())).ok();
        if number(file.metadata()) != number(std::fs::metadata(&name)) {
            return Err(in_use());
        }
    }
    Ok(Lock(Arc::new(file)))
}

/// Whether a live process trains in the run directory at `path`.
pub fn is_taken(path: &Path) -> bool {
    let file = File::open(path.join(NAME));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::ErrorKind;

    #[test]
    fn a_directory_is_taken_once_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let lock = take(directory.path()).unwrap();
        let clone = lock.clone();
        drop(lock);
        assert!(is_taken(directory.path()));
        let error = take(directory.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains(directory.path().to_str().unwrap()), "{error}");
        drop(clone);
        assert!(!is_taken(directory.path()));
        take(directory.path()).unwrap();
    }
}
