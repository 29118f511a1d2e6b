//! A trained model in a format of others: ONNX, or its weights alone.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::directory::RunDirectory;
use super::opened::{Opened, open};
use super::trainer;
use crate::onnx::{self, Exported};
use crate::python;
use crate::train::TrainError;
use crate::train::checkpoint::{self, Meta};

/// Format of an exported model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The whole model, with what comes before and after the network.
    Onnx,
    /// The network's tensors, with the names and shapes of a PyTorch state dict.
    Safetensors,
}

impl Format {
    /// The format that a file's ending stands for.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_lowercase().as_str() {
            "onnx" => Some(Self::Onnx),
            "safetensors" => Some(Self::Safetensors),
            _ => None,
        }
    }
}

/// The best weights of `run` as an ONNX file; without what comes before and after the network if `raw`.
///
/// # Errors
/// If the run cannot be read, or something in it has no form in ONNX.
pub fn onnx(run: &Path, raw: bool) -> Result<Exported, TrainError> {
    let opened = open(run)?;
    onnx_of(opened, &RunDirectory::open(run)?.best(), raw)
}

/// A model whose weights are in `file` as an ONNX file.
pub(super) fn onnx_of(opened: Opened, file: &Path, raw: bool) -> Result<Exported, TrainError> {
    let opened = opened.folded();
    let run = &opened.path;
    let trained = onnx::Request {
        settings: opened.experiment.settings(),
        fitted: &opened.fitted,
        weights: &opened.weights,
        name: &opened.experiment.name,
        digest: &opened.digest,
        raw,
    };
    onnx::export(&trained).map_err(|error| match error {
        error @ TrainError::Tensor { .. } => TrainError::unusable(file, error),
        TrainError::Input(reason) => TrainError::unusable(run, reason),
        other => other,
    })
}

/// The training step of `run` as an ONNX file that goes on from its newest checkpoint.
///
/// # Errors
/// If the run or its checkpoint cannot be read, or something of the step has no form in ONNX.
pub fn training_step(run: &Path) -> Result<Exported, TrainError> {
    let directory = RunDirectory::open(run)?;
    let experiment = directory.experiment()?;
    let (step, file) = checkpoint::list(&run.join("checkpoints")).pop().ok_or_else(|| {
        TrainError::unusable(run, "there is no checkpoint to go on from; train the run again")
    })?;
    let (weights, meta) = checkpoint::load(&file)?;
    let fitted = meta.as_ref().map(|meta| &meta.fitted);
    let fitted = fitted.ok_or_else(|| TrainError::unusable(&file, "it holds weights only"))?;
    if trainer::image_changes(&experiment, fitted)?.is_some() {
        let reason = "the training step changes images at random, which its export does not do; train without \
                      data.augment";
        return Err(TrainError::unusable(run, reason));
    }
    let request = onnx::Request {
        settings: experiment.settings(),
        fitted,
        weights: &weights,
        name: &experiment.name,
        digest: meta.as_ref().map_or("", Meta::digest),
        raw: true,
    };
    let exported = onnx::step::export(&request, step);
    exported.map_err(|error| match error {
        error @ TrainError::Tensor { .. } => TrainError::unusable(&file, error),
        TrainError::Input(reason) => TrainError::unusable(run, reason),
        other => other,
    })
}

/// The best model of `run` as a Python program, and the weights that it reads from `file` beside it.
///
/// # Errors
/// If the run cannot be read, or something in it has no form there.
pub fn python(run: &Path, file: &str) -> Result<(String, Vec<u8>), TrainError> {
    let opened = open(run)?.folded();
    let request = python::Request {
        settings: opened.experiment.settings(),
        fitted: &opened.fitted,
        weights: &opened.weights,
        name: &opened.experiment.name,
        file,
    };
    let program = python::export(&request).map_err(|error| match error {
        TrainError::Input(reason) => TrainError::unusable(run, reason),
        other => other,
    })?;
    Ok((program, safetensors(run)?))
}

/// The best weights of `run` as a safetensors file.
///
/// # Errors
/// If the run cannot be read.
pub fn safetensors(run: &Path) -> Result<Vec<u8>, TrainError> {
    let opened = open(run)?.folded();
    let wrong = |e: safetensors::SafeTensorError| TrainError::unusable(run, e);
    let mut views = BTreeMap::new();
    for (name, shape, data) in &opened.weights {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(data)).map_err(wrong)?;
        views.insert(name.clone(), view);
    }
    // Loaders of PyTorch look for the format.
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    safetensors::serialize(views, Some(metadata)).map_err(wrong)
}
