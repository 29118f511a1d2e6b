//! Errors of forecasts: of obvious ones beside the model's, and by distance.

use serde::Serialize;

use crate::data::window::baseline::Baselines;
use crate::data::{Dataset, FittedTarget};
use crate::train::metrics::Predictions;

/// Errors at one distance, of the model and of obvious forecasts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HorizonError {
    /// Rows ahead.
    pub horizon: usize,
    /// Mean absolute error of the model.
    pub mae: f64,
    /// Of the last known value.
    pub baseline_naive_mae: f64,
    /// Of the value of a season ago, if there is a season.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline_seasonal_mae: Option<f64>,
}

/// Errors of obvious forecasts of the samples by name, if they are windows of a series of numbers.
pub fn baselines(rows: &Dataset) -> Vec<(&'static str, f64)> {
    rows.windows.as_ref().map(|w| w.baselines.errors(|_| true)).unwrap_or_default()
}

/// Mean absolute error at each distance; empty unless several are predicted.
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
