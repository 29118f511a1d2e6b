//! Metrics on the host in `f64`, from predictions and truth in the target's own units.

use std::sync::Arc;

use serde::Serialize;

use super::weights::Weights;
use crate::base::number::Number;
use crate::base::order;
use crate::data::{FittedTarget, Members};
use crate::nn::losses::Loss;

/// Predictions of a model for some rows, and the truth.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predictions {
    /// Model outputs, `[rows, outputs]`, in scaled units. For texts they are losses, and the last row may be
    /// shorter.
    pub raw: Vec<f32>,
    /// Outputs per row.
    pub outputs: usize,
    /// The quantiles that each target has an output for, next to each other and ascending; empty if outputs
    /// are no quantiles.
    pub quantiles: Vec<f64>,
    /// Scaled targets or 0/1 (`[rows, outputs]`), or labels (`[rows]`).
    pub truth: Vec<f64>,
    /// How much each row counts; empty if all count the same.
    pub weights: Vec<f64>,
    /// What logits are divided by before they become probabilities, if that is not 1.
    pub temperature: Option<f64>,
    /// Loss of each row; for texts, of each character.
    pub losses: Vec<f32>,
    /// Named parts of each row's loss, for models that have them.
    pub parts: Vec<(&'static str, Vec<f32>)>,
    /// The series that rows are of, if they are windows of series.
    pub members: Option<Arc<Members>>,
}

/// A named metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metric {
    /// `mae`, `rmse`, `r2`, `pinball`, `crps`, `accuracy`, `auc`, `f1`, `elbo`, `reconstruction`, `kl`, `log_likelihood`, `discriminator`, `frechet`, `precision`, `recall`, `mean_iou`, `psnr`; `nats`
    /// per character.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
}

/// Whether larger values of a metric are better; `None` if neither is.
pub fn larger_is_better(name: &str) -> Option<bool> {
    match name {
        "r2" | "accuracy" | "auc" | "f1" | "balanced_accuracy" | "mcc" | "average_precision" | "elbo"
        | "log_likelihood" | "precision" | "recall" | "mean_iou" | "psnr" => Some(true),
        "kl" | "reconstruction" | "discriminator" => None,
        name if name.starts_with("baseline_") => None,
        _ => Some(false),
    }
}

impl Predictions {
    /// How much rows count.
    pub fn weighted(&self) -> Weights<'_> {
        Weights(&self.weights)
    }

    /// Mean of the losses; weighted as in PyTorch if there are class weights, and by the weights of rows.
    pub fn loss(&self, loss: &Loss) -> f64 {
        let weights = self.weighted();
        let sum = weights.sum(self.losses.iter().map(|&l| f64::from(l)));
        let weight = match loss {
            Loss::CrossEntropy { class_weights, .. } if !class_weights.is_empty() => {
                // Of pixels, there are several labels in a row, and its loss is their mean.
                let labels = (self.truth.len() / self.losses.len().max(1)).max(1) as f64;
                let of_label =
                    |&label: &f64| class_weights.each().get(label as usize).copied().unwrap_or(0.0);
                match labels {
                    1.0 => weights.sum(self.truth.iter().map(of_label)),
                    _ => self.truth.iter().map(of_label).sum::<f64>() / labels,
                }
            }
            _ => weights.total(self.losses.len()),
        };
        sum / weight
    }

    /// Mean of the losses.
    pub fn mean_loss(&self) -> f64 {
        self.losses.iter().map(|&l| f64::from(l)).sum::<f64>() / self.losses.len() as f64
    }

    /// A named part of each row's loss.
    pub fn part(&self, name: &str) -> Option<&[f32]> {
        self.parts.iter().find(|(n, _)| *n == name).map(|(_, rows)| &rows[..])
    }

    /// Predicted values in the target's own units (regression); of quantiles, the median.
    pub fn values(&self, target: &FittedTarget) -> Vec<f64> {
        self.own_units(target, self.points().into_iter().map(|y| target.linked(y)).collect())
    }

    /// True values in the target's own units (regression).
    pub fn true_values(&self, target: &FittedTarget) -> Vec<f64> {
        self.own_units(target, self.truth.clone())
    }

    /// Scaled values `[rows, values]` in the target's own units.
    pub(super) fn own_units(&self, target: &FittedTarget, scaled: Vec<f64>) -> Vec<f64> {
        match &self.members {
            Some(members) => members.own_units(&scaled, target.outputs()),
            None => target.own_units(scaled.into_iter()),
        }
    }

    /// Probability of each class, `[rows][classes]` (classification).
    pub fn probabilities(&self) -> Vec<Vec<f64>> {
        let temperature = self.temperature.unwrap_or(1.0);
        if self.outputs == 1 {
            let p = |&logit: &f32| 1.0 / (1.0 + (-f64::from(logit) / temperature).exp());
            return self.raw.iter().map(|l| vec![1.0 - p(l), p(l)]).collect();
        }
        let softmax = |row: &[f32]| {
            let largest = row.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(f64::from(b)));
            let e: Vec<f64> = row.iter().map(|&x| ((f64::from(x) - largest) / temperature).exp()).collect();
            let total: f64 = e.iter().sum();
            e.into_iter().map(|x| x / total).collect()
        };
        self.raw.chunks(self.outputs.max(1)).map(softmax).collect()
    }

    /// Confusion matrix: rows by true class (row) and predicted class (column), as [`decide`] predicts them.
    pub fn confusion(&self, classes: usize, threshold: Option<f64>) -> Vec<Vec<usize>> {
        self.confused(classes, threshold, |_| 1)
    }

    /// As [`Predictions::confusion`], each row with its weight.
    pub fn weighted_confusion(&self, classes: usize, threshold: Option<f64>) -> Vec<Vec<f64>> {
        let weights = self.weighted();
        self.confused(classes, threshold, |row| weights.of(row))
    }

    fn confused<T: Copy + Default + std::ops::AddAssign>(
        &self,
        classes: usize,
        threshold: Option<f64>,
        weight: impl Fn(usize) -> T,
    ) -> Vec<Vec<T>> {
        let mut cells = vec![vec![T::default(); classes]; classes];
        for (row, (p, &truth)) in self.probabilities().iter().zip(&self.truth).enumerate() {
            let predicted = decide(p, threshold);
            if let Some(cell) = cells.get_mut(truth as usize).and_then(|cells| cells.get_mut(predicted)) {
                *cell += weight(row);
            }
        }
        cells
    }

    /// The scores of each class.
    pub fn class_scores(&self, classes: usize, threshold: Option<f64>) -> Vec<ClassScore> {
        let rows: Vec<usize> =
            self.confusion(classes, threshold).iter().map(|row| row.iter().sum()).collect();
        class_scores(&self.weighted_confusion(classes, threshold), &rows)
    }
}

/// The predicted class: the second of two if its probability is above `threshold`; without one, the most
/// probable.
pub fn decide(probabilities: &[f64], threshold: Option<f64>) -> usize {
    match (threshold, probabilities) {
        (Some(threshold), [_, positive]) => usize::from(*positive > threshold),
        _ => argmax(probabilities),
    }
}

/// Position of the largest value; the first one in case of ties.
pub fn argmax(values: &[f64]) -> usize {
    let better = |best: usize, i: usize| if values[i] > values[best] { i } else { best };
    (1..values.len()).fold(0, better)
}

/// Mean absolute error, root mean squared error, and coefficient of determination.
pub fn regression(predicted: &[f64], truth: &[f64], weights: Weights) -> Vec<Metric> {
    let total = weights.total(truth.len().max(1));
    let errors = || predicted.iter().zip(truth).map(|(p, t)| p - t);
    let mean = weights.sum(truth.iter().copied()) / total;
    let squares = weights.sum(errors().map(|e| e * e));
    let spread = weights.sum(truth.iter().map(|t| (t - mean).powi(2)));
    vec![
        Metric { name: "mae", value: weights.sum(errors().map(f64::abs)) / total },
        Metric { name: "rmse", value: (squares / total).sqrt() },
        Metric { name: "r2", value: 1.0 - squares / spread },
    ]
}

/// Accuracy and F1 (of the positive class in the binary case, else the mean over the classes present), from
/// a confusion matrix of weights.
pub fn classes(confusion: &[Vec<f64>]) -> Vec<Metric> {
    let total: f64 = confusion.iter().flatten().sum();
    let right: f64 = (0..confusion.len()).map(|c| confusion[c][c]).sum();
    let f1 = |c: usize| {
        let predicted: f64 = confusion.iter().map(|row| row[c]).sum();
        let actual: f64 = confusion[c].iter().sum();
        let both = predicted + actual;
        (both > 0.0).then(|| 2.0 * confusion[c][c] / both)
    };
    let scores: Vec<f64> = if confusion.len() == 2 {
        f1(1).into_iter().collect()
    } else {
        (0..confusion.len()).filter_map(f1).collect()
    };
    vec![
        Metric { name: "accuracy", value: if total > 0.0 { right / total } else { 0.0 } },
        Metric { name: "f1", value: scores.iter().sum::<f64>() / scores.len().max(1) as f64 },
    ]
}

/// How well a class is distinguished from the others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassScore {
    /// Fraction of the rows predicted as this class that belong to it; NaN if none is predicted.
    pub precision: Number,
    /// Fraction of the rows of this class that are predicted as such; NaN if there are none.
    pub recall: Number,
    /// Harmonic mean of the two; NaN if there are no such rows.
    pub f1: Number,
    /// Rows of this class.
    pub samples: usize,
}

/// The scores of each class, from a confusion matrix of counts.
pub fn of_confusion(confusion: &[Vec<usize>]) -> Vec<ClassScore> {
    let rows: Vec<usize> = confusion.iter().map(|row| row.iter().sum()).collect();
    let weights: Vec<Vec<f64>> =
        confusion.iter().map(|row| row.iter().map(|&count| count as f64).collect()).collect();
    class_scores(&weights, &rows)
}

/// The scores of each class, from a confusion matrix of weights and the number of rows of each class.
fn class_scores(confusion: &[Vec<f64>], rows: &[usize]) -> Vec<ClassScore> {
    let part = |hits: f64, of: f64| Number(if of > 0.0 { hits / of } else { f64::NAN });
    let score = |(c, &samples): (usize, &usize)| {
        let hits = confusion[c][c];
        let predicted: f64 = confusion.iter().map(|row| row[c]).sum();
        let actual: f64 = confusion[c].iter().sum();
        let f1 = part(2.0 * hits, predicted + actual);
        ClassScore { precision: part(hits, predicted), recall: part(hits, actual), f1, samples }
    };
    rows.iter().enumerate().map(score).collect()
}

/// Area under the ROC curve: the probability that a positive row scores above a negative one, with ties
/// counting one half (the Mann-Whitney statistic), pairs of rows having the product of their weights.
pub fn auc(scores: &[f64], truth: &[f64], weights: Weights) -> f64 {
    let order = order::ascending(scores);
    let (mut pairs, mut positives, mut negatives) = (0.0, 0.0, 0.0);
    for tied in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let of = |positive: bool| {
            let rows = tied.iter().filter(move |&&row| (truth[row] > 0.5) == positive);
            rows.map(|&row| weights.of(row)).sum::<f64>()
        };
        let (hits, below) = (of(true), of(false));
        pairs += hits * (negatives + 0.5 * below);
        positives += hits;
        negatives += below;
    }
    pairs / (positives * negatives)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auc_counts_ties_half() {
        assert_eq!(auc(&[0.1, 0.4, 0.35, 0.8], &[0.0, 0.0, 1.0, 1.0], Weights::EQUAL), 0.75);
        assert_eq!(auc(&[0.5, 0.5], &[0.0, 1.0], Weights::EQUAL), 0.5);
    }

    #[test]
    fn regression_metrics_by_hand() {
        let metrics = regression(&[1.0, 2.0, 5.0], &[1.0, 3.0, 4.0], Weights::EQUAL);
        let values: Vec<f64> = metrics.iter().map(|m| m.value).collect();
        assert!((values[0] - 2.0 / 3.0).abs() < 1e-12);
        assert!((values[1] - (2.0f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((values[2] - (1.0 - 2.0 / (14.0 / 3.0))).abs() < 1e-12);
    }

    #[test]
    fn scores_of_classes_by_hand() {
        let scores = class_scores(&[vec![5.0, 1.0, 0.0], vec![2.0, 2.0, 0.0], vec![0.0; 3]], &[6, 4, 0]);
        let near = |found: Number, expected: f64| assert!((found.0 - expected).abs() < 1e-12, "{found:?}");
        near(scores[0].precision, 5.0 / 7.0);
        near(scores[0].recall, 5.0 / 6.0);
        near(scores[0].f1, 10.0 / 13.0);
        assert_eq!((scores[1].samples, scores[2].samples), (4, 0));
        assert!(scores[2].precision.0.is_nan() && scores[2].recall.0.is_nan() && scores[2].f1.0.is_nan());
    }

    #[test]
    fn f1_of_two_classes_is_the_positive_one() {
        let metrics = classes(&[vec![5.0, 1.0], vec![2.0, 2.0]]);
        assert!((metrics[0].value - 0.7).abs() < 1e-12);
        assert!((metrics[1].value - 4.0 / 7.0).abs() < 1e-12);
    }
}
