//! How unlike the training rows a row is, in the last hidden features of a model.

use crate::train::TrainError;

/// Training rows that others are compared with, at most: time grows with their number.
pub const MOST: usize = 5000;
/// The neighbour whose distance counts. Sun et al. take between 10 and 1000 of far more rows.
const NEIGHBOUR: usize = 10;

/// Training rows to compare others with, and the distances of rows that were not trained on.
///
/// A row's score is the distance to its tenth nearest training row, of features scaled to length 1 (Sun et al. 2022,
/// arXiv:2204.06507, section 3). Its novelty is the part of the validation rows whose score is less.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Novelty {
    width: usize,
    training: Vec<f32>,
    /// Scores of validation rows, ascending.
    known: Vec<f64>,
}

/// A row's neighbour: the position of a training row and its distance.
pub type Neighbour = (usize, f64);

impl Novelty {
    /// Compares with the features of training rows, `[rows, width]`, and of validation rows.
    ///
    /// # Errors
    /// If there are none.
    pub fn new(training: &[f32], validation: &[f32], width: usize) -> Result<Self, TrainError> {
        let mut all =
            Self { width: width.max(1), training: normalised(training, width.max(1)), known: vec![] };
        if all.training.len() < all.width || validation.len() < all.width {
            return Err(TrainError::Input("there are no training or validation rows to compare with".into()));
        }
        all.known = all.scores(validation);
        all.known.sort_by(f64::total_cmp);
        Ok(all)
    }

    /// The novelty of rows with these features, in `[0, 1]`: near 1 if hardly any validation row is as far from the
    /// training rows.
    pub fn of(&self, features: &[f32]) -> Vec<f64> {
        let rank = |score: f64| {
            let below = self.known.partition_point(|known| *known < score);
            let up_to = self.known.partition_point(|known| *known <= score);
            (below + up_to) as f64 / (2.0 * self.known.len() as f64)
        };
        self.scores(features).into_iter().map(rank).collect()
    }

    /// Distances to the tenth nearest training row; to the farthest if there are fewer.
    fn scores(&self, features: &[f32]) -> Vec<f64> {
        let last = |near: Vec<Neighbour>| near.last().map_or(0.0, |(_, distance)| *distance);
        nearest(&self.training, &normalised(features, self.width), self.width, NEIGHBOUR)
            .into_iter()
            .map(last)
            .collect()
    }
}

/// Rows scaled to length 1; rows of zeros as they are.
fn normalised(rows: &[f32], width: usize) -> Vec<f32> {
    let mut all = rows.to_vec();
    for row in all.chunks_mut(width) {
        let length = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        if length > 0.0 {
            row.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
        }
    }
    all
}

/// The `count` nearest of the rows `among` to each of `rows`, all `[.., width]`, by Euclidean distance: the nearest
/// first, of equal ones the first.
pub fn nearest(among: &[f32], rows: &[f32], width: usize, count: usize) -> Vec<Vec<Neighbour>> {
    use crate::base::parallel::prelude::*;
    let squared = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
    };
    let of = |row: &[f32]| {
        let mut all: Vec<Neighbour> =
            among.chunks_exact(width).enumerate().map(|(at, other)| (at, squared(row, other))).collect();
        let count = count.min(all.len());
        let order = |a: &Neighbour, b: &Neighbour| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0));
        if count > 0 && count < all.len() {
            all.select_nth_unstable_by(count - 1, order);
        }
        all.truncate(count);
        all.sort_by(order);
        all.into_iter().map(|(at, squared)| (at, squared.sqrt())).collect()
    };
    rows.par_chunks_exact(width.max(1)).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng;

    fn cloud(count: usize, stream: u32, centre: [f32; 3]) -> Vec<f32> {
        let normal = |i: usize| rng::normal(rng::word([1, 2], stream, 0, i as u32));
        (0..3 * count).map(|i| centre[i % 3] + 0.3 * normal(i)).collect()
    }

    #[test]
    fn rows_like_those_of_training_are_spread_evenly_and_others_are_novel() {
        let centre = [2.0, 1.0, 0.0];
        let novelty = Novelty::new(&cloud(400, 1, centre), &cloud(400, 2, centre), 3).unwrap();
        let alike = novelty.of(&cloud(400, 3, centre));
        let mean = alike.iter().sum::<f64>() / 400.0;
        assert!((mean - 0.5).abs() < 0.06, "{mean}");
        let far = novelty.of(&cloud(50, 4, [-2.0, 1.0, 2.0]));
        assert!(far.iter().all(|novelty| *novelty > 0.99));
    }

    #[test]
    fn neighbours_are_those_of_a_plain_search() {
        let (among, rows) = (cloud(60, 5, [0.0; 3]), cloud(7, 6, [0.0; 3]));
        for (row, found) in rows.chunks(3).zip(nearest(&among, &rows, 3, 4)) {
            let distance = |other: &[f32]| {
                (0..3).map(|k| (f64::from(row[k]) - f64::from(other[k])).powi(2)).sum::<f64>().sqrt()
            };
            let mut all: Vec<f64> = among.chunks(3).map(distance).collect();
            all.sort_by(f64::total_cmp);
            assert_eq!(found.iter().map(|n| n.1).collect::<Vec<_>>(), all[..4]);
        }
        assert_eq!(nearest(&among[..3], &rows[..3], 3, 4)[0].len(), 1);
    }
}
