//! Foundations shared by all other modules: tensors, random numbers, the step record, the device as plain
//! data.

pub mod bytes;
pub mod clock;
pub mod config;
pub mod edges;
pub mod files;
pub mod image;
pub mod input;
pub mod json;
pub mod names;
pub mod nodes;
pub mod number;
pub(crate) mod order;
pub mod packed;
pub(crate) mod parallel;
pub mod rng;
pub mod step;
pub mod target;
pub mod tensor;
pub mod text;
pub mod tree;
