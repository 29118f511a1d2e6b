//! Files that are read: those of the system, or, in a browser, those that the page gave.

#[cfg(not(target_family = "wasm"))]
mod disk;
#[cfg(target_family = "wasm")]
mod memory;

#[cfg(not(target_family = "wasm"))]
pub use disk::*;
#[cfg(target_family = "wasm")]
pub use memory::*;
