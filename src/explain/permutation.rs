//! Permutation importance: how much worse the predictions are when a column is another row's.

use super::network::{Given, Network, Wanted};
use super::points::{Points, words};
use super::space::Unit;
use crate::base::rng::{self, streams};
use crate::train::TrainError;
use crate::train::metrics::{Metric, Predictions, larger_is_better};

/// The importance of a column for one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// Column.
    pub column: String,
    /// How much worse the metric is with the column permuted, in each repetition.
    pub each: Vec<f64>,
}

impl Importance {
    /// Mean over the repetitions.
    pub fn mean(&self) -> f64 {
        self.each.iter().sum::<f64>() / self.each.len().max(1) as f64
    }

    /// Population standard deviation over the repetitions, as in scikit-learn.
    pub fn deviation(&self) -> f64 {
        let mean = self.mean();
        let squares: f64 = self.each.iter().map(|x| (x - mean).powi(2)).sum();
        (squares / self.each.len().max(1) as f64).sqrt()
    }
}

/// The importances for one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Importances {
    /// Metric.
    pub metric: &'static str,
    /// Its value for the rows as they are.
    pub baseline: f64,
    /// Columns.
    pub columns: Vec<Importance>,
}

/// The order in which permutation `repeat` of column `unit` takes the rows.
pub fn order(rows: usize, seed: u64, unit: usize, repeat: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..rows as u32).collect();
    rng::shuffle(&mut order, words(seed), streams::EXPLAIN, (unit * 1000 + repeat) as u32);
    order
}

/// The importance of each column for every metric whose larger or smaller values are better, with `repeats`
/// permutations of each. A column's importance is `s - s_permuted` of a score `s`, whose larger values are
/// better; of an error, `e_permuted - e`.
///
/// # Errors
/// If the device fails.
pub fn importances(
    network: &Network,
    points: &Points,
    metrics: &dyn Fn(&Predictions) -> Vec<Metric>,
    repeats: usize,
    seed: u64,
) -> Result<Vec<Importances>, TrainError> {
    let mut probe = network.probe(Wanted::Outputs, points.count)?;
    let quantiles = network.model.quantiles();
    let mut score = |x: &[f32]| -> Result<Vec<Metric>, TrainError> {
        let mut results = probe.run(x, Given { y: &points.y, ..Given::default() })?;
        Ok(metrics(&points.predictions(std::mem::take(&mut results[0]), quantiles)))
    };
    let before = score(&points.x)?;
    let ranked = before.iter().enumerate().filter_map(|(at, m)| Some((at, m, larger_is_better(m.name)?)));
    let ranked: Vec<(usize, &Metric, bool)> = ranked.collect();
    let start = |(_, metric, _): &(usize, &Metric, bool)| Importances {
        metric: metric.name,
        baseline: metric.value,
        columns: vec![],
    };
    let mut found: Vec<Importances> = ranked.iter().map(start).collect();
    for (at, unit) in network.space.units.iter().enumerate() {
        let empty = || Importance { column: unit.name.clone(), each: vec![] };
        found.iter_mut().for_each(|of| of.columns.push(empty()));
        for repeat in 0..repeats {
            let order = order(points.count, seed, at, repeat);
            let after = score(&permuted(points, network.space.width(), unit, &order))?;
            for (of, (place, metric, larger)) in found.iter_mut().zip(&ranked) {
                let change = metric.value - after[*place].value;
                if let Some(column) = of.columns.last_mut() {
                    // Not -0.
                    column.each.push(0.0 + if *larger { change } else { -change });
                }
            }
        }
    }
    Ok(found)
}

/// The points with the numbers of a column taken from other rows.
pub fn permuted(points: &Points, width: usize, unit: &Unit, order: &[u32]) -> Vec<f32> {
    let mut x = points.x.clone();
    for (row, &from) in x.chunks_mut(width).zip(order) {
        for &input in &unit.inputs {
            row[input] = points.x[from as usize * width + input];
        }
    }
    x
}
