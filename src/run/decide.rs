//! What follows from the predictions of the validation rows: the temperature of classes, and the threshold of two.

use std::borrow::Cow;

use super::job::Job;
use crate::base::config::ConfigError;
use crate::data::{Fitted, Loaded};
use crate::experiment::Experiment;
use crate::train::metrics::Predictions;
use crate::uncertainty::temperature;

/// Whether the experiment asks for something that follows from them.
pub(super) fn is_asked(experiment: &Experiment) -> bool {
    experiment.uncertainty.temperature || !experiment.train.threshold.is_default()
}

/// What was fitted, with the temperature and the threshold that the experiment asks for, from predictions of the
/// validation rows.
pub(super) fn fitted<'a>(task: &Job<'a>, validation: &Predictions) -> Cow<'a, Fitted> {
    of(task.experiment, &task.data.fitted, validation)
}

/// The same of an experiment.
pub(super) fn of<'a>(
    experiment: &Experiment,
    fitted: &'a Fitted,
    validation: &Predictions,
) -> Cow<'a, Fitted> {
    if !is_asked(experiment) {
        return Cow::Borrowed(fitted);
    }
    let temperature = experiment.uncertainty.temperature.then(|| temperature::fit(validation)).flatten();
    let threshold = match temperature {
        None => experiment.train.threshold.of(validation),
        Some(_) => experiment.train.threshold.of(&Predictions { temperature, ..validation.clone() }),
    };
    Cow::Owned(Fitted { threshold, temperature, ..fitted.clone() })
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
