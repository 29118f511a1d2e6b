//! One process at a time trains in a run directory.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use super::TrainError;

/// Name of the lock file. It stays behind; what counts is whether a living process has it locked.
pub const NAME: &str = ".lock";

/// Holds a run directory until the last clone is dropped; the system lets go of it when the process dies.
#[derive(Clone, Debug)]
pub struct Lock(#[allow(dead_code, reason = "held, not read")] Arc<File>);

/// Takes the run directory at `path`, which must exist.
///
/// # Errors
/// If another process trains there, or the lock file cannot be made.
pub fn take(path: &Path) -> Result<Lock, TrainError> {
    let name = path.join(NAME);
    let in_use = || TrainError::InUse { run: path.into() };
    let open = File::options().create(true).truncate(false).write(true).open(&name);
    let file = open.map_err(|e| TrainError::io(&name, &e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use()),
        // Some network file systems have no locks; that is no reason not to train on them.
        Err(TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Unsupported => {}
        Err(TryLockError::Error(e)) => return Err(TrainError::io(&name, &e)),
    }
    // The directory may have been moved aside by another process between the opening and the locking.
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
        let error = take(directory.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains(directory.path().to_str().unwrap()), "{error}");
        drop(clone);
        take(directory.path()).unwrap();
    }
}
