//! Files that are read: those of the system, or, in a browser, those that the page gave.

#[cfg(not(target_family = "wasm"))]
mod disk;
// Its tests are run on every machine.
#[cfg(any(test, target_family = "wasm"))]
#[cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "read by its tests alone there"))]
mod memory;

#[cfg(not(target_family = "wasm"))]
pub use disk::*;
#[cfg(target_family = "wasm")]
pub use memory::*;
