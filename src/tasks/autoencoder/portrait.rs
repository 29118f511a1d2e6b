//! What a report shows of an autoencoder: samples, rows beside their reconstructions, interpolations between
//! codes, and the most anomalous rows.

use super::DRAWS;
use super::scores::{self, anomalies};
use crate::data::{Dataset, Target};
use crate::tasks::prior::{decode, decoder, prior};
use crate::tasks::{Trained, model};
use crate::train::TrainError;
use crate::train::metrics::{Predictions, argmax};

/// Number of samples.
const SAMPLES: usize = 64;
/// Rows shown with their reconstructions.
const SHOWN: usize = 12;
/// Interpolations between the codes of two rows.
const WAYS: usize = 6;
/// Number of most anomalous rows.
const STRANGE: usize = 6;
/// Codes per interpolation, both ends included.
pub(super) const STEPS: usize = 12;
/// Rows are given by position; features are `[_, features]`, in scaled units.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Portrait {
    /// Codes drawn from the prior, decoded.
    pub samples: Vec<f32>,
    /// Rows, evenly spread.
    pub shown: Vec<usize>,
    /// Their reconstructions: the decoded means of their codes.
    pub reconstructions: Vec<f32>,
    /// For each interpolation, [`STEPS`] decoded codes on the line between the means of two rows.
    pub ways: Vec<f32>,
    /// The rows with the highest anomaly scores (negative evidence lower bound in nats), in descending order.
    pub strange: Vec<(usize, f64)>,
    /// Their reconstructions: the decoded means of their codes.
    pub expected: Vec<f32>,
    /// Mean of `q(z|x)` of each row, `[rows, latent]`.
    pub codes: Vec<f32>,
    /// Dimension of a code.
    pub latent: usize,
}

/// Builds the portrait of a model from `rows`.
///
/// # Errors
/// If the device fails.
pub(super) fn portrait(trained: &Trained, rows: &Dataset) -> Result<Portrait, TrainError> {
    let model = model(trained.settings, trained.fitted, rows);
    let decoder = decoder(trained, rows.width())?;
    let scores = scores::evaluate(&mut trained.engine(&*model, rows)?, DRAWS)?;
    let latent = scores.outputs;
    let code = |row: usize| &scores.raw[row * latent..(row + 1) * latent];
    let labels = rows.target.as_ref().map_or(&[][..], Target::labels);
    let classes = labels.iter().max().map_or(1, |most| *most + 1);
    let label = |row: usize| labels.get(row).copied().unwrap_or(0);
    let shown = spread(rows.rows, SHOWN);
    let strange = strangest(&scores);

    let mut codes = prior(SAMPLES, latent, [0, 0]);
    let mut all_labels: Vec<u32> = (0..SAMPLES as u32).map(|i| i % classes).collect();
    for &row in &shown {
        codes.extend(code(row));
        all_labels.push(label(row));
    }
    for (from, to) in pairs(rows.rows, labels) {
        for step in 0..STEPS {
            let part = step as f32 / (STEPS - 1) as f32;
            codes.extend(code(from).iter().zip(code(to)).map(|(a, b)| a + part * (b - a)));
            all_labels.push(label(from));
        }
    }
    for &(row, _) in &strange {
        codes.extend(code(row));
        all_labels.push(label(row));
    }
    let mut samples = decode(trained, &decoder, codes, all_labels)?;
    let features = decoder.features;
    let mut reconstructions = samples.split_off(SAMPLES * features);
    let mut ways = reconstructions.split_off(shown.len() * features);
    let expected = ways.split_off(ways.len() - strange.len() * features);
    let codes = scores.raw;
    Ok(Portrait { samples, shown, reconstructions, ways, strange, expected, codes, latent })
}
/// `count` of `rows`, evenly spread; all if there are fewer.
fn spread(rows: usize, count: usize) -> Vec<usize> {
    let count = count.min(rows);
    (0..count).map(|i| i * rows / count).collect()
}

/// Pairs of rows to interpolate between: of consecutive classes, or evenly spread if there are none.
fn pairs(rows: usize, labels: &[u32]) -> Vec<(usize, usize)> {
    let first = |class: u32| labels.iter().position(|&l| l == class);
    let known = (0..2 * WAYS as u32).step_by(2).filter_map(|c| Some((first(c)?, first(c + 1)?)));
    let known: Vec<(usize, usize)> = known.take(WAYS).collect();
    if known.len() > 1 {
        return known;
    }
    let ends = spread(rows, 2 * WAYS);
    ends.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

/// The rows with the highest anomaly scores: the negative evidence lower bound without the weight of the KL
/// term.
fn strangest(scores: &Predictions) -> Vec<(usize, f64)> {
    let mut left: Vec<f64> = anomalies(scores);
    let mut found = vec![];
    for _ in 0..STRANGE.min(left.len()) {
        let row = argmax(&left);
        found.push((row, left[row]));
        left[row] = f64::NEG_INFINITY;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_spread_and_pairs_are_of_different_classes() {
        assert_eq!(spread(100, 4), [0, 25, 50, 75]);
        assert_eq!(spread(3, 12), [0, 1, 2]);
        assert_eq!(pairs(6, &[3, 1, 0, 2, 0, 1]), [(2, 1), (3, 0)]);
        assert_eq!(pairs(24, &[]).len(), WAYS);
    }
}
