//! Damages files and reads them: whatever they contain, reading ends soon, with a value or an error that
//! names the file; it neither panics nor allocates more than 1 GiB at once.
#![allow(unsafe_code, reason = "an allocator that refuses huge requests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use crate::mutate::mutate;

/// Refuses allocations above 1 GiB. The process then ends with the size in its message, and the culprit is
/// the last input written (see [`attack`]).
struct Bounded;

const LARGEST: usize = 1 << 30;

// SAFETY: every request is passed on to the system allocator unchanged, or refused with a null pointer, which
// `GlobalAlloc` allows.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > LARGEST {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's guarantees about `layout` are those the system allocator requires.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() > LARGEST {
            return std::ptr::null_mut();
        }
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > LARGEST {
            return std::ptr::null_mut();
        }
        // SAFETY: `pointer` came from the system allocator with `layout`, because all requests go there.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

/// Writes every input to `path` and reads it, each within 5 s. Returns how many were rejected.
pub fn attack(
    path: &Path,
    inputs: impl Iterator<Item = Vec<u8>>,
    read: impl Fn(&Path) -> Result<(), String> + Send + Clone + 'static,
) -> usize {
    let name = path.file_name().unwrap().to_str().unwrap().to_string();
    let mut refused = 0;
    for (number, bytes) in inputs.enumerate() {
        std::fs::write(path, &bytes).unwrap();
        let (sender, receiver) = mpsc::channel();
        let (read, place) = (read.clone(), path.to_path_buf());
        std::thread::spawn(move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(&place)));
            let _ = sender.send(result.map_err(|_| "panicked"));
        });
        // The input is kept for inspection if something goes wrong.
        let bad = |what: &str| {
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile-{name}"));
            std::fs::copy(path, &kept).unwrap();
            panic!("input {number} ({}): {what}", kept.display())
        };
        match receiver.recv_timeout(Duration::from_secs(5)) {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(message))) => {
                refused += 1;
                if !message.contains(&name) {
                    bad(&format!("the error does not name the file: {message}"));
                }
            }
            Ok(Err(panicked)) => bad(panicked),
            Err(_) => bad("took more than 5 s"),
        }
    }
    refused
}

pub const COUNT: u32 = 500;

pub fn mutated(valid: Vec<u8>) -> impl Iterator<Item = Vec<u8>> {
    (0..COUNT).map(move |seed| mutate(&valid, seed))
}
