//! Regression: errors in the target's own units.

use super::{Head, targets};
use crate::data::FittedTarget;
use crate::report::svg::{cloud, histogram};
use crate::train::metrics::{Metric, Predictions};
use crate::train::quantiles::Interval;

/// One or several numbers.
pub(super) struct Regression<'a> {
    pub target: &'a FittedTarget,
    /// Names of the columns.
    pub name: String,
}

impl Head for Regression<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn treatment(&self) -> [String; 2] {
        let (names, scalings): (Vec<&str>, Vec<String>) =
            self.target.numbers().into_iter().map(|(name, s)| (name, s.describe())).unzip();
        let what = if names.len() == 1 { "target" } else { "targets" };
        [names.join(", "), format!("{what}: {}", scalings.join(", "))]
    }

    fn metrics(&self, predictions: &Predictions) -> Vec<Metric> {
        let mut metrics = targets::metrics(self.target, predictions);
        metrics.extend(predictions.quantile_metrics(self.target));
        metrics
    }

    fn classes(&self) -> &[String] {
        &[]
    }

    fn intervals(&self, predictions: &Predictions) -> Vec<Interval> {
        predictions.intervals(self.target)
    }

    fn pictures(&self, predictions: &Predictions) -> String {
        let (truth, found) = (predictions.true_values(self.target), predictions.values(self.target));
        let names = self.target.columns();
        let of = |(at, name): (usize, &&str)| {
            let pairs = truth.iter().copied().zip(found.iter().copied());
            let points: Vec<(f64, f64)> = pairs.skip(at).step_by(names.len()).collect();
            let errors: Vec<f64> = points.iter().map(|(truth, predicted)| predicted - truth).collect();
            cloud("Predicted against true", [&format!("true {name}"), &format!("predicted {name}")], &points)
                + &histogram("Errors", &format!("predicted - true {name}"), &errors)
        };
        names.iter().enumerate().map(of).collect()
    }

    fn titles(&self, predictions: &Predictions) -> Vec<String> {
        self.target.quantile_titles(&predictions.quantiles)
    }

    fn cells(&self, predictions: &Predictions) -> Vec<Vec<String>> {
        let values = match predictions.quantiles[..] {
            [] => predictions.values(self.target),
            _ => predictions.quantile_values(self.target),
        };
        values
            .chunks(predictions.outputs.max(1))
            .map(|row| row.iter().map(f64::to_string).collect())
            .collect()
    }
}
