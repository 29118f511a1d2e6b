//! How often intervals and sets hold, and how large they are: over all rows and by groups of them, where intervals that
//! are right on the whole may be too narrow.

use serde::Serialize;

use super::calibration::{Calibration, Intervals, Method};
use super::scores::Sets;
use crate::base::number::Number;
use crate::data::{Dataset, FittedTarget};
use crate::train::metrics::Predictions;
use crate::train::weights::Weights;

/// Levels that are measured besides the one asked for.
const LEVELS: [f64; 6] = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95];
/// Groups of predictions by size.
const QUARTERS: usize = 4;

/// How intervals or sets hold for some rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// How scores are measured.
    pub method: Method,
    /// Whether intervals follow the errors made so far, as those of series do.
    pub adaptive: bool,
    /// Rows that they are calibrated with.
    pub calibration_rows: usize,
    /// At the level asked for.
    #[serde(flatten)]
    pub asked: Level,
    /// At other levels, ascending.
    pub by_level: Vec<Level>,
    /// By target and step, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_target: Vec<Group>,
    /// By quarter of the predictions, or by true class; and by series, where they have names.
    pub by_group: Vec<Group>,
}

/// Coverage at a level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Level {
    /// The part of the true values that should be covered.
    pub level: f64,
    /// The part that is.
    pub coverage: Number,
    /// Mean width of intervals; infinite values are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_width: Option<Number>,
    /// Mean number of classes in a set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_size: Option<Number>,
    /// The part of the sets that have no class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty: Option<Number>,
}

/// Coverage in a group of rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// Its name.
    pub group: String,
    /// Number of true values in it.
    pub values: usize,
    /// The part of them that is covered.
    pub coverage: Number,
    /// Mean width of their intervals, or number of classes in their sets.
    pub mean_size: Number,
}

/// Whether each true value is covered, and the size of its interval or set, `[rows, values]`.
struct Held {
    hits: Vec<(bool, f64)>,
    values: usize,
}

impl Held {
    /// The part covered and the mean size, of the values that `of` selects; and their number.
    fn mean(&self, weights: Weights, of: impl Fn(usize) -> bool) -> (usize, f64, f64) {
        let (mut count, mut total, mut covered, mut size) = (0, 0.0, 0.0, 0.0);
        for (at, (hit, width)) in self.hits.iter().enumerate().filter(|(at, _)| of(*at)) {
            let weight = weights.of(at / self.values);
            count += 1;
            total += weight;
            covered += weight * f64::from(u8::from(*hit));
            size += weight * width;
        }
        (count, covered / total, size / total)
    }

    fn group(&self, weights: Weights, group: String, of: impl Fn(usize) -> bool) -> Group {
        let (values, coverage, size) = self.mean(weights, of);
        Group { group, values, coverage: Number(coverage), mean_size: Number(size) }
    }
}

/// What is measured, and how.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What predictions are calibrated with.
    pub calibration: &'a Calibration,
    /// What was predicted.
    pub target: &'a FittedTarget,
    /// How sets are chosen.
    pub sets: Sets,
}

impl Asked<'_> {
    /// The intervals of predicted numbers with this coverage: those of series follow the errors made so far, as far as
    /// true values are known at the time.
    pub fn intervals(&self, rows: &Dataset, predictions: &Predictions, coverage: f64) -> Intervals {
        match &rows.windows {
            Some(windows) => {
                let truth = &windows.baselines.truth;
                self.calibration.adaptive(predictions, self.target, windows, truth, coverage)
            }
            None => self.calibration.intervals(predictions, self.target, coverage),
        }
    }

    fn hold(&self, rows: &Dataset, predictions: &Predictions, coverage: f64) -> Held {
        if !self.target.classes().is_empty() {
            let sets = self.calibration.sets(predictions, self.sets, coverage);
            let truth = predictions.truth.iter().map(|class| *class as usize);
            let hits = sets.iter().zip(truth).map(|(set, class)| (set.contains(&class), set.len() as f64));
            return Held { hits: hits.collect(), values: 1 };
        }
        let found = self.intervals(rows, predictions, coverage);
        let truth = predictions.true_values(self.target);
        let hit = |(at, y): (usize, &f64)| (found.hold(at, *y), found.high[at] - found.low[at]);
        Held { hits: truth.iter().enumerate().map(hit).collect(), values: self.target.outputs().max(1) }
    }

    /// How intervals or sets hold for rows with a target, at the level `coverage` and at others.
    pub fn measure(&self, rows: &Dataset, predictions: &Predictions, coverage: f64) -> Measured {
        let classes = self.target.classes();
        let weights = predictions.weighted();
        let level = |level: f64| {
            let held = self.hold(rows, predictions, level);
            let (_, part, size) = held.mean(weights, |_| true);
            let is_set = !classes.is_empty();
            let empty = Held {
                hits: held.hits.iter().map(|(_, size)| (*size == 0.0, 0.0)).collect(),
                values: held.values,
            };
            Level {
                level,
                coverage: Number(part),
                mean_width: (!is_set).then_some(Number(size)),
                mean_size: is_set.then_some(Number(size)),
                empty: is_set.then(|| Number(empty.mean(weights, |_| true).1)),
            }
        };
        let held = self.hold(rows, predictions, coverage);
        let mut levels: Vec<f64> =
            LEVELS.into_iter().filter(|l| self.calibration.problem(*l).is_none()).collect();
        if !levels.contains(&coverage) {
            levels.push(coverage);
            levels.sort_by(f64::total_cmp);
        }
        let titles = self.target.titles();
        let by_target = match titles.len() {
            0 | 1 => vec![],
            _ if !classes.is_empty() => vec![],
            count => {
                let of = |(at, title): (usize, String)| held.group(weights, title, move |v| v % count == at);
                titles.into_iter().enumerate().map(of).collect()
            }
        };
        Measured {
            method: self.calibration.method(self.target, self.sets),
            adaptive: rows.windows.is_some() && classes.is_empty(),
            calibration_rows: self.calibration.rows,
            asked: level(coverage),
            by_level: levels.into_iter().map(level).collect(),
            by_target,
            by_group: self.groups(&held, predictions),
        }
    }

    fn groups(&self, held: &Held, predictions: &Predictions) -> Vec<Group> {
        let weights = predictions.weighted();
        let classes = self.target.classes();
        let mut groups: Vec<Group> = if classes.is_empty() {
            let quarters = quarters(&predictions.values(self.target), held.values);
            let names =
                ["smallest quarter of predictions", "second quarter", "third quarter", "largest quarter"];
            let of = |(quarter, name): (usize, &str)| {
                held.group(weights, name.into(), |value| quarters.get(value) == Some(&quarter))
            };
            names.into_iter().enumerate().map(of).collect()
        } else {
            let of = |(class, name): (usize, &String)| {
                held.group(weights, name.clone(), |row| predictions.truth[row] as usize == class)
            };
            classes.iter().enumerate().map(of).collect()
        };
        if let Some(members) = predictions.members.as_ref().filter(|members| members.names.len() > 1) {
            let of = |(series, name): (usize, &String)| {
                held.group(weights, name.clone(), |value| {
                    members.of.get(value / held.values).is_some_and(|of| *of as usize == series)
                })
            };
            groups.extend(members.names.iter().enumerate().map(of));
        }
        groups.retain(|group| group.values > 0);
        groups
    }
}

/// The quarter of each value among all of its kind, by size; of equal ones, by row.
fn quarters(predicted: &[f64], values: usize) -> Vec<usize> {
    let mut quarters = vec![0; predicted.len()];
    let rows = predicted.len() / values.max(1);
    for value in 0..values {
        let mut order: Vec<usize> = (0..rows).map(|row| row * values + value).collect();
        order.sort_by(|&a, &b| predicted[a].total_cmp(&predicted[b]));
        for (rank, at) in order.into_iter().enumerate() {
            quarters[at] = QUARTERS * rank / rows;
        }
    }
    quarters
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::FittedScaling;

    #[test]
    fn coverage_and_width_by_hand() {
        let target = FittedTarget::Number { name: "y".into(), scaling: FittedScaling::None };
        let of = |raw: &[f32], truth: &[f64], weights: &[f64]| Predictions {
            raw: raw.to_vec(),
            outputs: 1,
            truth: truth.to_vec(),
            weights: weights.to_vec(),
            ..Predictions::default()
        };
        // Errors 1 to 9: the interval of 80 % reaches to the eighth.
        let errors: Vec<f64> = (1..10).map(f64::from).collect();
        let calibration = Calibration::new(&of(&[0.0; 9], &errors, &[]), &target, "w").unwrap();
        let asked = Asked { calibration: &calibration, target: &target, sets: Sets::Lac };
        let test = of(&[10.0, 20.0, 30.0, 40.0], &[17.0, 29.0, 30.0, 49.0], &[1.0, 1.0, 1.0, 5.0]);
        let found = asked.measure(&Dataset { rows: 4, ..Dataset::default() }, &test, 0.8);
        assert_eq!((found.asked.coverage, found.asked.mean_width), (Number(0.25), Some(Number(16.0))));
        let parts: Vec<f64> = found.by_group.iter().map(|group| group.coverage.0).collect();
        assert_eq!(parts, [1.0, 0.0, 1.0, 0.0]);
        assert_eq!(found.by_level.iter().map(|l| l.level).collect::<Vec<_>>(), [0.5, 0.6, 0.7, 0.8, 0.9]);
    }
}
