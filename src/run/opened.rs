//! A run opened for use.

use std::path::Path;

use super::directory::RunDirectory;
use crate::data::Fitted;
use crate::device::Device;
use crate::experiment::Experiment;
use crate::tasks::sure::Wanted;
use crate::tasks::{self, Member, Task, Trained};
use crate::train::TrainError;
use crate::train::checkpoint;

/// A run opened for use: its experiment, best weights and fitted preprocessing.
pub(super) struct Opened<'a> {
    pub path: &'a Path,
    pub experiment: Experiment,
    pub fitted: Fitted,
    pub weights: Vec<checkpoint::NamedTensor>,
    /// SHA-256 of the file of weights; of an ensemble, of those of all.
    pub digest: String,
    /// SHA-256 of the data that it was trained on.
    pub data_digest: String,
    /// Further models, if it is an ensemble.
    pub others: Vec<Member>,
    /// What predictions are to say of how sure they are.
    pub wanted: Wanted,
}

/// Opens a run for use.
pub(super) fn open(run: &Path) -> Result<Opened<'_>, TrainError> {
    let directory = RunDirectory::open(run)?;
    let experiment = directory.experiment()?;
    let (weights, meta) = checkpoint::load(&directory.best())?;
    let missing = || TrainError::unusable(&directory.best(), "it holds weights only");
    let meta = meta.ok_or_else(missing)?;
    let digest = meta.digest().to_string();
    let (fitted, data_digest) = (meta.fitted, meta.data_digest);
    let (others, wanted) = (vec![], Wanted::default());
    Ok(Opened { path: run, experiment, fitted, weights, digest, data_digest, others, wanted })
}

/// Opens a run or an ensemble for use.
pub(super) fn open_any(run: &Path) -> Result<Opened<'_>, TrainError> {
    open(run)
}

impl Opened<'_> {
    /// The task the model was trained for.
    pub fn task(&self) -> Box<dyn Task + '_> {
        tasks::of(self.experiment.settings(), &self.fitted)
    }

    /// The error that something asked of the run cannot be.
    pub fn refuse(&self, reason: &str) -> TrainError {
        TrainError::unusable(self.path, reason)
    }

    /// The trained model on a device.
    pub fn trained<'a>(&'a self, device: &'a dyn Device) -> Trained<'a> {
        let single =
            Trained::alone(self.experiment.settings(), &self.fitted, &self.weights, self.path, device);
        Trained { others: &self.others, wanted: &self.wanted, ..single }
    }
}
