//! Intervals of forecasts that learn from the errors made so far: rows of a series are not exchangeable, as seasons
//! and levels change, so that a quantile of old scores need not hold.

use super::calibration::{Calibration, Intervals};
use super::quantile::Ranked;
use super::scores::Place;
use crate::data::{FittedTarget, Windows};
use crate::train::metrics::Predictions;

/// How fast the level follows errors.
const RATE: f64 = 0.01;

impl Calibration {
    /// The intervals of windows of series with this coverage, each from what is known at the end of its window
    /// (adaptive conformal inference, Gibbs and Candes 2021, arXiv:2106.00170): after a true value outside its
    /// interval, the next ones are made from a larger quantile of the scores, after one inside, from a slightly
    /// smaller one. Over a long series the coverage is as asked for, whatever the series does; each value of a row and
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
    let mut found: Vec<[f64; 2]> = Vec::with_capacity(rows.len());
    let mut pending = 0;
    for &row in rows {
        // The stored row after the last one that the window sees.
        let now = windows.starts[row] as usize + windows.length;
        while pending < found.len() && windows.starts[rows[pending]] as usize + windows.first_target + step < now {
            let (y, [low, high]) = (truth(rows[pending]), found[pending]);
            if y.is_finite() {
                let missed = f64::from(u8::from(!(low <= y && y <= high)));
                level += RATE * (missed - (1.0 - coverage));
            }
            pending += 1;
        }
        found.push(place(row).interval(scores.or_largest(level.max(0.0))));
    }
    found
}
