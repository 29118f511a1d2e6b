//! Evaluation and prediction from a run directory.

use std::path::Path;

use serde::Serialize;

use super::keep;
use super::likeness::Judge;
use super::opened::{Opened, open_any};
use super::sure;
use crate::base::number::{Number, Numbers};
use crate::data::{self, Dataset, Kept, Loaded};
use crate::device::Device;
use crate::tasks::autoencoder::MOST_DRAWS;
use crate::tasks::series::{HorizonError, SeriesError};
use crate::tasks::{Details, Input, Table, TargetError};
use crate::train::TrainError;
use crate::train::metrics::{ClassScore, Predictions};
use crate::train::output;
use crate::train::quantiles::Interval;
use crate::train::scores;
use crate::uncertainty::coverage::{Asked, Measured};

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
    /// How intervals or sets of the coverage that was asked for hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conformal: Option<Measured>,
    /// What logits are divided by, and what that changes, of classifiers that were trained with a temperature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Tempered>,
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

/// What a temperature does to probabilities.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tempered {
    /// What logits are divided by.
    pub temperature: f64,
    /// Expected calibration error without it; that with it is among the metrics.
    pub ece_before: Number,
    /// Log loss without it.
    pub log_loss_before: Number,
}

/// What is to be evaluated, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// Rows of this file instead of a split.
    pub file: Option<&'a Path>,
    /// Rows of this split; by default test, else validation.
    pub split: Option<&'a str>,
    /// Latent codes per row of an autoencoder (default [`crate::tasks::autoencoder::DRAWS`]).
    pub draws: Option<u32>,
    /// The run of a classifier in whose features generated images are compared with real ones (default
    /// `model.features`).
    pub features: Option<&'a Path>,
    /// Coverage of intervals or sets (default `uncertainty.coverage`).
    pub coverage: Option<f64>,
    /// Draws of units to drop; none if 0.
    pub dropout_samples: u32,
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
    evaluate_as(run, &Request { file, split, draws, ..Request::default() }, device)
}

/// Like [`evaluate`], as `request` says; of an ensemble too.
///
/// # Errors
/// As [`evaluate`], or if something that was asked for is not for this model.
pub fn evaluate_as(run: &Path, request: &Request, device: &dyn Device) -> Result<Evaluation, TrainError> {
    let mut opened = open_any(run)?;
    let (rows, name) = match request.file {
        Some(path) => {
            let rows = data::load_with(&opened.fitted, path, opened.experiment.settings().reads_target())?;
            (rows, path.display().to_string())
        }
        None => {
            let loaded = data::load(&opened.experiment.data, Path::new(""), opened.experiment.goal())?;
            opened.check_alike(&loaded)?;
            part(&loaded, request.split)?
        }
    };
    judge(&mut opened, rows, name, request, device)
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
    judge(&mut open_any(run)?, rows, name, &Request::default(), device)
}

pub(super) fn judge(
    opened: &mut Opened,
    mut rows: Dataset,
    name: String,
    request: &Request,
    device: &dyn Device,
) -> Result<Evaluation, TrainError> {
    let Request { draws, features, .. } = *request;
    want(opened, request.coverage, request.dropout_samples, device)?;
    let opened = &*opened;
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
    // Of two classes of rows, one is the positive one; those of pixels are on a par.
    let is_pair = opened.experiment.settings().predicts()
        && classes.as_ref().is_some_and(|names: &Vec<String>| names.len() == 2);
    let conformal = opened.wanted.coverage.as_ref().map(|(coverage, calibration)| {
        let asked = Asked { calibration, target: &opened.fitted.target, sets: opened.wanted.sets };
        asked.measure(&rows, &predictions, *coverage)
    });
    Ok(Evaluation {
        conformal,
        temperature: tempered(opened, &predictions),
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
        positive: classes.as_ref().filter(|_| is_pair).map(|names| names[1].clone()),
        threshold: opened.fitted.threshold.or(is_pair.then_some(0.5)),
        classes,
    })
}

/// What the temperature of a classifier changes for these predictions.
fn tempered(opened: &Opened, predictions: &Predictions) -> Option<Tempered> {
    let temperature = predictions.temperature?;
    let before = Predictions { temperature: None, ..predictions.clone() };
    let scores = scores::of_classes(&before, opened.fitted.target.classes().len(), None);
    let of = |name| Number(scores.iter().find(|m| m.name == name).map_or(f64::NAN, |m| m.value));
    Some(Tempered { temperature, ece_before: of("ece"), log_loss_before: of("log_loss") })
}

/// Has predictions say how sure they are, as was asked or as the experiment says.
fn want(
    opened: &mut Opened,
    coverage: Option<f64>,
    dropout_samples: u32,
    device: &dyn Device,
) -> Result<(), TrainError> {
    if dropout_samples == 0 {
        return sure::cover(opened, coverage, device);
    }
    if coverage.is_some() {
        let problem =
            "is calibrated for predictions without dropout; give --coverage or --dropout-samples, not both";
        return Err(TrainError::Setting { run: None, name: "coverage", problem: problem.into() });
    }
    if !opened.experiment.settings().predicts() {
        let problem = "is for models that predict a number or a class";
        return Err(opened.trained(device).unsuited("dropout-samples", problem));
    }
    opened.wanted.dropout_samples = dropout_samples;
    Ok(())
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

/// What predictions are wanted to say besides themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras<'a> {
    /// Columns of the input to write first, separated by commas; all of them if empty.
    pub keep: Option<Option<&'a str>>,
    /// Coverage of intervals or sets (default `uncertainty.coverage`).
    pub coverage: Option<f64>,
    /// Draws of units to drop; none if 0.
    pub dropout_samples: u32,
    /// Whether to say how unlike the training rows each row is.
    pub novelty: bool,
}

/// Predictions for the rows of `input` as CSV: values in the target's own units, or class and probabilities;
/// for a text, the cross-entropies of its sequences.
///
/// # Errors
/// If the run or the input cannot be read, there are rows to come for rows that are no windows of series, or the device
/// fails.
pub fn predictions(run: &Path, input: Input, device: &dyn Device) -> Result<Table, TrainError> {
    predictions_with(run, input, &Extras::default(), device)
}

/// As [`predictions`], with more columns.
///
/// # Errors
/// As [`predictions`], or if something that was asked for is not for this model; if columns are to be kept and the
/// rows are not those of a table, there is no such column, or predictions have a column of the same name.
pub fn predictions_with(
    run: &Path,
    input: Input,
    extras: &Extras,
    device: &dyn Device,
) -> Result<Table, TrainError> {
    let mut opened = open_any(run)?;
    let kept = extras.keep.map(|keep| Kept::read(&opened.fitted, input.file, keep)).transpose()?;
    if input.future.is_some() && opened.fitted.window.is_none() {
        let problem = "is for series, which [data.window] cuts into windows";
        return Err(opened.trained(device).unsuited("future", problem));
    }
    want(&mut opened, extras.coverage, extras.dropout_samples, device)?;
    if extras.novelty {
        sure::compare(&mut opened, device)?;
    }
    let predicted = opened.task().predict(&opened.trained(device), input)?;
    match kept {
        Some(kept) => keep::beside(&kept, input.file, predicted),
        None => Ok(predicted),
    }
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
