//! Intervals of forecasts that learn from the errors made so far: rows of a series are not exchangeable, as seasons
//! and levels change, so that a quantile of old scores need not hold.

use super::calibration::{Calibration, Intervals};
use super::quantile::Ranked;
use super::scores::Place;
use crate::data::{FittedTarget, Windows};
use crate::train::metrics::Predictions;

/// How fast the level follows errors.
const RATE: f64 = 0.01;
/// How much further intervals reach for levels above 1, in usual scores.
const GROWTH: f64 = 5.0;

impl Calibration {
    /// The intervals of windows of series with this coverage, each from what is known at the end of its window
    /// (adaptive conformal inference, Gibbs and Candes 2021, arXiv:2106.00170): after a true value outside its
    /// interval, the next ones are made from a larger quantile of the scores, after one inside, from a slightly
    /// smaller one. A level above 1 reaches beyond the largest score. Over a long series the coverage is as asked for, whatever the series does; each value of a row and
    /// each series has a level of its own. Without true values after the first window, these are the intervals of
    /// [`Calibration::intervals`].
    ///
    /// `truth` `[windows, values]` holds true values in own units, NaN where they are not known.
    pub fn adaptive(
        &self,
        predictions: &Predictions,
        target: &FittedTarget,
        windows: &Windows,
        truth: &[f64],
        coverage: f64,
    ) -> Intervals {
        let (places, ranked) = self.numbers(predictions, target, coverage);
        let values = ranked.len().max(1);
        let mut ends = vec![[0.0; 2]; places.len()];
        let mut series: Vec<Vec<usize>> = vec![vec![]; windows.members.names.len().max(1)];
        for row in 0..places.len() / values {
            let of = windows.members.of.get(row).map_or(0, |of| *of as usize);
            if let Some(rows) = series.get_mut(of) {
                rows.push(row);
            }
        }
        for rows in &series {
            for (value, scores) in ranked.iter().enumerate() {
                let step = value / windows.targets.max(1);
                let of = |row: usize| places[row * values + value];
                let known = |row: usize| truth.get(row * values + value).copied().unwrap_or(f64::NAN);
                let found = follow(rows, scores, coverage, windows, step, &of, &known);
                for (row, interval) in rows.iter().zip(found) {
                    ends[row * values + value] = interval;
                }
            }
        }
        Intervals::of(ends.into_iter(), target)
    }
}

/// The intervals of one value of the windows of a series, in the order of time.
fn follow<'a>(
    rows: &[usize],
    scores: &Ranked,
    coverage: f64,
    windows: &Windows,
    step: usize,
    place: &dyn Fn(usize) -> Place<'a>,
    truth: &dyn Fn(usize) -> f64,
) -> Vec<[f64; 2]> {
    let mut level = coverage;
    // The largest score may be far from all others, so that what is beyond it is measured by a usual one.
    let usual = scores.or_largest(coverage).abs();
    let mut found: Vec<[f64; 2]> = Vec::with_capacity(rows.len());
    let mut pending = 0;
    for &row in rows {
        // The stored row after the last one that the window sees.
        let now = windows.starts[row] as usize + windows.length;
        while pending < found.len()
            && windows.starts[rows[pending]] as usize + windows.first_target + step < now
        {
            let (y, [low, high]) = (truth(rows[pending]), found[pending]);
            if y.is_finite() {
                let missed = f64::from(u8::from(!(low <= y && y <= high)));
                level += RATE * (missed - (1.0 - coverage));
            }
            pending += 1;
        }
        let beyond = GROWTH * (level - 1.0).max(0.0) * usual;
        found.push(place(row).interval(scores.or_largest(level.max(0.0)) + beyond));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::rng;
    use crate::data::{FittedScaling, Members};

    /// Windows of 3 rows that predict the row `horizon` rows later, of two series of equal length.
    fn windows(count: usize, horizon: usize) -> Windows {
        let each = count / 2;
        let starts = (0..count).map(|i| (i + i / each * (3 + horizon)) as u32).collect();
        let members = Members {
            names: vec!["a".into(), "b".into()],
            scalings: vec![vec![FittedScaling::None]; 2],
            naive: vec![vec![None]; 2],
            of: (0..count).map(|i| (i / each) as u32).collect(),
        };
        let (first_target, members) = (2 + horizon, Arc::new(members));
        Windows { length: 3, first_target, steps: 1, targets: 1, starts, members, ..Windows::default() }
    }

    fn noise(row: usize) -> f64 {
        f64::from(rng::normal(rng::word([8, 1], 3, 0, row as u32)))
    }

    fn of(windows: Option<&Windows>, truth: &[f64]) -> Predictions {
        Predictions {
            raw: vec![0.0; truth.len()],
            outputs: 1,
            truth: truth.to_vec(),
            members: windows.map(|w| w.members.clone()),
            ..Predictions::default()
        }
    }

    /// A target, a calibration with standard normal errors, and errors that grow in the middle of each series.
    fn changing(rows: usize, growth: f64) -> (FittedTarget, Calibration, Vec<f64>) {
        let target = FittedTarget::Number { name: "y".into(), scaling: FittedScaling::None };
        let known: Vec<f64> = (0..1000).map(|i| noise(100_000 + i)).collect();
        let calibration = Calibration::new(&of(None, &known), &target, "w").unwrap();
        let half = rows / 2;
        let error = |row: usize| noise(row) * if row % half < half / 2 { 1.0 } else { growth };
        (target, calibration, (0..rows).map(error).collect())
    }

    fn covered(found: &Intervals, truth: &[f64]) -> f64 {
        let hits = truth.iter().enumerate().filter(|(at, y)| found.hold(*at, **y));
        hits.count() as f64 / truth.len() as f64
    }

    #[test]
    fn they_hold_in_series_that_change_where_a_quantile_does_not() {
        // For the last one, errors grow beyond all that was seen in calibration, which takes longer to follow.
        for (growth, horizon, rows) in [(2.0, 1, 8000), (2.0, 24, 8000), (0.4, 1, 8000), (8.0, 1, 40_000)] {
            let (target, calibration, truth) = changing(rows, growth);
            let windows = windows(rows, horizon);
            let predictions = of(Some(&windows), &truth);
            let found = calibration.adaptive(&predictions, &target, &windows, &truth, 0.9);
            let part = covered(&found, &truth);
            assert!((part - 0.9).abs() < 0.015, "{growth} {horizon}: {part}");
            let still = covered(&calibration.intervals(&predictions, &target, 0.9), &truth);
            assert!((still - 0.9).abs() > 0.03, "{growth}: {still}");
        }
    }

    #[test]
    fn nothing_is_known_before_its_time() {
        let (target, calibration, truth) = changing(400, 3.0);
        for horizon in [1, 5] {
            let windows = windows(400, horizon);
            let of_truth = |truth: &[f64]| {
                let predictions = of(Some(&windows), truth);
                calibration.adaptive(&predictions, &target, &windows, truth, 0.8)
            };
            let before = of_truth(&truth);
            let mut other = truth.clone();
            other[100] = if before.hold(100, truth[100]) { 1e6 } else { 0.0 };
            let after = of_truth(&other);
            // The row that window 100 predicts is seen by the window that ends there.
            let first = (0..400).find(|at| before.high[*at] != after.high[*at]);
            assert_eq!(first, Some(100 + horizon));
            assert_eq!(before.high[200..], after.high[200..], "the other series is another");
            // Without true values, all intervals are alike.
            let blind = calibration.adaptive(&of(Some(&windows), &truth), &target, &windows, &[], 0.8);
            assert_eq!(blind, calibration.intervals(&of(Some(&windows), &truth), &target, 0.8));
        }
    }
}
