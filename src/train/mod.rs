//! Training: epochs, steps, evaluation, checkpoints and the run directory.

pub mod checkpoint;
mod error;
pub mod events;
pub mod metrics;

pub use error::TrainError;
