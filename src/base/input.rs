//! What a path to read from leads to: a file, a pipe that delivers, or something that never ends or never
//! begins.

use std::fs::{File, FileType};
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

/// How long a pipe may have nobody who writes to it, in waits of [`PAUSE`].
const MOST_PAUSES: u32 = 200;
/// Between two attempts to read from a pipe.
const PAUSE: Duration = Duration::from_millis(10);

/// What is at a path that is neither a file nor a directory: how to call it.
fn special(kind: FileType) -> Option<&'static str> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return Some("a pipe");
        }
        if kind.is_socket() {
            return Some("a socket");
        }
        if kind.is_char_device() || kind.is_block_device() {
            return Some("a device");
        }
    }
    (!kind.is_file() && !kind.is_dir()).then_some("no file")
}

/// Whether a path leads to something else than a file or a directory.
pub fn is_special(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| special(found.file_type()).is_some())
}

/// Refuses what cannot be read more than once, as data must be.
///
/// # Errors
/// What it is, and how to go on.
pub fn refuse_special(path: &Path) -> Result<(), String> {
    // That there is nothing at all is reported by whoever reads it.
    let Ok(found) = std::fs::metadata(path) else { return Ok(()) };
    let refused =
        |what| format!("is {what}, not a file; the data are read more than once, save them as a file");
    special(found.file_type()).map_or(Ok(()), |what| Err(refused(what)))
}

/// Reads a file, or a pipe to its end, of at most `most` bytes.
///
/// # Errors
/// If it is a directory, a device or a socket, holds more, or a pipe has nobody who writes to it.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let found = std::fs::metadata(path).map_err(|e| e.to_string())?;
    let too_much = |size: u64| format!("the file has {size} bytes, at most {most} are supported");
    if found.is_dir() {
        return Err("is a directory, not a file".into());
    }
    match special(found.file_type()) {
        None if found.len() > most => Err(too_much(found.len())),
        None => bounded(File::open(path).map_err(|e| e.to_string())?, most),
        Some("a pipe") => read_pipe(path, most),
        Some(what) => Err(format!("is {what}, not a file")),
    }
}

/// Reads everything, of at most `most` bytes.
///
/// # Errors
/// If there is more, or it cannot be read.
pub fn bounded(reader: impl Read, most: u64) -> Result<Vec<u8>, String> {
    let mut bytes = vec![];
    reader.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > most { Err(format!("has more than {most} bytes")) } else { Ok(bytes) }
}

/// Opening a pipe waits for somebody who writes, forever if need be; unless it is opened like this.
fn read_pipe(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let mut file = options.open(path).map_err(|e| e.to_string())?;
    let (mut bytes, mut part, mut pauses) = (vec![], vec![0; 1 << 16], 0);
    loop {
        match file.read(&mut part) {
            Ok(0) if bytes.is_empty() && pauses < MOST_PAUSES => pauses += 1,
            Ok(0) if bytes.is_empty() => return Err("is a pipe that nobody writes to".into()),
            Ok(0) => return Ok(bytes),
            Ok(count) if bytes.len() as u64 + count as u64 > most => {
                return Err(format!("has more than {most} bytes"));
            }
            Ok(count) => {
                bytes.extend(&part[..count]);
                continue;
            }
            // Somebody is about to write.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e.to_string()),
        }
        std::thread::sleep(PAUSE);
    }
}
