//! Errors of forecasts: of the baselines, and by horizon.

use serde::Serialize;

use crate::data::{Baselines, Dataset, FittedTarget};
use crate::train::metrics::Predictions;

/// Errors at one horizon, of the model and of the baselines.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HorizonError {
    /// Rows ahead.
    pub horizon: usize,
    /// Mean absolute error of the model.
    pub mae: f64,
    /// Mean absolute error of the last known value.
    pub baseline_naive_mae: f64,
    /// Mean absolute error of the seasonal baseline, if there is a season.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline_seasonal_mae: Option<f64>,
}

/// Errors of the baselines by name, if the samples are windows of a numeric series.
pub fn baselines(rows: &Dataset) -> Vec<(&'static str, f64)> {
    rows.windows.as_ref().map(|w| w.baselines.errors(|_| true)).unwrap_or_default()
}

/// Mean absolute error at each horizon; empty unless several steps are predicted.
pub fn by_horizon(predictions: &Predictions, target: &FittedTarget, rows: &Dataset) -> Vec<HorizonError> {
    let Some(windows) = rows.windows.as_ref().filter(|w| w.steps > 1) else { return vec![] };
    let model = Baselines {
        naive: predictions.values(target),
        truth: predictions.true_values(target),
        ..Baselines::default()
    };
    let at_step = |step: usize| move |at: usize| at % windows.outputs() / windows.targets == step;
    let of = |step: usize| {
        let known = windows.baselines.errors(at_step(step));
        let named = |name| known.iter().find(|(n, _)| *n == name).map(|(_, error)| *error);
        HorizonError {
            horizon: step + 1,
            mae: model.errors(at_step(step)).first().map_or(f64::NAN, |(_, error)| *error),
            baseline_naive_mae: named("baseline_naive_mae").unwrap_or(f64::NAN),
            baseline_seasonal_mae: named("baseline_seasonal_mae"),
        }
    };
    (0..windows.steps).map(of).collect()
}
