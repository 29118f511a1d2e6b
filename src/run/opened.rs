//! A run opened for use.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::directory::RunDirectory;
use super::manifest::{Manifest, is_ensemble, member};
use crate::data::{Fitted, Loaded, graph};
use crate::device::Device;
use crate::experiment::Experiment;
use crate::nn::lora;
use crate::tasks::sure::Wanted;
use crate::tasks::{self, Member, Task, Trained};
use crate::train::TrainError;
use crate::train::checkpoint;

/// A run opened for use: its experiment, best weights and fitted preprocessing.
pub(super) struct Opened {
    pub path: PathBuf,
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
pub(super) fn open(run: &Path) -> Result<Opened, TrainError> {
    let directory = RunDirectory::open(run)?;
    let experiment = directory.experiment()?;
    let (weights, meta) = checkpoint::load(&directory.best())?;
    let missing = || TrainError::unusable(&directory.best(), "it holds weights only");
    let meta = meta.ok_or_else(missing)?;
    let digest = meta.digest().to_string();
    let (mut fitted, data_digest) = (meta.fitted, meta.data_digest);
    if let Some(graph) = &mut fitted.graph {
        let file = run.join(graph::FILE);
        graph::load_stored(graph, &file).map_err(|reason| TrainError::unusable(&file, reason))?;
    }
    let (others, wanted) = (vec![], Wanted::default());
    Ok(Opened { path: run.into(), experiment, fitted, weights, digest, data_digest, others, wanted })
}

/// Opens a run or an ensemble for use.
pub(super) fn open_any(run: &Path) -> Result<Opened, TrainError> {
    if !is_ensemble(run) {
        return open(run);
    }
    let manifest = Manifest::read(run)?;
    if !manifest.complete {
        let reason = format!(
            "not all of its {} members are trained; go on with the command that began it and --resume",
            manifest.members
        );
        return Err(TrainError::unusable(run, reason));
    }
    open_ensemble(run, &manifest)
}

/// Opens an ensemble whose members are trained.
pub(super) fn open_ensemble(run: &Path, manifest: &Manifest) -> Result<Opened, TrainError> {
    let mut digests = vec![];
    let mut members = vec![];
    let first_path = member(run, 0);
    let first = open(&first_path)?;
    digests.push(first.digest.clone());
    for number in 1..manifest.members {
        let path = member(run, number);
        let other = open(&path)?;
        if other.data_digest != first.data_digest {
            let reason = format!(
                "was not trained on the same data as {}; train the ensemble again",
                first_path.display()
            );
            return Err(TrainError::unusable(&path, reason));
        }
        digests.push(other.digest.clone());
        let (file, temperature) = (path.join("best.safetensors"), other.fitted.temperature);
        members.push(Member { file, weights: other.weights, temperature });
    }
    let digest = match &digests[..] {
        [only] => only.clone(),
        several => checkpoint::hexadecimal(&Sha256::digest(several.concat())),
    };
    let Opened { experiment, mut fitted, weights, data_digest, wanted, .. } = first;
    fitted.threshold = manifest.threshold;
    Ok(Opened { path: run.into(), experiment, fitted, weights, digest, data_digest, others: members, wanted })
}

impl Opened {
    /// Refuses the run's own data if they have changed so that their values would now mean something else: classes in
    /// another order, columns scaled or numbered otherwise.
    ///
    /// # Errors
    /// If they have.
    pub(super) fn check_alike(&self, loaded: &Loaded) -> Result<(), TrainError> {
        if loaded.digest == self.data_digest || loaded.fitted.encodes_as(&self.fitted) {
            return Ok(());
        }
        Err(self.refuse(
            "its data have changed since it was trained, so that classes or values would be numbered and scaled otherwise; \
             put the old ones back, give the new rows with --data, or train again",
        ))
    }

    /// The same model as plain layers, for whatever else reads it: with what adapters change in the weights, and its
    /// temperature in the output layer, for whatever reads its logits: they are those of the weights divided by it.
    pub fn folded(mut self) -> Self {
        if let Some(lora) = self.experiment.model.lora.take() {
            lora::merge(&mut self.weights, lora.scale());
        }
        let Some(temperature) = self.fitted.temperature.take() else { return self };
        let layer = |name: &str| match name.split_once('.') {
            Some((
                number,
                "weight" | "bias" | "lin.weight" | "lin_l.weight" | "lin_l.bias" | "lin_r.weight",
            )) => number.parse::<usize>().ok(),
            _ => None,
        };
        // Layers are numbered from the first, and the output, which is linear, is the last.
        let last = self.weights.iter().filter_map(|(name, ..)| layer(name)).max();
        for (name, _, data) in &mut self.weights {
            if last.is_some() && layer(name) == last {
                data.iter_mut().for_each(|x| *x = (f64::from(*x) / temperature) as f32);
            }
        }
        self
    }

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
        let single =
            Trained::alone(self.experiment.settings(), &self.fitted, &self.weights, &self.path, device);
        Trained { others: &self.others, wanted: &self.wanted, ..single }
    }
}
