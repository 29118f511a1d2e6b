//! Shapley values (Lundberg, Lee 2017, "A unified approach to interpreting model predictions"),
//! interventional: the value of a set of columns is the mean prediction over background rows that take these
//! columns from the explained row. Over all columns they sum to the prediction minus the mean prediction of
//! the background.

use super::network::{Given, Network, Probe, Wanted};
use super::points::{Points, words};
use super::response::Response;
use crate::base::rng::{self, streams};
use crate::train::TrainError;

/// With more columns, sets of them are sampled.
pub const MOST_EXACT: usize = 12;
/// Numbers of points that are held at once at most.
const HELD: usize = 1 << 22;

/// Shapley values of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Shapley {
    /// `[rows, columns]`
    pub values: Vec<f64>,
    /// Standard errors of sampled values, `[rows, columns]`; empty if they are exact.
    pub errors: Vec<f64>,
    /// Mean prediction of the background, for what is explained of each row.
    pub base: Vec<f64>,
    /// Prediction of each row.
    pub predicted: Vec<f64>,
    /// What is explained of each row: a position among [`Response::names`], or `None` for their mean.
    pub chosen: Vec<Option<usize>>,
}

/// The points of one row whose columns are mixed with background rows.
struct Mixer<'a> {
    network: &'a Network<'a>,
    probe: Probe,
    response: &'a Response<'a>,
    x: Vec<f32>,
    values: Vec<f64>,
    chosen: Option<usize>,
}

impl Mixer<'_> {
    /// Appends the background row with the columns of `set` taken from `row`.
    fn push(
        &mut self,
        row: &[f32],
        background: &[f32],
        set: impl Fn(usize) -> bool,
    ) -> Result<(), TrainError> {
        let start = self.x.len();
        self.x.extend_from_slice(background);
        let point = &mut self.x[start..];
        for (at, unit) in self.network.space.units.iter().enumerate() {
            if set(at) {
                unit.inputs.iter().for_each(|&input| point[input] = row[input]);
            }
        }
        if self.x.len() >= HELD { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), TrainError> {
        let rows = self.x.len() / self.network.space.width().max(1);
        if rows > 0 {
            let raw = self.probe.run(&self.x, Given::default())?.swap_remove(0);
            let values = self.response.of(raw, rows);
            self.values.extend(self.response.pick(&values, std::iter::repeat_n(self.chosen, rows)));
            self.x.clear();
        }
        Ok(())
    }

    /// The predictions of all points pushed since the last call.
    fn take(&mut self) -> Result<Vec<f64>, TrainError> {
        self.flush()?;
        Ok(std::mem::take(&mut self.values))
    }
}

/// Number of predictions needed for one row.
pub fn predictions_per_row(columns: usize, background: usize, pairs: usize) -> usize {
    match columns {
        0..=MOST_EXACT => background << columns,
        _ => 2 * pairs * background * (columns + 1),
    }
}

/// Shapley values of rows relative to background rows. Up to [`MOST_EXACT`] columns they are exact; with
/// more, the mean over random orders of the columns, each followed by its reverse, `pairs` such pairs for
/// each background row (Mitchell et al. 2022, "Sampling permutations for Shapley value estimation").
///
/// # Errors
/// If the device fails.
pub fn shapley(
    network: &Network,
    points: &Points,
    background: &Points,
    response: &Response,
    pairs: usize,
    seed: u64,
) -> Result<Shapley, TrainError> {
    let (width, columns) = (network.space.width(), network.space.units.len());
    let mut probe = network.probe(Wanted::Outputs, usize::MAX)?;
    let mut all = |of: &Points| -> Result<Vec<f64>, TrainError> {
        Ok(response.of(probe.run(&of.x, Given::default())?.swap_remove(0), of.count))
    };
    let values = all(points)?;
    let chosen = response.chosen(&values);
    let predicted = response.pick(&values, chosen.iter().copied());
    let before = all(background)?;
    let mean = |&at: &Option<usize>| {
        let each = response.pick(&before, std::iter::repeat_n(at, background.count));
        each.iter().sum::<f64>() / background.count.max(1) as f64
    };
    let base = chosen.iter().map(mean).collect();
    let mut mixer = Mixer { network, probe, response, x: vec![], values: vec![], chosen: None };
    let mut found = Shapley { values: vec![], errors: vec![], base, predicted, chosen };
    for (at, row) in points.x.chunks(width).enumerate() {
        mixer.chosen = found.chosen[at];
        if columns <= MOST_EXACT {
            found.values.extend(exact(&mut mixer, row, background)?);
        } else {
            // The same orders for every row, so that rows are comparable.
            let (values, errors) = sampled(&mut mixer, row, background, pairs, seed)?;
            found.values.extend(values);
            found.errors.extend(errors);
        }
    }
    Ok(found)
}

/// The sum over all sets `S` without the column of `|S|! (m - |S| - 1)! / m!` times what the column adds to
/// the value of `S`.
fn exact(mixer: &mut Mixer, row: &[f32], background: &Points) -> Result<Vec<f64>, TrainError> {
    let (width, columns) = (mixer.network.space.width(), mixer.network.space.units.len());
    for set in 0..1usize << columns {
        for other in background.x.chunks(width) {
            mixer.push(row, other, |at| set >> at & 1 == 1)?;
        }
    }
    let count = background.count.max(1);
    let values: Vec<f64> =
        mixer.take()?.chunks(count).map(|each| each.iter().sum::<f64>() / count as f64).collect();
    // The weight of a set of each size: 1 / (m * binomial(m - 1, size)).
    let mut weights = vec![1.0 / columns.max(1) as f64];
    for size in 1..columns {
        weights.push(weights[size - 1] * size as f64 / (columns - size) as f64);
    }
    let added = |column: usize| {
        let sets = (0..values.len()).filter(|set| set >> column & 1 == 0);
        sets.map(|set| weights[set.count_ones() as usize] * (values[set | 1 << column] - values[set])).sum()
    };
    Ok((0..columns).map(added).collect())
}

/// Means over orders of the columns and over their reverses, and their standard errors, to which each
/// background row adds the variance of its own pairs: all of these rows are used, so that they add none.
fn sampled(
    mixer: &mut Mixer,
    row: &[f32],
    background: &Points,
    pairs: usize,
    seed: u64,
) -> Result<(Vec<f64>, Vec<f64>), TrainError> {
    let (width, columns) = (mixer.network.space.width(), mixer.network.space.units.len());
    let mut orders = vec![];
    for pair in 0..pairs.max(1) {
        for (at, other) in background.x.chunks(width).enumerate() {
            let mut order: Vec<u32> = (0..columns as u32).collect();
            let round = (pair * background.count + at) as u32;
            rng::shuffle(&mut order, words(seed ^ 0x5348_4150), streams::EXPLAIN, round);
            let reverse: Vec<u32> = order.iter().rev().copied().collect();
            for order in [order, reverse] {
                let mut place = vec![0; columns];
                order.iter().enumerate().for_each(|(at, &column)| place[column as usize] = at);
                for taken in 0..=columns {
                    mixer.push(row, other, |column| place[column] < taken)?;
                }
                orders.push(order);
            }
        }
    }
    let values = mixer.take()?;
    // What each pair adds, `[pairs, background, columns]`.
    let mut added = vec![0.0; orders.len() / 2 * columns];
    for (at, (order, values)) in orders.iter().zip(values.chunks(columns + 1)).enumerate() {
        for (place, &column) in order.iter().enumerate() {
            added[at / 2 * columns + column as usize] += 0.5 * (values[place + 1] - values[place]);
        }
    }
    let (behind, pairs) = (background.count.max(1), pairs.max(1));
    let (mut means, mut errors) = (vec![0.0; columns], vec![0.0; columns]);
    for column in 0..columns {
        for other in 0..behind {
            let each = |pair: usize| added[(pair * behind + other) * columns + column];
            let mean = (0..pairs).map(each).sum::<f64>() / pairs as f64;
            let variance = (0..pairs).map(|pair| (each(pair) - mean).powi(2)).sum::<f64>()
                / (pairs as f64 - 1.0).max(1.0);
            means[column] += mean / behind as f64;
            errors[column] += variance / (pairs * behind * behind) as f64;
        }
        errors[column] = errors[column].sqrt();
    }
    Ok((means, errors))
}
