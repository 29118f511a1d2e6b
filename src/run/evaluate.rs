//! Evaluation and prediction from a run directory.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::autoencoder;
use super::directory::RunDirectory;
use super::text;
use super::trainer::model_of;
use crate::base::number::{Number, Numbers};
use crate::data::{self, Dataset, Fitted, FittedTarget, Task};
use crate::device::Device;
use crate::experiment::Experiment;
use crate::train::TrainError;
use crate::train::checkpoint;
use crate::train::engine::Engine;
use crate::train::forecast::{self, HorizonError};
use crate::train::metrics::{ClassScore, Predictions, argmax, class_scores};

/// What `evaluate --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Run directory.
    pub run: String,
    /// `train`, `validation`, `test`, or the data file.
    pub split: String,
    /// Rows.
    pub samples: usize,
    /// Mean loss.
    pub loss: Number,
    /// Metrics by name.
    pub metrics: Numbers,
    /// Errors by distance, where several are predicted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_horizon: Vec<HorizonError>,
    /// Rows by true class (row) and predicted class (column), for classifiers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Vec<Vec<usize>>>,
    /// Precision, recall and F1 of each class, in the order of `confusion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_class: Option<Vec<ClassScore>>,
    /// Class names in the order of `confusion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
}

/// A run opened for use: its experiment, its best weights, and what was fitted.
pub(super) struct Opened {
    pub experiment: Experiment,
    pub fitted: Fitted,
    pub weights: Vec<checkpoint::NamedTensor>,
    /// Where the weights come from.
    best: PathBuf,
}

/// Opens a run for use.
pub(super) fn open(run: &Path) -> Result<Opened, TrainError> {
    let directory = RunDirectory::open(run)?;
    let experiment = directory.experiment()?;
    let (weights, meta) = checkpoint::load(&directory.best())?;
    let missing = || TrainError::Input(format!("{}: it holds weights only", directory.best().display()));
    let best = directory.best();
    Ok(Opened { experiment, fitted: meta.ok_or_else(missing)?.fitted, weights, best })
}

impl Opened {
    /// Sets the weights of an engine.
    pub fn restore(&self, engine: &mut Engine) -> Result<(), TrainError> {
        let restored = engine.restore(&self.weights, false);
        restored.map_err(|e| TrainError::Input(format!("{}: {e}", self.best.display())))
    }

    /// Predictions for `rows`; those of an autoencoder are means over `draws` latent codes.
    pub fn predict(
        &self,
        device: &dyn Device,
        rows: &Dataset,
        draws: u32,
    ) -> Result<Predictions, TrainError> {
        let model = model_of(&self.experiment, &self.fitted, rows);
        let mut engine = Engine::new(device, &model, None, rows)?;
        self.restore(&mut engine)?;
        match model.vae {
            Some(_) => autoencoder::evaluate(&mut engine, draws),
            None => engine.evaluate(),
        }
    }
}

/// Loss and metrics of the best checkpoint: of `file`, or of a split (by default test, else validation). `draws` are the
/// latent codes of each row (by default [`autoencoder::DRAWS`]), if the model is an autoencoder.
///
/// # Errors
/// If the run or the data cannot be read, the model draws no codes but `draws` are given, or the device fails.
pub fn evaluate(
    run: &Path,
    file: Option<&Path>,
    split: Option<&str>,
    draws: Option<u32>,
    device: &dyn Device,
) -> Result<Evaluation, TrainError> {
    let opened = open(run)?;
    match draws {
        Some(_) if opened.experiment.model.variational().is_none() => {
            let reason = "--draws is for models of `family = \"vae\"`; this one draws no latent codes";
            return Err(TrainError::Input(format!("{}: {reason}", run.display())));
        }
        Some(draws) if !(1..=autoencoder::MOST_DRAWS).contains(&draws) => {
            let most = autoencoder::MOST_DRAWS;
            return Err(TrainError::Input(format!("--draws {draws} is not in 1..={most}")));
        }
        _ => {}
    }
    let (mut rows, name) = match file {
        Some(path) => {
            let rows = data::load_with(&opened.fitted, path, opened.experiment.reads_target())?;
            (rows, path.display().to_string())
        }
        None => {
            let loaded = data::load(
                &opened.experiment.data,
                Path::new(""),
                opened.experiment.task(),
                opened.experiment.seed_words(),
            )?;
            let name = split.unwrap_or(if loaded.test.rows > 0 { "test" } else { "validation" });
            let rows = match name {
                "train" => loaded.train,
                "validation" => loaded.validation,
                "test" if loaded.test.rows > 0 => loaded.test,
                "test" => {
                    return Err(TrainError::Input(
                        "the experiment has no test rows; use --split validation".into(),
                    ));
                }
                other => {
                    let reason = format!("there is no split `{other}`; use train, validation or test");
                    return Err(TrainError::Input(reason));
                }
            };
            (rows, name.to_string())
        }
    };
    autoencoder::clamp(&opened.experiment, &mut rows);
    let predictions = opened.predict(device, &rows, draws.unwrap_or(autoencoder::DRAWS))?;
    let target = &opened.fitted.target;
    let classes = match target {
        _ if opened.experiment.task() == Task::Features => None,
        FittedTarget::Absent
        | FittedTarget::Number { .. }
        | FittedTarget::Numbers { .. }
        | FittedTarget::Text(_) => None,
        FittedTarget::Binary { names, .. } => Some(names.to_vec()),
        FittedTarget::Classes { names, .. } => Some(names.clone()),
    };
    let confusion = classes.as_ref().map(|c| predictions.confusion(c.len()));
    let mut metrics: Vec<(&'static str, f64)> =
        predictions.metrics(target).iter().map(|m| (m.name, m.value)).collect();
    metrics.extend(forecast::baselines(&rows));
    Ok(Evaluation {
        run: run.display().to_string(),
        split: name,
        samples: rows.rows,
        loss: Number(predictions.loss(&opened.experiment.train.loss)),
        metrics: Numbers(metrics),
        by_horizon: forecast::by_horizon(&predictions, target, &rows),
        per_class: confusion.as_deref().map(class_scores),
        confusion,
        classes,
    })
}

/// Writes predictions for the rows of `input` to the CSV file `output`: in the target's own units, or class
/// and probabilities; of a text, how well its sequences are known. Gives the number of rows.
///
/// # Errors
/// If the run or the input cannot be read, the output cannot be written, or the device fails.
pub fn predict(run: &Path, input: &Path, output: &Path, device: &dyn Device) -> Result<usize, TrainError> {
    let opened = open(run)?;
    if opened.experiment.task() == Task::Features {
        return autoencoder::scores(&opened, input, output, device);
    }
    if let FittedTarget::Text(_) = opened.fitted.target {
        return text::scores(&opened, input, output, device);
    }
    let rows = data::load_with(&opened.fitted, input, false)?;
    let predictions = opened.predict(device, &rows, 1)?;
    // Pictures of a folder are told by their files.
    let files = if input.is_dir() { data::image::folder::names(input)? } else { vec![] };
    let fail = |e: csv::Error| TrainError::Io { path: output.into(), reason: e.to_string() };
    let mut writer = csv::Writer::from_writer(vec![]);
    let target = &opened.fitted.target;
    let window = opened.fitted.window.as_ref();
    let titles = match window {
        Some(window) => forecast::place_titles(window),
        None => files.first().map(|_| "image".to_string()).into_iter().collect(),
    };
    let place = |at: usize| match window {
        Some(window) => forecast::place(window, &rows, at),
        None => files.get(at).cloned().into_iter().collect(),
    };
    let names: &[String] = match target {
        FittedTarget::Absent
        | FittedTarget::Number { .. }
        | FittedTarget::Numbers { .. }
        | FittedTarget::Text(_) => &[],
        FittedTarget::Binary { names, .. } => names,
        FittedTarget::Classes { names, .. } => names,
    };
    if names.is_empty() {
        writer.write_record(titles.iter().chain(&forecast::output_titles(target))).map_err(fail)?;
        for (at, values) in predictions.values(target).chunks(predictions.outputs.max(1)).enumerate() {
            let values = values.iter().map(f64::to_string);
            writer.write_record(place(at).into_iter().chain(values)).map_err(fail)?;
        }
    } else {
        let probabilities = names.iter().map(|n| format!("probability {n}"));
        let title = std::iter::once(target.name().unwrap_or_default().to_string());
        writer.write_record(titles.into_iter().chain(title).chain(probabilities)).map_err(fail)?;
        for (at, p) in predictions.probabilities().iter().enumerate() {
            let class = std::iter::once(names[argmax(p)].clone());
            let cells = place(at).into_iter().chain(class).chain(p.iter().map(f64::to_string));
            writer.write_record(cells).map_err(fail)?;
        }
    }
    let bytes =
        writer.into_inner().map_err(|e| TrainError::Io { path: output.into(), reason: e.to_string() })?;
    checkpoint::write_atomically(output, &bytes)?;
    Ok(rows.rows)
}
