//! Operations on a run directory: train, resume, evaluate, predict, sample, replay.

mod anomaly;
pub mod audit;
pub mod compare;
mod decide;
mod diagnose;
pub mod directory;
mod epochs;
pub mod evaluate;
pub mod export;
mod finish;
pub mod job;
mod keep;
mod likeness;
pub mod list;
mod opened;
mod opponent;
pub mod recovery;
pub mod replay;
mod restore;
pub mod sample;
mod snapshot;
pub mod trainer;
pub mod tune;
