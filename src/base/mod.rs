//! The vocabulary that everything else shares: tensors, random numbers, the step's record, the device as plain data.

pub mod config;
pub mod image;
pub mod names;
pub mod number;
pub mod rng;
pub mod step;
pub mod target;
pub mod tensor;
