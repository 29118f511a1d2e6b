//! A run opened for use.

use std::path::{Path, PathBuf};

use super::directory::RunDirectory;
use crate::data::Fitted;
use crate::device::Device;
use crate::experiment::Experiment;
use crate::tasks::{self, Task, Trained};
use crate::train::TrainError;
use crate::train::checkpoint;

/// A run opened for use: its experiment, best weights and fitted preprocessing.
pub(super) struct Opened {
    pub path: PathBuf,
    pub experiment: Experiment,
    pub fitted: Fitted,
    pub weights: Vec<checkpoint::NamedTensor>,
    /// SHA-256 of the file of weights.
    pub digest: String,
}

/// Opens a run for use.
pub(super) fn open(run: &Path) -> Result<Opened, TrainError> {
    let directory = RunDirectory::open(run)?;
    let experiment = directory.experiment()?;
    let (weights, meta) = checkpoint::load(&directory.best())?;
    let missing = || TrainError::unusable(&directory.best(), "it holds weights only");
    let meta = meta.ok_or_else(missing)?;
    let digest = meta.digest().to_string();
    Ok(Opened { path: run.into(), experiment, fitted: meta.fitted, weights, digest })
}

impl Opened {
    /// The task the model was trained for.
    pub fn task(&self) -> Box<dyn Task + '_> {
        tasks::of(self.experiment.settings(), &self.fitted)
    }

    /// The error that something asked of the run cannot be.
    pub fn refuse(&self, reason: &str) -> TrainError {
        TrainError::unusable(&self.path, reason)
    }

    /// The trained model on a device.
    pub fn trained<'a>(&'a self, device: &'a dyn Device) -> Trained<'a> {
        let (settings, run) = (self.experiment.settings(), &*self.path);
        Trained { settings, fitted: &self.fitted, weights: &self.weights, run, device }
    }
}
