//! What a training is given, and what comes of it.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use super::likeness::Judge;
use crate::base::number::Numbers;
use crate::data::Loaded;
use crate::device::Device;
use crate::experiment::Experiment;
use crate::mpi::Group;
use crate::nn::Model;
use crate::train::engine::Training;
use crate::train::events::Event;
use crate::train::history::HistoryRow;
use crate::train::metrics::Predictions;

/// What to train, and on what.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub experiment: &'a Experiment,
    pub data: &'a Loaded,
    pub device: &'a dyn Device,
    pub model: &'a dyn Model,
    pub training: &'a Training<'a>,
    pub options: &'a Options,
    /// What judges generated images, if anything does.
    pub judge: Option<&'a Judge<'a>>,
}

/// What the command line adds to an experiment.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Run directory.
    pub out: PathBuf,
    /// Stop after this many steps in total.
    pub max_steps: Option<u64>,
    /// Go on from the newest checkpoint; begin if there is none yet.
    pub resume: bool,
    /// Start from these weights.
    pub init: Option<PathBuf>,
    /// What their tensors are called here: `old=new`, with a `*` on both sides or on none.
    pub init_map: Vec<String>,
    /// Take those of them that fit, and leave the others as they are initialised.
    pub init_partial: bool,
    /// Report the loss every so many steps.
    pub log_every: Option<u64>,
    /// Only train and validate: no test predictions and no report.
    pub without_report: bool,
    /// Name the operator when training diverges.
    pub anomaly: bool,
    /// When the program started, for `first_step_seconds`.
    pub started: Option<Instant>,
    /// The processes that share every step; each has the same data and experiment.
    pub ranks: Option<Rc<Group>>,
}

/// How a training ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// History of all epochs.
    pub history: Vec<HistoryRow>,
    /// Best epoch.
    pub best_epoch: u64,
    /// Its validation loss and metrics.
    pub best: Numbers,
    /// Validation predictions of the best epoch.
    pub predictions: Predictions,
    /// The `end` event.
    pub end: Event,
}
