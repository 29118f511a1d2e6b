//! Regression: errors in the target's own units.

use super::Head;
use crate::data::FittedTarget;
use crate::report::svg::{cloud, histogram};
use crate::train::metrics::{Metric, Predictions, regression};
use crate::train::quantiles::Interval;

/// One or several numbers.
pub(super) struct Regression<'a> {
    pub target: &'a FittedTarget,
}

impl Head for Regression<'_> {
    fn name(&self) -> &str {
        self.target.name().unwrap_or_default()
    }

    fn treatment(&self) -> [String; 2] {
        let (names, scalings): (Vec<&str>, Vec<String>) =
            self.target.numbers().into_iter().map(|(name, s)| (name, s.describe())).unzip();
        let what = if names.len() == 1 { "target" } else { "targets" };
        [names.join(", "), format!("{what}: {}", scalings.join(", "))]
    }

    fn metrics(&self, predictions: &Predictions) -> Vec<Metric> {
        let mut metrics = regression(&predictions.values(self.target), &predictions.true_values(self.target));
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
        let name = self.name();
        let truth = predictions.true_values(self.target);
        let points: Vec<(f64, f64)> = truth.into_iter().zip(predictions.values(self.target)).collect();
        let errors: Vec<f64> = points.iter().map(|(truth, predicted)| predicted - truth).collect();
        cloud("Predicted against true", [&format!("true {name}"), &format!("predicted {name}")], &points)
            + &histogram("Errors", &format!("predicted - true {name}"), &errors)
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
