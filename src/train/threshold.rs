//! The probability above which the positive one of two classes is predicted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::metrics::Predictions;
use super::weights::Weights;
use crate::base::order::Order;

/// Where the threshold comes from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a number such as 0.5, or \"f1\", \"youden\" or \"balanced_accuracy\""
)]
pub enum Threshold {
    /// A number in `(0, 1)`.
    Value(f64),
    /// The one that makes this largest on the validation rows, with the best weights.
    Largest(Criterion),
}

/// What a threshold makes largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// F1 of the positive class.
    F1,
    /// Youden's index, sensitivity + specificity - 1 (Youden 1950).
    Youden,
    /// Mean recall of both classes, which is largest where Youden's index is.
    BalancedAccuracy,
}

impl Default for Threshold {
    fn default() -> Self {
        Self::Value(0.5)
    }
}

impl Threshold {
    /// Whether it is one half, where the more probable class is predicted.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The threshold for these predictions of validation rows; `None` if it is one half.
    pub fn of(&self, validation: &Predictions) -> Option<f64> {
        match self {
            Self::Value(value) => Some(*value).filter(|_| !self.is_default()),
            Self::Largest(criterion) => {
                let positive: Vec<f64> = validation.probabilities().iter().map(|p| p[p.len() - 1]).collect();
                largest(*criterion, &positive, &validation.truth, validation.weighted())
            }
        }
    }
}

/// The threshold that makes a criterion largest: half-way between two probabilities that occur; of equal
/// ones, the one nearest to one half. `None` if the rows are of one class, or their probabilities are equal.
fn largest(criterion: Criterion, positive: &[f64], truth: &[f64], weights: Weights) -> Option<f64> {
    let pairs = positive.iter().zip(truth).enumerate();
    let mut rows: Vec<(f64, bool, f64)> =
        pairs.map(|(row, (p, y))| (*p, *y > 0.5, weights.of(row))).collect();
    rows.order_by(|a, b| b.0.total_cmp(&a.0));
    let of = |positive: bool| rows.iter().filter(|row| row.1 == positive).map(|row| row.2).sum::<f64>();
    let (positives, negatives) = (of(true), of(false));
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let (mut hits, mut alarms) = (0.0, 0.0);
    let mut best: Option<(f64, f64)> = None;
    for pair in rows.windows(2) {
        let [(above, is_positive, weight), (below, ..)] = *pair else { continue };
        *(if is_positive { &mut hits } else { &mut alarms }) += weight;
        let threshold = f64::midpoint(above, below);
        // With neighbours this close, the rows above could not be told from those below.
        if !(below <= threshold && threshold < above) {
            continue;
        }
        let score = match criterion {
            Criterion::F1 => 2.0 * hits / (hits + alarms + positives),
            Criterion::Youden | Criterion::BalancedAccuracy => hits / positives - alarms / negatives,
        };
        let better = best.is_none_or(|(most, at)| {
            score > most || (score == most && (threshold - 0.5).abs() < (at - 0.5).abs())
        });
        if better {
            best = Some((score, threshold));
        }
    }
    best.map(|(_, threshold)| threshold)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::metrics::classes;
    use crate::train::scores::balanced_accuracy;

    /// Predictions of one logit with these probabilities.
    fn predictions(positive: &[f64], truth: &[f64]) -> Predictions {
        let raw = positive.iter().map(|p| (p / (1.0 - p)).ln() as f32).collect();
        Predictions { raw, outputs: 1, truth: truth.to_vec(), ..Predictions::default() }
    }

    #[test]
    fn no_other_threshold_is_better() {
        let positive: Vec<f64> = (0..40).map(|i| f64::from(i * 29 % 41 + 1) / 43.0).collect();
        let truth: Vec<f64> = (0..40).map(|i| f64::from(u8::from((i * 29 % 41 + i * 7 % 11) > 38))).collect();
        let rows = predictions(&positive, &truth);
        let f1 = |t: f64| classes(&rows.weighted_confusion(2, Some(t)))[1].value;
        let balanced = |t: f64| balanced_accuracy(&rows.weighted_confusion(2, Some(t)));
        let scores: [(Criterion, &dyn Fn(f64) -> f64); 3] =
            [(Criterion::F1, &f1), (Criterion::Youden, &balanced), (Criterion::BalancedAccuracy, &balanced)];
        for (criterion, score) in scores {
            let found = Threshold::Largest(criterion).of(&rows).unwrap();
            let most = (1..1000).map(|i| score(f64::from(i) / 1000.0)).fold(0.0, f64::max);
            assert!(
                (score(found) - most).abs() < 1e-12,
                "{criterion:?}: {} at {found}, not {most}",
                score(found)
            );
            assert!(score(found) > score(0.5), "{criterion:?} is better than one half");
        }
    }

    #[test]
    fn where_there_is_nothing_to_choose_it_is_one_half() {
        let f1 = Threshold::Largest(Criterion::F1);
        assert_eq!(f1.of(&predictions(&[0.2, 0.7], &[1.0, 1.0])), None);
        assert_eq!(f1.of(&predictions(&[0.7, 0.7], &[0.0, 1.0])), None);
        assert_eq!(Threshold::Value(0.5).of(&predictions(&[0.2, 0.7], &[0.0, 1.0])), None);
        assert_eq!(Threshold::Value(0.3).of(&predictions(&[0.2], &[0.0])), Some(0.3));
    }
}
