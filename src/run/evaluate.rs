//! Evaluation and prediction from a run directory.

use std::path::Path;

use serde::Serialize;

use super::keep;
use super::likeness::Judge;
use super::opened::{Opened, open};
use crate::base::number::{Number, Numbers};
use crate::data::{self, Dataset, Kept, Loaded};
use crate::device::Device;
use crate::tasks::autoencoder::MOST_DRAWS;
use crate::tasks::series::{HorizonError, SeriesError};
use crate::tasks::{Details, Input, Table, TargetError};
use crate::train::TrainError;
use crate::train::metrics::ClassScore;
use crate::train::output;
use crate::train::quantiles::Interval;

/// What `evaluate --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Run directory.
    pub run: String,
    /// `train`, `validation`, `test`, or the data file.
    pub split: String,
    /// Number of rows.
    pub samples: usize,
    /// The column whose weights the rows have in loss and metrics; the confusion matrix counts rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// Mean loss.
    pub loss: Number,
    /// Metrics by name.
    pub metrics: Numbers,
    /// How well intervals between predicted quantiles hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub intervals: Vec<Interval>,
    /// Errors of each of several targets, of which `metrics` has the means.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_target: Vec<TargetError>,
    /// Errors by horizon, where several steps are predicted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_horizon: Vec<HorizonError>,
    /// Errors by series, where they have names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_series: Vec<SeriesError>,
    /// Confusion matrix, by true class (row) and predicted class (column), for classifiers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Vec<Vec<usize>>>,
    /// Precision, recall and F1 of each class, in the order of `confusion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_class: Option<Vec<ClassScore>>,
    /// Class names in the order of `confusion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// The positive one of two classes, which `f1`, `auc` and `average_precision` are about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positive: Option<String>,
    /// The probability above which it is predicted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
}

/// Loss and metrics of the best checkpoint on `file` or on a split (by default test, else validation).
/// `draws` is the number of latent codes per row for an autoencoder (default
/// [`crate::tasks::autoencoder::DRAWS`]).
///
/// # Errors
/// If the run or the data cannot be read, `draws` is given for a model without latent codes, or the device
/// fails.
pub fn evaluate(
    run: &Path,
    file: Option<&Path>,
    split: Option<&str>,
    draws: Option<u32>,
    device: &dyn Device,
) -> Result<Evaluation, TrainError> {
    evaluate_by(run, file, split, draws, None, device)
}

/// Like [`evaluate`]; `features` is the run of a classifier in whose features generated images are compared with
/// real ones (default `model.features`).
///
/// # Errors
/// As [`evaluate`], or if `features` cannot be read or is given for a model that generates no images.
pub fn evaluate_by(
    run: &Path,
    file: Option<&Path>,
    split: Option<&str>,
    draws: Option<u32>,
    features: Option<&Path>,
    device: &dyn Device,
) -> Result<Evaluation, TrainError> {
    let opened = open(run)?;
    let (rows, name) = match file {
        Some(path) => {
            let rows = data::load_with(&opened.fitted, path, opened.experiment.settings().reads_target())?;
            (rows, path.display().to_string())
        }
        None => part(&data::load(&opened.experiment.data, Path::new(""), opened.experiment.goal())?, split)?,
    };
    judge(&opened, rows, name, draws, features, device)
}

/// Like [`evaluate`], for a split of the run's data, which were read before.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_loaded(
    run: &Path,
    loaded: &Loaded,
    split: Option<&str>,
    device: &dyn Device,
) -> Result<Evaluation, TrainError> {
    let (rows, name) = part(loaded, split)?;
    judge(&open(run)?, rows, name, None, None, device)
}

fn judge(
    opened: &Opened,
    mut rows: Dataset,
    name: String,
    draws: Option<u32>,
    features: Option<&Path>,
    device: &dyn Device,
) -> Result<Evaluation, TrainError> {
    let (task, trained) = (opened.task(), opened.trained(device));
    let model = &opened.experiment.model;
    if features.is_some() && model.adversarial().is_none() {
        let problem = "is for models of `family = \"gan\"`, whose images it judges";
        return Err(trained.unsuited("features", problem));
    }
    let features = features.or(model.features.as_deref().map(Path::new));
    let image = opened.fitted.image.as_ref();
    let judge = features.map(|run| Judge::open(run, image)).transpose()?;
    match (draws, task.draws()) {
        (Some(_), None) => {
            let problem = "is for models of `family = \"vae\"`; this one draws no latent codes";
            return Err(trained.unsuited("draws", problem));
        }
        (Some(draws), _) if !(1..=MOST_DRAWS).contains(&draws) => {
            let problem = format!("{draws} is not in 1..={MOST_DRAWS}");
            return Err(TrainError::Setting { run: None, name: "draws", problem });
        }
        _ => {}
    }
    if rows.rows == 0 {
        let problem =
            "it has no row with a target and a weight, if the run has one; there is nothing to compare with";
        return Err(TrainError::unusable(Path::new(&name), problem));
    }
    task.admit(&mut rows);
    let predictions = trained.evaluate(&rows, draws.or(task.draws()).unwrap_or(1))?;
    let Details { baselines, intervals, by_target, by_horizon, by_series, confusion, per_class, scores } =
        task.details(&rows, &predictions);
    let metrics = task.metrics(&predictions).into_iter().chain(scores).map(|m| (m.name, m.value));
    let alike = match (&judge, image) {
        (Some(judge), Some(image)) => judge.compare(device, image, &rows, &predictions)?,
        _ => vec![],
    };
    let (confusion, classes) = confusion.unzip();
    Ok(Evaluation {
        run: opened.path.display().to_string(),
        split: name,
        samples: rows.rows,
        weight: opened.fitted.weight.clone(),
        loss: Number(predictions.loss(&opened.experiment.train.loss)),
        metrics: Numbers(metrics.chain(baselines).chain(alike).collect()),
        intervals,
        by_target,
        by_horizon,
        by_series,
        per_class: confusion.is_some().then_some(per_class),
        confusion,
        positive: classes.as_ref().filter(|names| names.len() == 2).map(|names| names[1].clone()),
        threshold: opened.fitted.threshold.or(classes.as_ref().filter(|names| names.len() == 2).map(|_| 0.5)),
        classes,
    })
}

/// The rows of a split (by default test, else validation), and its name.
pub(super) fn part(loaded: &Loaded, split: Option<&str>) -> Result<(Dataset, String), TrainError> {
    let name = split.unwrap_or(if loaded.test.rows > 0 { "test" } else { "validation" });
    let wrong = |problem: String| Err(TrainError::Setting { run: None, name: "split", problem });
    let rows = match name {
        "train" => &loaded.train,
        "validation" => &loaded.validation,
        "test" if loaded.test.rows > 0 => &loaded.test,
        "test" => return wrong("test: the experiment has no test rows; use validation".into()),
        other => return wrong(format!("{other}: there is no such split; use train, validation or test")),
    };
    Ok((rows.clone(), name.to_string()))
}

/// Predictions for the rows of `input` as CSV: values in the target's own units, or class and probabilities;
/// for a text, the cross-entropies of its sequences.
///
/// # Errors
/// If the run or the input cannot be read, there are rows to come for rows that are no windows of series, or the device
/// fails.
pub fn predictions(run: &Path, input: Input, device: &dyn Device) -> Result<Table, TrainError> {
    let opened = open(run)?;
    let trained = opened.trained(device);
    if input.future.is_some() && opened.fitted.window.is_none() {
        return Err(trained.unsuited("future", "is for series, which [data.window] cuts into windows"));
    }
    opened.task().predict(&trained, input)
}

/// As [`predictions`], after the columns of the input that `keep` names, separated by commas, or all of them.
///
/// # Errors
/// As [`predictions`], or if the rows are not those of a table, there is no such column, or predictions have
/// a column of the same name.
pub fn predictions_beside(
    run: &Path,
    input: Input,
    keep: Option<&str>,
    device: &dyn Device,
) -> Result<Table, TrainError> {
    let opened = open(run)?;
    let kept = Kept::read(&opened.fitted, input.file, keep)?;
    let predicted = predictions(run, input, device)?;
    keep::beside(&kept, input.file, predicted)
}

/// Writes [`predictions`] to the file `output` and returns their number.
///
/// # Errors
/// If the run or the input cannot be read, both are the same file, the output cannot be written, or the device
/// fails.
pub fn predict(run: &Path, input: &Path, output: &Path, device: &dyn Device) -> Result<usize, TrainError> {
    output::refuse_same(input, output)?;
    let table = predictions(run, Input { file: input, future: None }, device)?;
    output::write(output, &table.csv()?)?;
    Ok(table.rows)
}
