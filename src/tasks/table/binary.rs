//! One of two classes, from one logit.

use super::Head;
use super::classes::{at_threshold, cells, confusion, titles};
use crate::base::number::figure;
use crate::base::order::Order;
use crate::report::svg::{Series, curves};
use crate::train::metrics::{Metric, Predictions, auc, classes};
use crate::train::weights::Weights;

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
        let mut metrics = classes(&predictions.weighted_confusion(2, self.threshold));
        metrics.insert(
            1,
            Metric { name: "auc", value: auc(&positive, &predictions.truth, predictions.weighted()) },
        );
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
    let weights = predictions.weighted();
    let equal = |name| Series { name, class: "reference", points: vec![(0.0, 0.0), (1.0, 1.0)] };
    let area = figure(auc(&scores, &predictions.truth, predictions.weighted()));
    let roc =
        [equal(""), Series { name: "", class: "train", points: roc(&scores, &predictions.truth, weights) }];
    let calibration = [
        equal("ideal"),
        Series {
            name: "model",
            class: "validation",
            points: calibration(&scores, &predictions.truth, weights),
        },
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
fn roc(scores: &[f64], truth: &[f64], weights: Weights) -> Vec<(f64, f64)> {
    let pairs = scores.iter().zip(truth).enumerate();
    let mut ranked: Vec<(f64, bool, f64)> =
        pairs.map(|(row, (score, y))| (*score, *y > 0.5, weights.of(row))).collect();
    ranked.order_by(|a, b| b.0.total_cmp(&a.0));
    let of = |rows: &[(f64, bool, f64)], positive: bool| {
        rows.iter().filter(|row| row.1 == positive).map(|row| row.2).sum::<f64>()
    };
    let some = |weight: f64| if weight > 0.0 { weight } else { 1.0 };
    let (positives, negatives) = (some(of(&ranked, true)), some(of(&ranked, false)));
    let (mut hits, mut alarms) = (0.0, 0.0);
    let mut points = vec![(0.0, 0.0)];
    for tied in ranked.chunk_by(|a, b| a.0 == b.0) {
        hits += of(tied, true);
        alarms += of(tied, false);
        points.push((alarms / negatives, hits / positives));
    }
    points
}

/// `(mean predicted probability, fraction of positives)` for each tenth of the probability scale that has
/// rows.
fn calibration(scores: &[f64], truth: &[f64], weights: Weights) -> Vec<(f64, f64)> {
    let mut bins = [(0.0, 0.0, 0.0); 10];
    for (row, (&score, &y)) in scores.iter().zip(truth).enumerate() {
        let (bin, weight) = (&mut bins[((score * 10.0) as usize).min(9)], weights.of(row));
        *bin = (bin.0 + weight * score, bin.1 + weight * y, bin.2 + weight);
    }
    let filled = bins.iter().filter(|b| b.2 > 0.0);
    filled.map(|&(p, y, n)| (p / n, y / n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_under_the_points_is_the_rank_statistic() {
        let scores: Vec<f64> = (0..50).map(|i| f64::from(i * 37 % 19) / 19.0).collect();
        let truth: Vec<f64> = (0..50).map(|i| f64::from(u8::from(i * 11 % 7 < 3))).collect();
        let points = roc(&scores, &truth, Weights::EQUAL);
        let area: f64 = points.windows(2).map(|p| (p[1].0 - p[0].0) * 0.5 * (p[0].1 + p[1].1)).sum();
        assert!((area - auc(&scores, &truth, Weights::EQUAL)).abs() < 1e-12);
    }

    #[test]
    fn calibration_by_hand() {
        let points = calibration(&[0.11, 0.19, 0.95, 1.0], &[0.0, 1.0, 1.0, 1.0], Weights::EQUAL);
        assert_eq!(points.len(), 2);
        assert!((points[0].0 - 0.15).abs() < 1e-12 && points[0].1 == 0.5 && points[1].1 == 1.0);
    }
}
