//! Whether the host's memory has room for rows. What is decided here never changes a bit of what is trained.

use crate::device::cpu::host;

/// Whether memory is too short for rows of so many `bytes` twice: encoded, and as a device of this machine has them.
pub fn is_short(bytes: u64) -> bool {
    host::available().is_some_and(|available| bytes > available / 2)
}

/// Whether memory is too short for so many `bytes` alone.
pub fn is_too_short(bytes: u64) -> bool {
    host::available().is_some_and(|available| bytes > available)
}
