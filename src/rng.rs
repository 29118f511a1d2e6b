//! Counter-based random numbers with the same bits on the CPU and on every GPU.
