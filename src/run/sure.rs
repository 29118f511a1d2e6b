//! What intervals and sets of a run are calibrated with, and what else predictions say of how sure they are.

use std::path::Path;

use super::opened::Opened;
use crate::data::{self, FittedTarget, Loaded};
use crate::device::Device;
use crate::experiment::Experiment;
use crate::train::TrainError;
use crate::train::metrics::Predictions;
use crate::uncertainty::calibration::Calibration;
use crate::uncertainty::novelty::{self, Novelty};

/// The file of the calibration in a run's directory.
pub(super) const FILE: &str = "calibration.safetensors";

/// The calibration from predictions of validation rows; `None` if the model predicts no number or class.
pub(super) fn of_predictions(
    experiment: &Experiment,
    validation: &Predictions,
    target: &FittedTarget,
    digest: &str,
) -> Option<Calibration> {
    if !experiment.settings().predicts() {
        return None;
    }
    Calibration::new(validation, target, digest)
}

/// The calibration of a run: as training kept it, or else from the validation rows of the run's data.
///
/// # Errors
/// If the model predicts no number or class, the data are needed and cannot be read or have changed, or the device
/// fails.
pub(super) fn calibration(opened: &Opened, device: &dyn Device) -> Result<Calibration, TrainError> {
    if let Some(found) = Calibration::load(&opened.path.join(FILE), &opened.digest)? {
        return Ok(found);
    }
    if !opened.experiment.settings().predicts() {
        return Err(opened.refuse(
            "its model predicts neither a number nor a class, so there are no intervals or sets; leave the coverage out",
        ));
    }
    let mut validation = own_data(opened, "has no calibration scores")?.validation;
    opened.task().admit(&mut validation);
    let predictions = opened.trained(device).evaluate(&validation, 1)?;
    of_predictions(&opened.experiment, &predictions, &opened.fitted.target, &opened.digest)
        .ok_or_else(|| opened.refuse("its model predicts neither a number nor a class"))
}

/// The run's own data, which are needed because it lacks something.
pub(super) fn own_data(opened: &Opened, lacks: &str) -> Result<Loaded, TrainError> {
    let loaded =
        data::load(&opened.experiment.data, Path::new(""), opened.experiment.goal()).map_err(|error| {
            opened.refuse(&format!(
                "{lacks}, and its data cannot be read ({error}); put them back where they were, or train again"
            ))
        })?;
    if loaded.digest != opened.data_digest {
        return Err(opened.refuse(&format!(
            "{lacks}, and its data have changed since it was trained; put the old ones back, or train again"
        )));
    }
    Ok(loaded)
}

/// Uses a coverage for predictions: what was asked for, or what the experiment says.
///
/// # Errors
/// If there are too few validation rows for it, or as [`calibration`].
pub(super) fn cover(
    opened: &mut Opened,
    coverage: Option<f64>,
    device: &dyn Device,
) -> Result<(), TrainError> {
    opened.wanted.sets = opened.experiment.uncertainty.sets;
    let Some(coverage) = coverage.or(opened.experiment.uncertainty.coverage) else { return Ok(()) };
    let calibration = calibration(opened, device)?;
    if let Some(problem) = calibration.problem(coverage) {
        return Err(opened.trained(device).unsuited("coverage", &problem));
    }
    opened.wanted.coverage = Some((coverage, calibration));
    Ok(())
}

/// Compares rows to predict with the run's training rows.
///
/// # Errors
/// If the model has no last hidden features, its data cannot be read, or the device fails.
pub(super) fn compare(opened: &mut Opened, device: &dyn Device) -> Result<(), TrainError> {
    if !opened.experiment.settings().predicts() {
        return Err(opened
            .trained(device)
            .unsuited("novelty", "is for models that predict a number or a class"));
    }
    let loaded = own_data(opened, "is asked how unlike its training rows others are")?;
    let trained = opened.trained(device);
    let features = |mut rows: data::Dataset| {
        opened.task().admit(&mut rows);
        trained.features(&rows)
    };
    let (training, validation) = (features(loaded.train)?, features(loaded.validation)?);
    let width = training.outputs.max(1);
    let rows = training.raw.len() / width;
    // Every so many rows, from all of the table.
    let every = rows.div_ceil(novelty::MOST).max(1);
    let some: Vec<f32> = training.raw.chunks_exact(width).step_by(every).flatten().copied().collect();
    let found = Novelty::new(&some, &validation.raw, width)?;
    opened.wanted.novelty = Some(found);
    Ok(())
}
