//! Runtime support for native kernels: operands in shared memory and a thread pool.

mod affinity;
pub mod operands;
pub mod pages;
pub mod parts;
pub mod pool;
mod team;
