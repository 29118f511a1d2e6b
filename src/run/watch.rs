//! Runs as they are trained, by this process or another: what their directories hold up to now.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::list::{self, State};
use crate::base::number::{Number, Numbers};
use crate::train::history::{self, HistoryRow};
use crate::train::{TrainError, checkpoint, watched};

/// An epoch of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Epoch {
    /// Epoch, from 1.
    pub epoch: u64,
    /// Completed steps.
    pub step: u64,
    /// Learning rate of its last step.
    pub learning_rate: Number,
    /// Mean training loss.
    pub loss: Number,
    /// Mean training loss of the discriminator, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discriminator: Option<Number>,
    /// Validation loss and metrics.
    pub validation: Numbers,
}

/// Norms of the gradients of an epoch's last step, in the order of [`Followed::layers`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gradients {
    /// Completed steps.
    pub step: u64,
    /// Norms, where they are known.
    pub norms: Vec<Option<f64>>,
}

/// A run and what is known of its training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Followed {
    /// Name of its directory.
    pub run: String,
    /// Where it is.
    #[serde(skip)]
    pub path: PathBuf,
    /// How it stands.
    pub state: State,
    /// Epochs that the experiment asks for; 0 if it cannot be read.
    pub epochs_asked: usize,
    /// Validated epochs.
    pub epochs: Vec<Epoch>,
    /// The weights of the last recorded epoch.
    pub layers: Vec<watched::Layer>,
    /// The gradients of each recorded epoch.
    pub gradients: Vec<Gradients>,
    /// Epochs that kept samples of a generator.
    pub samples: Vec<u64>,
}

/// A run, or the runs in a directory, ordered by their names.
///
/// # Errors
/// If the directory cannot be read.
pub fn follow(directory: &Path) -> Result<Vec<Followed>, TrainError> {
    let mut runs: Vec<Followed> = list::list(directory)?.into_iter().map(followed).collect();
    runs.sort_by(|a, b| a.run.cmp(&b.run));
    Ok(runs)
}

fn followed(listed: list::Listed) -> Followed {
    let path = PathBuf::from(&listed.run);
    let name =
        path.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    // What cannot be read yet is there the next time.
    let epochs = history::read_all(&path.join("metrics.csv")).unwrap_or_default();
    let records = watched::read(&path);
    let norms = |record: &watched::Record| Gradients {
        step: record.step,
        norms: record.layers.iter().map(|layer| layer.gradient).collect(),
    };
    Followed {
        run: name.unwrap_or(listed.name),
        state: listed.state,
        epochs_asked: listed.epochs_asked,
        epochs: epochs.into_iter().map(epoch).collect(),
        gradients: records.iter().map(norms).collect(),
        layers: records.into_iter().last().map_or_else(Vec::new, |record| record.layers),
        samples: samples(&path),
        path,
    }
}

fn epoch(row: HistoryRow) -> Epoch {
    Epoch {
        epoch: row.epoch,
        step: row.step,
        learning_rate: Number(row.learning_rate),
        loss: Number(row.train_loss),
        discriminator: row.discriminator.map(Number),
        validation: row.validation,
    }
}

/// The epochs that kept samples, ascending.
fn samples(run: &Path) -> Vec<u64> {
    let files = std::fs::read_dir(run.join("samples")).into_iter().flatten().flatten();
    let epoch = |name: &str| name.strip_prefix("epoch-")?.strip_suffix(".png")?.parse().ok();
    let mut epochs: Vec<u64> = files.filter_map(|file| epoch(&file.file_name().to_string_lossy())).collect();
    epochs.sort_unstable();
    epochs
}

impl Followed {
    /// The file with the samples of an epoch, if it kept any.
    pub fn sample(&self, epoch: u64) -> Option<PathBuf> {
        self.samples.contains(&epoch).then(|| watched::samples(&self.path, epoch))
    }
}

/// Changes whenever a file that [`follow`] reads does.
///
/// # Errors
/// If the directory cannot be read.
pub fn version(directory: &Path) -> Result<String, TrainError> {
    let mut text = String::new();
    for run in list::list(directory)? {
        text += &format!("{}\n{}\n", run.run, run.state.name());
        for name in ["metrics.csv", watched::NAME, "samples"] {
            let found = std::fs::metadata(Path::new(&run.run).join(name));
            let written = found.as_ref().ok().and_then(|found| found.modified().ok());
            let when =
                written.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map_or(0, |at| at.as_nanos());
            text += &format!("{when} {}\n", found.map_or(0, |found| found.len()));
        }
    }
    Ok(checkpoint::hexadecimal(&Sha256::digest(text.as_bytes())))
}
