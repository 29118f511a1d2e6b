//! Operations on a run directory: train, resume, evaluate, predict, explain, attack, sample, replay.

mod anomaly;
pub mod audit;
pub mod compare;
mod decide;
mod diagnose;
pub mod directory;
mod epochs;
pub mod evaluate;
pub mod explain;
pub mod export;
mod finish;
pub mod job;
mod keep;
mod likeness;
pub mod list;
pub mod many;
mod opened;
mod opponent;
pub mod recovery;
pub mod replay;
mod restore;
pub mod robustness;
pub mod sample;
mod snapshot;
mod studied;
pub mod trainer;
pub mod tune;
