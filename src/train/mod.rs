//! Training: epochs, steps, evaluation, checkpoints and the run directory.

mod anomaly;
pub mod audit;
pub mod autoencoder;
pub mod checkpoint;
mod diagnose;
pub mod engine;
mod epochs;
mod error;
pub mod evaluate;
pub mod events;
mod finish;
mod fit;
pub mod forecast;
pub mod history;
mod lock;
pub mod metrics;
pub mod portrait;
pub mod recovery;
pub mod replay;
pub mod run;
pub mod sample;
mod snapshot;
pub mod tensorboard;
pub mod text;
pub mod trainer;
pub mod tune;
mod writer;

pub use error::TrainError;
