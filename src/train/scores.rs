//! Scores of predicted probabilities, with scikit-learn's definitions and names.

use super::metrics::{Metric, Predictions, argmax};
use super::weights::Weights;
use crate::base::order;

/// Bins of the expected calibration error.
const BINS: usize = 10;

/// Further scores of a classifier with `classes` classes, as [`super::metrics::decide`] predicts them.
pub fn of_classes(predictions: &Predictions, classes: usize, threshold: Option<f64>) -> Vec<Metric> {
    let probabilities = predictions.probabilities();
    let truth: Vec<usize> = predictions.truth.iter().map(|&class| class as usize).collect();
    let confusion = predictions.weighted_confusion(classes, threshold);
    let weights = predictions.weighted();
    let mut scores = vec![
        Metric { name: "balanced_accuracy", value: balanced_accuracy(&confusion) },
        Metric { name: "mcc", value: mcc(&confusion) },
        Metric { name: "log_loss", value: log_loss(&probabilities, &truth, weights) },
        Metric { name: "brier", value: brier(&probabilities, &truth, weights) },
        Metric { name: "ece", value: calibration_error(&probabilities, &truth, weights) },
    ];
    if classes == 2 {
        let positive: Vec<f64> = probabilities.iter().map(|p| p[1]).collect();
        scores
            .push(Metric { name: "average_precision", value: average_precision(&positive, &truth, weights) });
    }
    scores
}

/// Mean recall of the classes that have rows, from a confusion matrix of weights.
pub fn balanced_accuracy(confusion: &[Vec<f64>]) -> f64 {
    let rows = confusion.iter().enumerate().map(|(class, row)| (row[class], row.iter().sum::<f64>()));
    let recalls: Vec<f64> = rows.filter(|(_, all)| *all > 0.0).map(|(hits, all)| hits / all).collect();
    recalls.iter().sum::<f64>() / recalls.len() as f64
}

/// Matthews' correlation coefficient, for several classes as in Gorodkin 2004; 0 where it is not defined.
fn mcc(confusion: &[Vec<f64>]) -> f64 {
    let of = |class: usize| confusion[class].iter().sum::<f64>();
    let predicted = |class: usize| confusion.iter().map(|row| row[class]).sum::<f64>();
    let classes = || 0..confusion.len();
    let all: f64 = classes().map(of).sum();
    let hits: f64 = classes().map(|class| confusion[class][class]).sum();
    let both: f64 = classes().map(|class| of(class) * predicted(class)).sum();
    let spread = |sizes: &dyn Fn(usize) -> f64| all * all - classes().map(|c| sizes(c).powi(2)).sum::<f64>();
    let norm = (spread(&of) * spread(&predicted)).sqrt();
    if norm > 0.0 { (hits * all - both) / norm } else { 0.0 }
}

/// Mean of `-ln p` of the true class; probabilities count as at least 1e-15.
fn log_loss(probabilities: &[Vec<f64>], truth: &[usize], weights: Weights) -> f64 {
    let loss = |(p, &class): (&Vec<f64>, &usize)| -p.get(class).copied().unwrap_or(0.0).max(1e-15).ln();
    weights.mean(probabilities.iter().zip(truth).map(loss))
}

/// Mean squared error of the probabilities: of the positive class for two, else summed over all (Brier 1950).
fn brier(probabilities: &[Vec<f64>], truth: &[usize], weights: Weights) -> f64 {
    let of_row = |(p, &class): (&Vec<f64>, &usize)| {
        let error = |k: usize| (p[k] - f64::from(u8::from(k == class))).powi(2);
        if p.len() == 2 { error(1) } else { (0..p.len()).map(error).sum() }
    };
    weights.mean(probabilities.iter().zip(truth).map(of_row))
}

/// Expected calibration error: the mean distance of confidence and accuracy over ten bins of the predicted class's
/// probability (Guo et al. 2017, arXiv:1706.04599).
fn calibration_error(probabilities: &[Vec<f64>], truth: &[usize], weights: Weights) -> f64 {
    let bins = bins(probabilities, truth, weights).into_iter();
    let distances: f64 = bins.map(|[_, confidence, hits]| (confidence - hits).abs()).sum();
    distances / weights.total(truth.len())
}

/// The bins of the expected calibration error, by confidence: the weight of the rows of each, and the
/// sums of their confidence and of those that are right.
pub fn reliability(predictions: &Predictions) -> [[f64; 3]; BINS] {
    let truth: Vec<usize> = predictions.truth.iter().map(|&class| class as usize).collect();
    bins(&predictions.probabilities(), &truth, predictions.weighted())
}

fn bins(probabilities: &[Vec<f64>], truth: &[usize], weights: Weights) -> [[f64; 3]; BINS] {
    let mut bins = [[0.0; 3]; BINS];
    for (row, (p, &class)) in probabilities.iter().zip(truth).enumerate() {
        let weight = weights.of(row);
        let predicted = argmax(p);
        let confidence = p[predicted];
        let bin = &mut bins[((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1];
        bin[0] += weight;
        bin[1] += weight * confidence;
        bin[2] += weight * f64::from(u8::from(predicted == class));
    }
    bins
}

/// Area under the curve of precision over recall, as the sum over thresholds of precision times the gain in recall.
fn average_precision(scores: &[f64], truth: &[usize], weights: Weights) -> f64 {
    let positives = weights.sum(truth.iter().map(|&class| f64::from(u8::from(class == 1))));
    let order = order::descending(scores);
    let (mut hits, mut seen, mut area) = (0.0, 0.0, 0.0);
    for tied in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let more: f64 = tied.iter().filter(|&&i| truth[i] == 1).map(|&i| weights.of(i)).sum();
        hits += more;
        seen += tied.iter().map(|&i| weights.of(i)).sum::<f64>();
        if more > 0.0 {
            area += more / positives * (hits / seen);
        }
    }
    area
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found}, expected {expected}");
    }

    /// Worked out by hand from the definitions in scikit-learn's documentation.
    #[test]
    fn scores_follow_their_definitions() {
        let positive = [0.1, 0.4, 0.35, 0.8, 0.4, 0.9];
        let truth = [0, 0, 1, 1, 1, 0];
        let probabilities: Vec<Vec<f64>> = positive.iter().map(|p| vec![1.0 - p, *p]).collect();
        near(
            average_precision(&positive, &truth, Weights::EQUAL),
            1.0 / 3.0 * 0.5 + 1.0 / 3.0 * 0.5 + 1.0 / 3.0 * 0.6,
        );
        let logs = [0.9f64, 0.6, 0.35, 0.8, 0.4, 0.1].map(|p| -p.ln());
        near(log_loss(&probabilities, &truth, Weights::EQUAL), logs.iter().sum::<f64>() / 6.0);
        near(
            brier(&probabilities, &truth, Weights::EQUAL),
            (0.01 + 0.16 + 0.4225 + 0.04 + 0.36 + 0.81) / 6.0,
        );
        // Rows 0, 1 and 3 are right.
        let confusion = vec![vec![2.0, 1.0], vec![2.0, 1.0]];
        near(balanced_accuracy(&confusion), 0.5);
        near(mcc(&confusion), 0.0);
        near(mcc(&[vec![3.0, 0.0], vec![1.0, 2.0]]), 6.0 / (2.0f64 * 3.0 * 3.0 * 4.0).sqrt());
    }

    #[test]
    fn calibration_is_confidence_against_accuracy() {
        let probabilities = vec![vec![0.2, 0.8]; 10];
        let truth = [1, 1, 1, 1, 1, 1, 1, 1, 0, 0];
        near(calibration_error(&probabilities, &truth, Weights::EQUAL), 0.0);
        near(calibration_error(&probabilities, &[1; 10], Weights::EQUAL), 0.2);
    }
}
