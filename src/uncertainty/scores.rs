//! How unlike its prediction a true value is: the scores that conformal prediction ranks.

use crate::base::order::Order;
use crate::base::rng::{self, streams};
use crate::data::{FittedScaling, FittedTarget};
use crate::train::metrics::Predictions;

/// A predicted number where scores are measured: in the model's scaled units, in which errors of all sizes and all
/// series are alike; or in the target's own where scaling does not reach beyond the training values.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The lower predicted quantile; the prediction where there are none.
    pub low: f64,
    /// The upper one.
    pub high: f64,
    /// What errors are divided by.
    pub unit: f64,
    /// What leads to the target's own units.
    scaling: Option<&'a FittedScaling>,
}

impl Place<'_> {
    /// How far the true value, in units of the place, is outside the predicted quantiles, negative inside (Romano,
    /// Patterson and Candes 2019, equation 6); of a single prediction, the absolute error.
    pub fn score(&self, truth: f64) -> f64 {
        (self.low - truth).max(truth - self.high) / self.unit
    }

    /// The values whose score is at most `score`, in the target's own units.
    pub fn interval(&self, score: f64) -> [f64; 2] {
        let reach = score * self.unit;
        let (low, high) = (self.low - reach, self.high + reach);
        // Quantiles that are too far apart may leave nothing between them.
        let [low, high] = if low <= high { [low, high] } else { [f64::midpoint(low, high); 2] };
        [low, high].map(|end| self.scaling.map_or(end, |scaling| scaling.invert(end)))
    }
}

/// The quantiles that scores start from: those of an interval, or none.
pub type Pair = Option<(usize, usize)>;

/// The places of predicted numbers, `[rows, values]`.
pub fn places<'a>(predictions: &'a Predictions, target: &'a FittedTarget, pair: Pair) -> Vec<Place<'a>> {
    let count = predictions.quantiles.len().max(1);
    let values = (predictions.outputs / count).max(1);
    let points = if pair.is_none() { predictions.points() } else { vec![] };
    let sorted = if pair.is_some() { predictions.sorted() } else { vec![] };
    let place = |at: usize| {
        let [low, high] = match pair {
            Some((low, high)) => [low, high].map(|level| sorted[at * count + level]),
            None => [points[at]; 2],
        };
        if let FittedTarget::Rate { .. } = target {
            // The deviation of counts grows as the root of their mean.
            let mean = target.linked(low);
            return Place { low: mean, high: mean, unit: mean.max(f64::MIN_POSITIVE).sqrt(), scaling: None };
        }
        let scaling = scaling(predictions, target, at, values);
        match scaling {
            Some(FittedScaling::Quantile { .. }) => {
                let own = |y: f64| scaling.map_or(y, |scaling| scaling.invert(y));
                Place { low: own(low), high: own(high), unit: 1.0, scaling: None }
            }
            _ => Place { low, high, unit: 1.0, scaling },
        }
    };
    (0..predictions.raw.len() / count).map(place).collect()
}

/// The scaling of value `at`, of `values` in each row.
fn scaling<'a>(
    predictions: &'a Predictions,
    target: &'a FittedTarget,
    at: usize,
    values: usize,
) -> Option<&'a FittedScaling> {
    match &predictions.members {
        Some(members) => {
            let of = members.scalings.get(*members.of.get(at / values)? as usize)?;
            of.get(at % values % of.len().max(1))
        }
        None => target.scaling(at % values),
    }
}

/// The scores of true values, `[rows, values]`.
pub fn of_numbers(predictions: &Predictions, target: &FittedTarget, pair: Pair) -> Vec<f64> {
    let own = predictions.true_values(target);
    let score = |(at, place): (usize, &Place)| {
        // The scaled truth is rounded to the model's precision, the one in own units came from it.
        let truth = if place.scaling.is_some() { predictions.truth[at] } else { own[at] };
        place.score(truth)
    };
    places(predictions, target, pair).iter().enumerate().map(score).collect()
}

/// How sets of classes are chosen.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Sets {
    /// Classes whose probability reaches a threshold: the smallest sets on average (Sadinle, Lei and Wasserman 2019).
    #[default]
    Lac,
    /// The most probable classes up to a sum of probabilities, at random which is the last one: sets that are larger
    /// where the model is less sure (Romano, Sesia and Candes 2020).
    Aps,
}

impl Sets {
    /// The score of the class `class` of a row with these probabilities; `draw` is uniform in `[0, 1)`.
    pub fn score(self, probabilities: &[f64], class: usize, draw: f64) -> f64 {
        let own = probabilities.get(class).copied().unwrap_or(0.0);
        match self {
            Self::Lac => 1.0 - own,
            Self::Aps => {
                let is_before = |at: usize, p: f64| p > own || (p == own && at < class);
                let before = probabilities.iter().enumerate().filter(|(at, p)| is_before(*at, **p));
                before.map(|(_, p)| p).sum::<f64>() + draw * own
            }
        }
    }

    /// The classes whose score is at most `score`, the most probable first.
    pub fn set(self, probabilities: &[f64], score: f64, draw: f64) -> Vec<usize> {
        let mut set: Vec<usize> =
            (0..probabilities.len()).filter(|&c| self.score(probabilities, c, draw) <= score).collect();
        set.order_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
        set
    }
}

/// The rows that draws are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draws {
    /// Rows that scores are calibrated with.
    Calibration = 0,
    /// Rows to predict.
    Prediction = 1,
}

impl Draws {
    /// The draw of a row, in `[0, 1)`: the same for the same row number.
    pub fn of(self, row: usize) -> f64 {
        f64::from(rng::uniform(rng::word([0, 0], streams::CONFORMAL, self as u32, row as u32)))
    }
}

/// The scores of the true classes, `[rows]`.
pub fn of_classes(predictions: &Predictions, sets: Sets, draws: Draws) -> Vec<f64> {
    let rows = predictions.probabilities();
    let score = |(row, (p, truth)): (usize, (&Vec<f64>, &f64))| sets.score(p, *truth as usize, draws.of(row));
    rows.iter().zip(&predictions.truth).enumerate().map(score).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(scaling: FittedScaling) -> FittedTarget {
        FittedTarget::Number { name: "y".into(), scaling }
    }

    #[test]
    fn scores_of_quantiles_are_those_of_brute_force() {
        let predictions = Predictions {
            raw: vec![-1.0, 0.5, 1.0, 0.4, -0.3, 2.0],
            outputs: 3,
            quantiles: vec![0.1, 0.5, 0.9],
            truth: vec![1.75, 0.0],
            ..Predictions::default()
        };
        let target = target(FittedScaling::Affine { shift: 10.0, scale: 4.0 });
        let found = of_numbers(&predictions, &target, Some((0, 2)));
        // The second row's quantiles cross: sorted they are -0.3, 0.4 and 2.
        let expected = [0.75, -0.3f32 as f64];
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-9), "{found:?}");
        // A value lies within the interval of a score if and only if its own is at most that.
        for (row, place) in places(&predictions, &target, Some((0, 2))).iter().enumerate() {
            for step in -40..40 {
                let (truth, score) = (f64::from(step) * 0.1 + 0.01, f64::from(row as u32) * 0.3 + 0.2);
                let [low, high] = place.interval(score);
                let own = truth * 4.0 + 10.0;
                assert_eq!(place.score(truth) <= score, low <= own && own <= high, "{truth} {score}");
            }
        }
    }

    #[test]
    fn intervals_of_logarithms_and_counts_are_wider_above() {
        let predictions =
            Predictions { raw: vec![1.0], outputs: 1, truth: vec![1.5], ..Predictions::default() };
        let logarithm = target(FittedScaling::Log1p { shift: 0.0, scale: 1.0 });
        let place = places(&predictions, &logarithm, None)[0];
        let [low, high] = place.interval(0.5);
        assert!((low - 0.5f64.exp_m1()).abs() < 1e-12 && (high - 1.5f64.exp_m1()).abs() < 1e-12);
        let rate = FittedTarget::Rate { name: "y".into() };
        let mean = 1f64.exp();
        let score = of_numbers(&predictions, &rate, None)[0];
        assert!((score - (mean - 1.5) / mean.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn targets_beyond_a_quantile_scaling_count_with_their_own_error() {
        let scaling = FittedScaling::Quantile { points: vec![0.0, 1.0, 2.0] };
        let target = target(scaling.clone());
        let predictions =
            Predictions { raw: vec![0.0], outputs: 1, truth: vec![0.0], ..Predictions::default() };
        let place = places(&predictions, &target, None)[0];
        assert_eq!(place.interval(7.0), [-6.0, 8.0]);
        assert_eq!(place.score(9.0), 8.0);
    }

    /// The sets as the papers define them: classes sorted by probability, and a uniform draw for the last one.
    fn plain(sets: Sets, p: &[f64], score: f64, draw: f64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..p.len()).collect();
        order.sort_by(|&a, &b| p[b].total_cmp(&p[a]));
        let mut sum = 0.0;
        let mut set = vec![];
        for class in order {
            let keep = match sets {
                Sets::Lac => p[class] >= 1.0 - score,
                Sets::Aps => sum + draw * p[class] <= score,
            };
            if keep {
                set.push(class);
            }
            sum += p[class];
        }
        set
    }

    #[test]
    fn sets_are_those_of_a_plain_reference() {
        for case in 0..200u32 {
            let weights: Vec<f64> = (0..5).map(|k| f64::from(1 + case * (k + 3) % 17)).collect();
            let total: f64 = weights.iter().sum();
            let p: Vec<f64> = weights.iter().map(|w| w / total).collect();
            let (score, draw) = (f64::from(case % 23) / 22.5 + 1e-4, f64::from(case % 7) / 7.0);
            for sets in [Sets::Lac, Sets::Aps] {
                assert_eq!(sets.set(&p, score, draw), plain(sets, &p, score, draw), "{sets:?} {p:?} {score}");
            }
        }
    }

    #[test]
    fn scores_of_random_sets_are_uniform_if_probabilities_are_right() {
        // True classes drawn with the predicted probabilities: the randomised score is uniform.
        let mut below = [0usize; 10];
        let rows = 20_000usize;
        for row in 0..rows {
            let a = 0.2 + 0.6 * Draws::Calibration.of(3 * row);
            let p = [a, 0.7 * (1.0 - a), 0.3 * (1.0 - a)];
            let u = Draws::Calibration.of(3 * row + 1);
            let class = if u < p[0] {
                0
            } else if u < p[0] + p[1] {
                1
            } else {
                2
            };
            let score = Sets::Aps.score(&p, class, Draws::Calibration.of(3 * row + 2));
            below[((score * 10.0) as usize).min(9)] += 1;
        }
        let deviation = (rows as f64 * 0.09).sqrt();
        assert!(below.iter().all(|n| (*n as f64 - 2000.0).abs() < 4.0 * deviation), "{below:?}");
    }
}
