//! Errors of each of several targets.

use serde::Serialize;

use crate::base::number::{Number, figure};
use crate::data::FittedTarget;
use crate::report::tables;
use crate::train::metrics::{Metric, Predictions, regression};

/// Errors of one of several targets, of the model and of the mean of the training rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TargetError {
    /// Its column.
    pub target: String,
    /// Mean absolute error.
    pub mae: Number,
    /// Root mean squared error.
    pub rmse: Number,
    /// Coefficient of determination.
    pub r2: Number,
    /// Mean absolute error of the constant.
    pub baseline_mae: Number,
    /// Root mean squared error of the constant.
    pub baseline_rmse: Number,
}

/// The numbers of each column of `[rows, columns]`.
fn split(values: &[f64], columns: usize) -> Vec<Vec<f64>> {
    (0..columns).map(|at| values.iter().skip(at).step_by(columns).copied().collect()).collect()
}

/// The metrics of each target of `[rows, targets]`, in order.
fn each(target: &FittedTarget, predictions: &Predictions) -> Vec<Vec<Metric>> {
    let columns = target.columns().len();
    let found = split(&predictions.values(target), columns);
    let truth = split(&predictions.true_values(target), columns);
    found.iter().zip(&truth).map(|(f, t)| regression(f, t, predictions.weighted())).collect()
}

/// The metrics of targets, the mean over them (as scikit-learn's `multioutput="uniform_average"`). Several steps of
/// a target count as one.
pub(super) fn metrics(target: &FittedTarget, predictions: &Predictions) -> Vec<Metric> {
    let each = each(target, predictions);
    let mean = |at: usize| each.iter().map(|metrics| metrics[at].value).sum::<f64>() / each.len() as f64;
    let names = each.first().into_iter().flatten().enumerate();
    names.map(|(at, metric)| Metric { name: metric.name, value: mean(at) }).collect()
}

/// The errors of each of several targets, whose means on the training rows are `constants`.
pub(super) fn errors(
    target: &FittedTarget,
    constants: &[f64],
    predictions: &Predictions,
) -> Vec<TargetError> {
    if constants.is_empty() {
        return vec![];
    }
    let truth = split(&predictions.true_values(target), constants.len());
    let of = |(at, (name, model)): (usize, (&str, Vec<Metric>))| {
        let constant = vec![constants[at]; truth[at].len()];
        let baseline = regression(&constant, &truth[at], predictions.weighted());
        TargetError {
            target: name.into(),
            mae: Number(model[0].value),
            rmse: Number(model[1].value),
            r2: Number(model[2].value),
            baseline_mae: Number(baseline[0].value),
            baseline_rmse: Number(baseline[1].value),
        }
    };
    target
        .columns()
        .into_iter()
        .zip(each(target, predictions))
        .take(constants.len())
        .enumerate()
        .map(of)
        .collect()
}

/// The errors of the constants by name, the mean over the targets.
pub(super) fn baselines(errors: &[TargetError]) -> Vec<(&'static str, f64)> {
    let mean = |of: fn(&TargetError) -> f64| errors.iter().map(of).sum::<f64>() / errors.len() as f64;
    vec![
        ("baseline_mae", mean(|error| error.baseline_mae.0)),
        ("baseline_rmse", mean(|error| error.baseline_rmse.0)),
    ]
}

/// The errors as a table of the report; nothing if there are none.
pub(super) fn table(errors: &[TargetError]) -> String {
    if errors.is_empty() {
        return String::new();
    }
    let row = |e: &TargetError| {
        let numbers = [e.mae, e.rmse, e.r2, e.baseline_mae, e.baseline_rmse].map(|x| figure(x.0));
        std::iter::once(e.target.clone()).chain(numbers).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> = errors.iter().map(row).collect();
    tables::table(&["target", "mae", "rmse", "r2", "baseline_mae", "baseline_rmse"], &rows, 1)
}
