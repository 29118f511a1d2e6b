//! Runtime support for native kernels: operands in shared memory and a thread pool.

pub mod operands;
pub mod pool;
