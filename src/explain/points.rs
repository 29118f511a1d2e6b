//! Rows as points: what a model reads of each, and what it should predict.

use std::sync::Arc;

use super::space::Space;
use crate::base::rng::{self, streams};
use crate::data::{Dataset, Members, Target};
use crate::train::metrics::Predictions;

/// Rows as points of a [`Space`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    /// Number of rows.
    pub count: usize,
    /// `[count, width]`.
    pub x: Vec<f32>,
    /// The encoded targets as device words, `[count, targets]`; zeros if the rows have none.
    pub y: Vec<u32>,
    /// The targets as numbers, `[count, targets]`.
    pub truth: Vec<f64>,
    /// How much each row counts; empty if all count the same.
    pub weights: Vec<f64>,
    /// The series that rows are of.
    pub members: Option<Arc<Members>>,
    /// Positions in the data set.
    pub rows: Vec<usize>,
}

impl Points {
    /// The rows of `data` at these positions.
    pub fn of(space: &Space, data: &Dataset, rows: &[usize]) -> Self {
        let mut x = Vec::with_capacity(rows.len() * space.width());
        let windows = data.windows.as_ref();
        for &row in rows {
            let first = windows.map_or(row, |w| w.starts[row] as usize);
            x.extend_from_slice(&data.features_of(first..first + space.steps));
            for (column, embedded) in data.categories.iter().zip(&space.embedded) {
                let id = column.ids[row] as usize;
                x.extend_from_slice(&embedded.table[id * embedded.width..(id + 1) * embedded.width]);
            }
        }
        let all = data.truth();
        let each = all.len() / data.rows.max(1);
        let truth: Vec<f64> =
            rows.iter().flat_map(|&row| all[row * each..(row + 1) * each].to_vec()).collect();
        let word = |&y: &f64| match &data.target {
            Some(Target::Labels(_)) => y as u32,
            _ => (y as f32).to_bits(),
        };
        let members = windows.map(|w| {
            let of = rows.iter().filter_map(|&row| w.members.of.get(row).copied()).collect();
            Arc::new(Members { of, ..(*w.members).clone() })
        });
        let y = truth.iter().map(word).collect();
        let weights = rows.iter().filter_map(|&row| data.weights.get(row).copied()).collect();
        Self { count: rows.len(), x, y, truth, weights, members, rows: rows.to_vec() }
    }

    /// Predictions for these rows with these outputs of the model.
    pub fn predictions(&self, raw: Vec<f32>, quantiles: &[f64]) -> Predictions {
        Predictions {
            outputs: raw.len() / self.count.max(1),
            raw,
            quantiles: quantiles.to_vec(),
            truth: self.truth.clone(),
            weights: self.weights.clone(),
            members: self.members.clone(),
            ..Predictions::default()
        }
    }
}

/// At most `most` of `count` rows, ascending; which ones depends on the seed alone.
pub fn sample(count: usize, most: usize, seed: u64) -> Vec<usize> {
    if count <= most {
        return (0..count).collect();
    }
    let mut order: Vec<u32> = (0..count as u32).collect();
    rng::shuffle(&mut order, words(seed), streams::EXPLAIN, u32::MAX);
    order.truncate(most);
    order.sort_unstable();
    order.into_iter().map(|row| row as usize).collect()
}

/// A seed as two words.
pub fn words(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}
