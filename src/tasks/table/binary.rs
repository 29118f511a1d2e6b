//! One of two classes, from one logit.

use super::Head;
use super::classes::{at_threshold, cells, confusion, titles};
use crate::base::number::figure;
use crate::report::svg::{Series, curves};
use crate::train::metrics::{Metric, Predictions, auc, classes};

/// One of two classes.
pub(super) struct Binary<'a> {
    /// Name of the target.
    pub name: &'a str,
    /// Names of both classes, the negative one first.
    pub names: &'a [String],
    /// Name of the class with negative logits.
    pub negative: &'a str,
    /// Name of the class with positive logits.
    pub positive: &'a str,
    /// The probability above which it is predicted, where that is not one half.
    pub threshold: Option<f64>,
}

impl Head for Binary<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn treatment(&self) -> [String; 2] {
        let from = at_threshold(self.positive, self.threshold);
        [self.name.into(), format!("target: {} or {}{from}", self.negative, self.positive)]
    }

    fn metrics(&self, predictions: &Predictions) -> Vec<Metric> {
        let positive: Vec<f64> = predictions.probabilities().iter().map(|p| p[1]).collect();
        let mut metrics = classes(&predictions.confusion(2, self.threshold));
        metrics.insert(1, Metric { name: "auc", value: auc(&positive, &predictions.truth) });
        metrics
    }

    fn classes(&self) -> &[String] {
        self.names
    }

    fn threshold(&self) -> Option<f64> {
        self.threshold
    }

    fn pictures(&self, predictions: &Predictions) -> String {
        confusion(predictions, self.names, self.threshold) + &by_threshold(predictions, self.positive)
    }

    fn titles(&self, _predictions: &Predictions) -> Vec<String> {
        titles(self.name, self.names)
    }

    fn cells(&self, predictions: &Predictions) -> Vec<Vec<String>> {
        cells(predictions, self.names, self.threshold)
    }
}

/// ROC and calibration curves.
fn by_threshold(predictions: &Predictions, positive: &str) -> String {
    let scores: Vec<f64> = predictions.probabilities().iter().map(|p| p[1]).collect();
    let equal = |name| Series { name, class: "reference", points: vec![(0.0, 0.0), (1.0, 1.0)] };
    let area = figure(auc(&scores, &predictions.truth));
    let roc = [equal(""), Series { name: "", class: "train", points: roc(&scores, &predictions.truth) }];
    let calibration = [
        equal("ideal"),
        Series { name: "model", class: "validation", points: calibration(&scores, &predictions.truth) },
    ];
    let labels = [format!("predicted probability of {positive}"), format!("fraction that is {positive}")];
    curves(
        &format!("ROC curve, area {area}"),
        ["false positive rate", "true positive rate"],
        &roc,
        None,
        false,
    ) + &curves("Calibration", [&labels[0], &labels[1]], &calibration, None, false)
}

/// `(false positive rate, true positive rate)` for falling thresholds, from (0, 0) to (1, 1).
fn roc(scores: &[f64], truth: &[f64]) -> Vec<(f64, f64)> {
    let mut ranked: Vec<(f64, bool)> = scores.iter().copied().zip(truth.iter().map(|&y| y > 0.5)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let positives = ranked.iter().filter(|r| r.1).count();
    let negatives = (ranked.len() - positives).max(1) as f64;
    let (mut hits, mut alarms) = (0.0, 0.0);
    let mut points = vec![(0.0, 0.0)];
    for tied in ranked.chunk_by(|a, b| a.0 == b.0) {
        let positive = tied.iter().filter(|r| r.1).count() as f64;
        hits += positive;
        alarms += tied.len() as f64 - positive;
        points.push((alarms / negatives, hits / positives.max(1) as f64));
    }
    points
}

/// `(mean predicted probability, fraction of positives)` for each tenth of the probability scale that has
/// rows.
fn calibration(scores: &[f64], truth: &[f64]) -> Vec<(f64, f64)> {
    let mut bins = [(0.0, 0.0, 0usize); 10];
    for (&score, &y) in scores.iter().zip(truth) {
        let bin = &mut bins[((score * 10.0) as usize).min(9)];
        *bin = (bin.0 + score, bin.1 + y, bin.2 + 1);
    }
    let filled = bins.iter().filter(|b| b.2 > 0);
    filled.map(|&(p, y, n)| (p / n as f64, y / n as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_under_the_points_is_the_rank_statistic() {
        let scores: Vec<f64> = (0..50).map(|i| f64::from(i * 37 % 19) / 19.0).collect();
        let truth: Vec<f64> = (0..50).map(|i| f64::from(u8::from(i * 11 % 7 < 3))).collect();
        let points = roc(&scores, &truth);
        let area: f64 = points.windows(2).map(|p| (p[1].0 - p[0].0) * 0.5 * (p[0].1 + p[1].1)).sum();
        assert!((area - auc(&scores, &truth)).abs() < 1e-12);
    }

    #[test]
    fn calibration_by_hand() {
        let points = calibration(&[0.11, 0.19, 0.95, 1.0], &[0.0, 1.0, 1.0, 1.0]);
        assert_eq!(points.len(), 2);
        assert!((points[0].0 - 0.15).abs() < 1e-12 && points[0].1 == 0.5 && points[1].1 == 1.0);
    }
}
