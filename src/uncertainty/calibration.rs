//! What intervals and sets of a model are calibrated with: the scores of rows that it was not trained on.

use serde::Serialize;

use super::quantile::Ranked;
use super::scores::{self, Draws, Pair, Place, Sets};
use crate::base::number::figure;
use crate::data::FittedTarget;
use crate::train::metrics::Predictions;
use crate::train::weights::Weights;

/// Scores of calibration rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Scores {
    /// Of numbers, `[rows, values]` for each interval between predicted quantiles; of the prediction itself where
    /// there are no quantiles.
    Numbers {
        /// Values of a row.
        values: usize,
        /// The levels of the intervals, the widest first; none without quantiles.
        levels: Vec<f64>,
        /// The scores, in the order of the levels.
        each: Vec<Vec<f64>>,
    },
    /// Of classes, `[rows]`.
    Classes {
        /// For sets of likely classes.
        lac: Vec<f64>,
        /// For randomised sets.
        aps: Vec<f64>,
    },
}

/// What a model is calibrated with.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// SHA-256 of the weights that made the predictions.
    pub of: String,
    /// Number of rows.
    pub rows: usize,
    /// Their weights; empty if all count the same.
    pub weights: Vec<f64>,
    /// Their scores.
    pub scores: Scores,
}

/// How scores are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Distance from the prediction, in the units that the model works in.
    AbsoluteError,
    /// Distance from the predicted mean, divided by its root.
    PearsonResidual,
    /// Distance from the interval between predicted quantiles.
    Quantiles,
    /// One minus the probability of the class.
    Lac,
    /// Sum of the probabilities up to the class.
    Aps,
}

/// Intervals of predicted numbers in the target's own units, `[rows, values]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Intervals {
    /// Lower ends.
    pub low: Vec<f64>,
    /// Upper ends.
    pub high: Vec<f64>,
}

impl Calibration {
    /// The scores of predictions of rows that the weights with digest `of` were not trained on; `None` if what they
    /// predict has no intervals or sets.
    pub fn new(predictions: &Predictions, target: &FittedTarget, of: &str) -> Option<Self> {
        let rows = predictions.raw.len() / predictions.outputs.max(1);
        let scores = if !target.classes().is_empty() {
            let of = |sets| scores::of_classes(predictions, sets, Draws::Calibration);
            Scores::Classes { lac: of(Sets::Lac), aps: of(Sets::Aps) }
        } else if target.numbers().is_empty() {
            return None;
        } else {
            let central = predictions.central();
            let pairs: Vec<Pair> = match central.is_empty() {
                true => vec![None],
                false => central.iter().map(|(low, high, _)| Some((*low, *high))).collect(),
            };
            Scores::Numbers {
                values: target.outputs(),
                levels: central.iter().map(|(.., level)| *level).collect(),
                each: pairs.into_iter().map(|pair| scores::of_numbers(predictions, target, pair)).collect(),
            }
        };
        Some(Self { of: of.into(), rows, weights: predictions.weights.clone(), scores })
    }

    /// How scores are measured.
    pub fn method(&self, target: &FittedTarget, sets: Sets) -> Method {
        match (&self.scores, sets, target) {
            (Scores::Classes { .. }, Sets::Lac, _) => Method::Lac,
            (Scores::Classes { .. }, Sets::Aps, _) => Method::Aps,
            (Scores::Numbers { levels, .. }, ..) if !levels.is_empty() => Method::Quantiles,
            (_, _, FittedTarget::Rate { .. }) => Method::PearsonResidual,
            _ => Method::AbsoluteError,
        }
    }

    /// Why intervals or sets of this coverage cannot be had, if they cannot: there are too few rows, and what coverage
    /// they allow.
    pub fn problem(&self, coverage: f64) -> Option<String> {
        if !(coverage > 0.0 && coverage < 1.0) {
            return Some(format!("= {coverage} must be a part above 0 and below 1, such as 0.9"));
        }
        let least = Ranked::least(coverage);
        (self.rows < least).then(|| {
            // Rounded down, so that it can be had.
            let most = (1000.0 * self.rows as f64 / (self.rows as f64 + 1.0)).floor() / 1000.0;
            format!(
                "= {coverage} needs at least {least} validation rows to be calibrated with; the run has {}, enough for \
                 {} at most",
                self.rows,
                figure(most)
            )
        })
    }

    /// The quantiles that the interval of a coverage starts from: those whose level is the nearest; and their number.
    fn nearest(&self, predictions: &Predictions, coverage: f64) -> (usize, Pair) {
        let central = predictions.central();
        let off = |at: &usize| (central[*at].2 - coverage).abs();
        let at = (0..central.len()).min_by(|a, b| off(a).total_cmp(&off(b)));
        at.map_or((0, None), |at| (at, Some((central[at].0, central[at].1))))
    }

    /// The predicted places and the ranked scores of each value, from which intervals are made.
    pub(super) fn numbers<'a>(
        &self,
        predictions: &'a Predictions,
        target: &'a FittedTarget,
        coverage: f64,
    ) -> (Vec<Place<'a>>, Vec<Ranked>) {
        let Scores::Numbers { values, each, .. } = &self.scores else { return (vec![], vec![]) };
        let (at, pair) = self.nearest(predictions, coverage);
        let scores = each.get(at).map_or(&[][..], |scores| &scores[..]);
        let of = |value: usize| -> Vec<f64> { scores.iter().skip(value).step_by(*values).copied().collect() };
        let ranked = (0..*values).map(|value| Ranked::new(&of(value), Weights(&self.weights))).collect();
        (scores::places(predictions, target, pair), ranked)
    }

    /// The intervals of predicted numbers with this coverage.
    pub fn intervals(&self, predictions: &Predictions, target: &FittedTarget, coverage: f64) -> Intervals {
        let (places, ranked) = self.numbers(predictions, target, coverage);
        let reach: Vec<f64> = ranked.iter().map(|scores| scores.or_largest(coverage)).collect();
        let ends = places.iter().zip(reach.iter().cycle()).map(|(place, reach)| place.interval(*reach));
        Intervals::of(ends, target)
    }

    /// The sets of classes with this coverage, by row, the most probable class first.
    pub fn sets(&self, predictions: &Predictions, sets: Sets, coverage: f64) -> Vec<Vec<usize>> {
        let Scores::Classes { lac, aps } = &self.scores else { return vec![] };
        let scores = if sets == Sets::Lac { lac } else { aps };
        let score = Ranked::new(scores, Weights(&self.weights)).or_largest(coverage);
        let rows = predictions.probabilities();
        rows.iter().enumerate().map(|(row, p)| sets.set(p, score, Draws::Prediction.of(row))).collect()
    }
}

impl Intervals {
    /// Intervals with these ends; those of counts begin at 0.
    pub(super) fn of(ends: impl Iterator<Item = [f64; 2]>, target: &FittedTarget) -> Self {
        let least = if let FittedTarget::Rate { .. } = target { 0.0 } else { f64::NEG_INFINITY };
        let (low, high) = ends.map(|[low, high]| (low.max(least), high.max(least))).unzip();
        Self { low, high }
    }

    /// Whether value `at` lies within its interval, ends included.
    pub fn hold(&self, at: usize, truth: f64) -> bool {
        self.low[at] <= truth && truth <= self.high[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng;
    use crate::data::FittedScaling;

    fn normal(row: usize, stream: u32) -> f64 {
        f64::from(rng::normal(rng::word([3, 1], stream, 0, row as u32)))
    }

    /// Rows whose noise grows with the prediction.
    fn rows(count: usize, stream: u32, quantiles: &[f64]) -> Predictions {
        let (mut raw, mut truth) = (vec![], vec![]);
        for row in 0..count {
            let x = (row % 10) as f64 / 10.0;
            truth.push(x + (0.2 + x) * normal(row, stream));
            let spread = |q: f64| (x + (0.18 + 0.9 * x) * rng::normal_quantile(q)) as f32;
            match quantiles {
                [] => raw.push(x as f32),
                levels => raw.extend(levels.iter().map(|q| spread(*q))),
            }
        }
        Predictions {
            raw,
            outputs: quantiles.len().max(1),
            quantiles: quantiles.to_vec(),
            truth,
            ..Predictions::default()
        }
    }

    fn covered(found: &Intervals, rows: &Predictions, target: &FittedTarget) -> f64 {
        let truth = rows.true_values(target);
        let hits = truth.iter().enumerate().filter(|(at, y)| found.hold(*at, **y)).count();
        hits as f64 / truth.len() as f64
    }

    #[test]
    fn intervals_cover_what_they_promise_and_quantiles_also_where_noise_is_large() {
        let scaling = FittedScaling::Affine { shift: 3.0, scale: 5.0 };
        let target = FittedTarget::Number { name: "y".into(), scaling };
        for quantiles in [&[][..], &[0.05, 0.5, 0.95][..]] {
            let calibration = Calibration::new(&rows(4000, 1, quantiles), &target, "w").unwrap();
            let test = rows(4000, 2, quantiles);
            for coverage in [0.5, 0.8, 0.9, 0.99] {
                let found = calibration.intervals(&test, &target, coverage);
                let part = covered(&found, &test, &target);
                assert!((part - coverage).abs() < 0.02, "{coverage} of {quantiles:?}: {part}");
            }
            let found = calibration.intervals(&test, &target, 0.9);
            let noisy = |at: &usize| at % 10 == 9;
            let truth = test.true_values(&target);
            let hits = (0..4000).filter(noisy).filter(|&at| found.hold(at, truth[at])).count();
            let part = hits as f64 / 400.0;
            // The quantiles know where the noise is, a single prediction does not.
            let expected = if quantiles.is_empty() { 0.55..0.8 } else { 0.84..0.96 };
            assert!(expected.contains(&part), "{quantiles:?}: {part}");
        }
    }

    /// `tests/pytorch/uncertainty.py` made these with NumPy.
    #[test]
    fn sets_are_those_that_numpy_finds() {
        let all: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/pytorch/uncertainty.json")).unwrap();
        let mut x = 12u64;
        let mut next = || {
            x = (1_103_515_245 * x + 12_345) % (1 << 31);
            (((x >> 16) % 128) as f32 - 64.0) / 16.0
        };
        let raw: Vec<f32> = (0..1500).map(|_| next()).collect();
        let labels = all["5"]["labels"].as_array().unwrap();
        let truth: Vec<f64> = labels.iter().filter_map(serde_json::Value::as_f64).collect();
        let of = |rows: std::ops::Range<usize>| Predictions {
            raw: raw[5 * rows.start..5 * rows.end].to_vec(),
            outputs: 5,
            truth: truth[rows].to_vec(),
            ..Predictions::default()
        };
        let names = ["a", "b", "c", "d", "e"].map(String::from).to_vec();
        let target = FittedTarget::Classes { name: "y".into(), names };
        let calibration = Calibration::new(&of(0..200), &target, "w").unwrap();
        let sizes: Vec<u64> =
            calibration.sets(&of(200..300), Sets::Lac, 0.9).iter().map(|set| set.len() as u64).collect();
        let expected = all["lac"]["sizes"].as_array().unwrap();
        assert_eq!(sizes, expected.iter().filter_map(serde_json::Value::as_u64).collect::<Vec<_>>());
    }

    #[test]
    fn each_target_has_its_own_reach_and_scores_outlast_a_file() {
        let columns = vec!["a".to_string(), "b".to_string()];
        let scalings = vec![FittedScaling::None; 2];
        let target = FittedTarget::Numbers { columns, scalings, steps: 1 };
        let truth: Vec<f64> = (0..200).flat_map(|row| [normal(row, 5), 100.0 * normal(row, 6)]).collect();
        let predictions = Predictions { raw: vec![0.0; 400], outputs: 2, truth, ..Predictions::default() };
        let calibration = Calibration::new(&predictions, &target, "abc").unwrap();
        let found = calibration.intervals(&predictions, &target, 0.8);
        assert!((1.0..1.6).contains(&found.high[0]) && (100.0..160.0).contains(&found.high[1]));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("calibration.safetensors");
        calibration.save(&path).unwrap();
        assert_eq!(Calibration::load(&path, "abc").unwrap(), Some(calibration));
        assert_eq!(Calibration::load(&path, "other").unwrap(), None);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            std::fs::write(&path, &bytes).unwrap();
            let read = Calibration::load(&path, "abc");
            assert!(!matches!(read, Ok(Some(_))), "byte {at} changed was not noticed");
        }
    }

    #[test]
    fn too_few_rows_are_told_with_what_they_are_enough_for() {
        let target = FittedTarget::Number { name: "y".into(), scaling: FittedScaling::None };
        let calibration = Calibration::new(&rows(68, 1, &[]), &target, "w").unwrap();
        assert_eq!(calibration.problem(0.98), None);
        let problem = calibration.problem(0.99).unwrap();
        assert!(problem.contains("at least 99") && problem.contains("0.985 at most"), "{problem}");
        assert!(calibration.problem(1.0).is_some() && calibration.problem(f64::NAN).is_some());
        assert_eq!(calibration.problem(0.985), None);
    }
}
