//! The threshold of two classes, which follows from the predictions of the validation rows.

use std::borrow::Cow;

use super::job::Job;
use crate::base::config::ConfigError;
use crate::data::{Fitted, Loaded};
use crate::experiment::Experiment;
use crate::train::metrics::Predictions;

/// What was fitted, with the threshold that the experiment asks for, from predictions of the validation rows.
pub(super) fn fitted<'a>(task: &Job<'a>, validation: &Predictions) -> Cow<'a, Fitted> {
    let (threshold, fitted) = (task.experiment.train.threshold, &task.data.fitted);
    match threshold.is_default() {
        true => Cow::Borrowed(fitted),
        false => Cow::Owned(Fitted { threshold: threshold.of(validation), ..fitted.clone() }),
    }
}

/// Refuses a threshold of anything but two classes.
pub(super) fn check(experiment: &Experiment, data: &Loaded) -> Result<(), ConfigError> {
    let classes = data.fitted.target.classes().len();
    if experiment.train.threshold.is_default() || classes == 2 {
        return Ok(());
    }
    let reason = format!(
        "is for a target of two classes; this one has {classes}, of which the most probable is predicted"
    );
    Err(experiment.wrong("train.threshold", &reason))
}
