//! Errors of forecasts: of the baselines, by horizon, and by series.

use serde::Serialize;

use crate::data::{Baselines, Dataset, FittedTarget, Members};
use crate::train::metrics::{Metric, Predictions};

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

/// Errors in one series, of the model and of the baselines.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeriesError {
    /// Name of the series.
    pub series: String,
    /// Windows.
    pub samples: usize,
    /// Mean absolute error of the model.
    pub mae: f64,
    /// Symmetric mean absolute percentage error, in percent of the mean of forecast and truth (up to 200).
    pub smape: f64,
    /// Mean absolute scaled error: divided by that of the value one season earlier on the training rows of
    /// the series. Absent if that is unknown or 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mase: Option<f64>,
    /// Mean absolute error of the last known value.
    pub baseline_naive_mae: f64,
    /// Mean absolute error of the seasonal baseline, if there is a season.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline_seasonal_mae: Option<f64>,
}

/// Sums of errors over windows of a series.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    values: usize,
    absolute: f64,
    percent: f64,
    scaled: f64,
    /// Values whose error can be scaled.
    scalable: usize,
}

/// The sums of each series of `members`.
fn sums(predictions: &Predictions, target: &FittedTarget, members: &Members) -> Vec<Sums> {
    let mut all = vec![Sums::default(); members.names.len()];
    let outputs = target.outputs().max(1);
    let pairs = predictions.values(target).into_iter().zip(predictions.true_values(target));
    for (at, (forecast, truth)) in pairs.enumerate() {
        let Some(of) = members.of.get(at / outputs).map(|&of| of as usize) else { continue };
        let Some(sums) = all.get_mut(of) else { continue };
        let error = (forecast - truth).abs();
        let size = forecast.abs() + truth.abs();
        sums.values += 1;
        sums.absolute += error;
        sums.percent += if size > 0.0 { 200.0 * error / size } else { 0.0 };
        let naive = members.naive.get(of).and_then(|n| *n.get(at % outputs % n.len().max(1))?);
        if let Some(naive) = naive {
            sums.scaled += error / naive;
            sums.scalable += 1;
        }
    }
    all
}

/// `smape` and `mase` as in the M4 competition: means over the series, so that each counts the same.
pub fn scale_free(predictions: &Predictions, target: &FittedTarget) -> Vec<Metric> {
    let Some(members) = &predictions.members else { return vec![] };
    let all = sums(predictions, target, members);
    let mean = |of: &dyn Fn(&Sums) -> Option<f64>| {
        let each: Vec<f64> = all.iter().filter_map(of).collect();
        (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64)
    };
    let smape = mean(&|s| (s.values > 0).then(|| s.percent / s.values as f64));
    let mase = mean(&|s| (s.scalable > 0).then(|| s.scaled / s.scalable as f64));
    // Rows of any part have the same metrics, whichever series they are of.
    let scales = members.naive.iter().flatten().any(Option::is_some);
    let named = [("smape", smape), ("mase", mase.or(scales.then_some(f64::NAN)))];
    named.into_iter().filter_map(|(name, value)| Some(Metric { name, value: value? })).collect()
}

/// Errors in each series; empty unless the windows are of named series.
pub fn by_series(predictions: &Predictions, target: &FittedTarget, rows: &Dataset) -> Vec<SeriesError> {
    let Some(windows) = rows.windows.as_ref().filter(|w| !w.baselines.naive.is_empty()) else {
        return vec![];
    };
    let members = &windows.members;
    let outputs = windows.outputs().max(1);
    // Errors of baselines, summed in one pass over the windows.
    let baselines = &windows.baselines;
    let sum = |forecast: &[f64]| {
        let mut sums = vec![0.0; members.names.len()];
        for (at, (y, truth)) in forecast.iter().zip(&baselines.truth).enumerate() {
            let of = members.of.get(at / outputs).map_or(usize::MAX, |&of| of as usize);
            if let Some(sum) = sums.get_mut(of) {
                *sum += (y - truth).abs();
            }
        }
        sums
    };
    let (naive, seasonal) = (sum(&baselines.naive), sum(&baselines.seasonal));
    let of = |(at, s): (usize, Sums)| {
        let values = s.values as f64;
        (s.values > 0 && !members.names[at].is_empty()).then(|| SeriesError {
            series: members.names[at].clone(),
            samples: s.values / outputs,
            mae: s.absolute / values,
            smape: s.percent / values,
            mase: (s.scalable > 0).then(|| s.scaled / s.scalable as f64),
            baseline_naive_mae: naive[at] / values,
            baseline_seasonal_mae: (!baselines.seasonal.is_empty()).then(|| seasonal[at] / values),
        })
    };
    sums(predictions, target, members).into_iter().enumerate().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::FittedScaling;

    /// Two series, scaled by themselves: values are 1 + 2 y, and 100 + 10 y.
    fn two() -> (Predictions, FittedTarget) {
        let scaling = |shift, scale| vec![FittedScaling::Affine { shift, scale }];
        let members = Members {
            names: vec!["a".into(), "b".into()],
            scalings: vec![scaling(1.0, 2.0), scaling(100.0, 10.0)],
            naive: vec![vec![Some(4.0)], vec![None]],
            of: vec![0, 0, 1],
        };
        let predictions = Predictions {
            raw: vec![0.0, 1.0, 2.0],
            outputs: 1,
            truth: vec![1.0, 1.0, 0.0],
            members: Some(Arc::new(members)),
            ..Predictions::default()
        };
        let target = FittedTarget::Number { name: "y".into(), scaling: FittedScaling::None };
        (predictions, target)
    }

    #[test]
    fn each_series_has_its_own_units() {
        let (predictions, target) = two();
        assert_eq!(predictions.values(&target), [1.0, 3.0, 120.0]);
        assert_eq!(predictions.true_values(&target), [3.0, 3.0, 100.0]);
    }

    #[test]
    fn errors_without_units_by_hand() {
        let (predictions, target) = two();
        let metrics = scale_free(&predictions, &target);
        // In a: 200 * 2 / 4, and 0; in b: 200 * 20 / 220.
        let smape = (50.0 + 200.0 * 20.0 / 220.0) / 2.0;
        assert!(metrics[0].name == "smape" && (metrics[0].value - smape).abs() < 1e-12, "{metrics:?}");
        // Only a can be scaled: errors of 2 and 0 by 4.
        assert!(metrics[1].name == "mase" && (metrics[1].value - 0.25).abs() < 1e-12, "{metrics:?}");
    }
}
