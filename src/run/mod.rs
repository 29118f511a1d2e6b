//! What is done with a run directory: train into it, resume, evaluate, predict, sample, replay.

mod anomaly;
pub mod audit;
pub mod autoencoder;
mod diagnose;
pub mod directory;
mod epochs;
pub mod evaluate;
mod finish;
mod portrait;
pub mod recovery;
pub mod replay;
pub mod sample;
mod snapshot;
pub mod text;
pub mod trainer;
pub mod tune;
