//! Where results are written that the user names: files, what links lead to, pipes and devices.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::TrainError;
use super::checkpoint;

/// Links that lead to links, at most, as in Linux.
const MOST_LINKS: usize = 40;

/// Writes a whole file, atomically where `path` is a regular one or none yet. A link remains, what it leads to
/// is replaced; pipes and devices are written to.
///
/// # Errors
/// If `path` is a directory, or a file that belongs to a run, or cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    match place(path)? {
        Some(target) => checkpoint::write_atomically(&target, bytes),
        None => {
            let open = File::options().append(true).open(path);
            let written = open.and_then(|mut file| file.write_all(bytes));
            written.map_err(|e| TrainError::Io { path: path.into(), reason: e.to_string() })
        }
    }
}

/// Refuses paths to which nothing could be written, before long work for it begins.
///
/// # Errors
/// As [`write`], as far as is known before.
pub fn check(path: &Path) -> Result<(), TrainError> {
    place(path).map(drop)
}

/// The file that is to be replaced; none if `path` is written to as it is, a pipe or a device.
fn place(path: &Path) -> Result<Option<PathBuf>, TrainError> {
    let found = std::fs::metadata(path);
    if found.as_ref().is_ok_and(std::fs::Metadata::is_dir) {
        return Err(TrainError::unusable(path, "is a directory; name a file in it"));
    }
    let (target, is_open) = target(path);
    refuse_of_run(path, &target)?;
    if found.is_ok_and(|found| !found.is_file()) || is_open {
        return Ok(None);
    }
    let directory = target.parent().filter(|directory| !directory.as_os_str().is_empty());
    if let Some(directory) = directory.filter(|directory| !directory.exists()) {
        let reason =
            format!("there is no folder {}; make it first, or name another file", directory.display());
        return Err(TrainError::Io { path: path.into(), reason });
    }
    Ok(Some(target))
}

/// What a run is made of, besides its checkpoints.
const OF_A_RUN: [&str; 7] = [
    "experiment.toml",
    "ensemble.json",
    "run.json",
    "metrics.csv",
    "best.safetensors",
    "calibration.safetensors",
    "report.html",
];

/// Refuses to replace a file that a run is made of: its weights would be gone.
fn refuse_of_run(path: &Path, target: &Path) -> Result<(), TrainError> {
    let Some(name) = target.file_name().map(|name| name.to_string_lossy()) else { return Ok(()) };
    let directory = target.parent().filter(|directory| !directory.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let is_run = |directory: &Path| {
        let has = |name: &str| directory.join(name).exists();
        has("ensemble.json")
            || has("experiment.toml") && (has("run.json") || has("best.safetensors") || has("checkpoints"))
    };
    let of_run = OF_A_RUN.contains(&&*name) && is_run(directory);
    let checkpoint = directory.file_name().is_some_and(|name| name == "checkpoints")
        && directory.parent().is_some_and(is_run);
    if (of_run || checkpoint) && target.exists() {
        let reason = "belongs to a run, which would be lost; name another file for the output";
        return Err(TrainError::unusable(path, reason));
    }
    Ok(())
}

/// What a path leads to, which need not exist, and whether a link to a file that a process holds open was on
/// the way (`/dev/stdout`): its name is no place to write to.
fn target(path: &Path) -> (PathBuf, bool) {
    let (mut path, mut is_open) = (path.to_path_buf(), false);
    for _ in 0..MOST_LINKS {
        let Ok(link) = std::fs::read_link(&path) else { break };
        let directory = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let place = directory.canonicalize();
        is_open |= place.is_ok_and(|place| place.starts_with("/proc") || place.starts_with("/dev/fd"));
        path = directory.join(link);
    }
    (path, is_open)
}

/// Refuses to write to the file that is read.
///
/// # Errors
/// If both paths lead to the same file.
pub fn refuse_same(input: &Path, output: &Path) -> Result<(), TrainError> {
    if is_same(input, output) {
        let reason = "is the input too, which would be lost; name another file for the output";
        return Err(TrainError::unusable(output, reason));
    }
    Ok(())
}

fn is_same(a: &Path, b: &Path) -> bool {
    let (Ok(first), Ok(second)) = (std::fs::metadata(a), std::fs::metadata(b)) else { return false };
    if !first.is_file() || !second.is_file() {
        return false;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (first.dev(), first.ino()) == (second.dev(), second.ino())
    }
    #[cfg(not(unix))]
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
