//! Predicted quantiles: the point they stand for, and how well they hold. Metrics are in the target's own units.

use serde::Serialize;

use super::metrics::{Metric, Predictions};
use crate::base::number::Number;
use crate::data::FittedTarget;

/// How well the interval between two predicted quantiles `q` and `1 - q` holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The part of the true values that should lie in it: `1 - 2 q`.
    pub level: f64,
    /// The part that does, bounds included.
    pub coverage: Number,
    /// Its mean width.
    pub mean_width: Number,
}

impl Predictions {
    /// Model outputs of each value in ascending order: quantiles that cross are sorted, which never raises the
    /// pinball loss (Chernozhukov, Fernández-Val and Galichon 2010).
    pub(crate) fn sorted(&self) -> Vec<f64> {
        let mut all: Vec<f64> = self.raw.iter().map(|&y| f64::from(y)).collect();
        if self.quantiles.len() > 1 {
            all.chunks_mut(self.quantiles.len()).for_each(|each| each.sort_by(f64::total_cmp));
        }
        all
    }

    /// One scaled value for each target, `[rows, values]`: of quantiles, the median, interpolated between the
    /// nearest ones where it is not among them, or else the nearest.
    pub(crate) fn points(&self) -> Vec<f64> {
        let sorted = self.sorted();
        let levels = &self.quantiles;
        if levels.len() < 2 {
            return sorted;
        }
        let above = levels.partition_point(|&q| q < 0.5).min(levels.len() - 1);
        let below = if levels[above] > 0.5 { above.saturating_sub(1) } else { above };
        let part = match levels[above] - levels[below] {
            distance if distance > 0.0 => (0.5 - levels[below]) / distance,
            _ => 0.0,
        };
        sorted.chunks(levels.len()).map(|q| q[below] + part * (q[above] - q[below])).collect()
    }

    /// The predicted quantiles in the target's own units, ascending, `[rows, values, quantiles]`; empty if
    /// outputs are no quantiles.
    pub fn quantile_values(&self, target: &FittedTarget) -> Vec<f64> {
        let count = self.quantiles.len();
        let sorted = self.sorted();
        let mut all = vec![0.0; if count > 0 { sorted.len() } else { 0 }];
        for level in 0..count {
            let of_level = sorted.iter().skip(level).step_by(count).copied().collect();
            for (at, value) in self.own_units(target, of_level).into_iter().enumerate() {
                all[at * count + level] = value;
            }
        }
        all
    }

    /// `pinball`, the mean of `max(q (y - p), (q - 1) (y - p))` over quantiles and values; and of several
    /// quantiles `crps`, twice that: the continuous ranked probability score is twice the integral of the
    /// pinball loss over all `q` (Gneiting and Ranjan 2011), here the mean over the predicted ones.
    pub fn quantile_metrics(&self, target: &FittedTarget) -> Vec<Metric> {
        let values = self.quantile_values(target);
        let count = self.quantiles.len();
        if values.is_empty() {
            return vec![];
        }
        let truth = self.true_values(target);
        let loss = |(at, p): (usize, &f64)| {
            let (q, below) = (self.quantiles[at % count], truth[at / count] - p);
            (q * below).max((q - 1.0) * below)
        };
        let losses: Vec<f64> = values.iter().enumerate().map(loss).collect();
        let width = self.outputs.max(1);
        let rows = losses.chunks(width).map(|row| row.iter().sum::<f64>() / row.len() as f64);
        let value = self.weighted().mean(rows);
        let crps = (count > 1).then_some(Metric { name: "crps", value: 2.0 * value });
        std::iter::once(Metric { name: "pinball", value }).chain(crps).collect()
    }

    /// The positions of the quantiles `q` and `1 - q` and the level `1 - 2 q` of every interval, the widest first.
    pub fn central(&self) -> Vec<(usize, usize, f64)> {
        let levels = &self.quantiles;
        let opposite = |low: usize| {
            let high = levels.iter().position(|q| (q + levels[low] - 1.0).abs() < 1e-9)?;
            (high > low).then(|| (low, high, rounded(levels[high] - levels[low])))
        };
        (0..levels.len()).filter_map(opposite).collect()
    }

    /// Every interval between predicted quantiles `q` and `1 - q`, the widest first.
    pub fn intervals(&self, target: &FittedTarget) -> Vec<Interval> {
        let levels = &self.quantiles;
        let values = self.quantile_values(target);
        let truth = self.true_values(target);
        let weights = self.weighted();
        let interval = |(low, high, level): (usize, usize, f64)| {
            let bounds = || values.chunks(levels.len()).map(|q| (q[low], q[high]));
            let is_inside =
                |((low, high), y): ((f64, f64), &f64)| f64::from(u8::from(low <= *y && *y <= high));
            let outputs = (self.outputs / levels.len()).max(1);
            let weight = |at: usize| weights.of(at / outputs);
            let mean = |values: &mut dyn Iterator<Item = f64>| {
                let sum: f64 = values.enumerate().map(|(at, value)| weight(at) * value).sum();
                Number(sum / (0..truth.len()).map(weight).sum::<f64>())
            };
            Interval {
                level,
                coverage: mean(&mut bounds().zip(&truth).map(is_inside)),
                mean_width: mean(&mut bounds().map(|(low, high)| high - low)),
            }
        };
        self.central().into_iter().map(interval).collect()
    }
}

/// A difference of levels without the last digits of its rounding: 0.8, not 0.8000000000000002.
fn rounded(level: f64) -> f64 {
    (level * 1e9).round() / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::FittedScaling;

    /// Two rows with the quantiles 10 %, 40 % and 90 %, the second row's crossing; values are 10 + 2 y.
    fn three() -> (Predictions, FittedTarget) {
        let predictions = Predictions {
            raw: vec![-1.0, 0.0, 1.0, 3.0, 1.0, 2.0],
            outputs: 3,
            quantiles: vec![0.1, 0.4, 0.9],
            truth: vec![2.0, 2.5],
            ..Predictions::default()
        };
        let scaling = FittedScaling::Affine { shift: 10.0, scale: 2.0 };
        (predictions, FittedTarget::Number { name: "y".into(), scaling })
    }

    #[test]
    fn crossing_quantiles_are_sorted_in_own_units() {
        let (predictions, target) = three();
        assert_eq!(predictions.quantile_values(&target), [8.0, 10.0, 12.0, 12.0, 14.0, 16.0]);
    }

    #[test]
    fn the_point_is_the_median_between_its_neighbours() {
        let (predictions, target) = three();
        let values = predictions.values(&target);
        // A fifth of the way from 40 % to 90 %.
        for (value, expected) in values.iter().zip([10.4, 14.4]) {
            assert!((value - expected).abs() < 1e-9, "{values:?}");
        }
        let of = |quantiles: Vec<f64>, raw: Vec<f32>| Predictions { raw, quantiles, ..predictions.clone() };
        assert_eq!(of(vec![0.25, 0.5], vec![-1.0, 1.0]).points(), [1.0]);
        assert_eq!(of(vec![0.6, 0.9], vec![-1.0, 1.0]).points(), [-1.0], "the nearest one");
        assert_eq!(of(vec![0.1, 0.2], vec![-1.0, 1.0]).points(), [1.0], "the nearest one");
        assert_eq!(of(vec![0.9], vec![3.0, 1.0]).points(), [3.0, 1.0]);
    }

    #[test]
    fn pinball_coverage_and_width_by_hand() {
        let (predictions, target) = three();
        // True values are 14 and 15: the first above all its quantiles, the second between 40 % and 90 %.
        let sum = 0.1 * 6.0 + 0.4 * 4.0 + 0.9 * 2.0 + 0.1 * 3.0 + 0.4 * 1.0 + 0.1 * 1.0;
        let metrics = predictions.quantile_metrics(&target);
        assert!(metrics[0].name == "pinball" && (metrics[0].value - sum / 6.0).abs() < 1e-12, "{metrics:?}");
        assert!(metrics[1].name == "crps" && (metrics[1].value - sum / 3.0).abs() < 1e-12, "{metrics:?}");
        let expected = Interval { level: 0.8, coverage: Number(0.5), mean_width: Number(4.0) };
        assert_eq!(predictions.intervals(&target), [expected]);
    }
}
