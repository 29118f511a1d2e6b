//! What native kernels run on: operands in shared memory, and a pool of threads.

pub mod operands;
pub mod pool;
