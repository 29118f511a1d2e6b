//! Training without an experiment: the engine that runs a model on a device, metrics, checkpoints, and the
//! files that a training leaves behind.

pub mod checkpoint;
pub mod config;
pub mod custom;
pub mod engine;
mod error;
pub mod events;
pub(crate) mod fit;
pub mod foreign;
pub mod groups;
pub mod history;
pub mod likeness;
pub(crate) mod lock;
pub mod metrics;
pub mod optimizer_state;
pub mod output;
pub mod precision;
pub mod quantiles;
pub mod scores;
pub mod tensorboard;
pub mod threshold;
pub mod watched;
#[cfg(test)]
mod weighted_tests;
pub mod weights;
pub(crate) mod writer;

pub use error::{ErrorKind, TrainError};
