//! The quantile of scores that conformal prediction needs.

use crate::base::order::Order;
use crate::train::weights::Weights;

/// Rounding of a product such as `0.9 * 10`.
const ROUNDING: f64 = 1e-9;

/// Scores in ascending order, each with the weights of the scores up to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// `(score, sum of the weights up to here)`.
    all: Vec<(f64, f64)>,
    /// The mean weight, which a new row counts as having.
    mean: f64,
}

impl Ranked {
    /// The scores of calibration rows, each with its row's weight.
    pub fn new(scores: &[f64], weights: Weights) -> Self {
        let mut all: Vec<(f64, f64)> =
            scores.iter().enumerate().map(|(at, s)| (*s, weights.of(at))).collect();
        all.order_by(|a, b| a.0.total_cmp(&b.0));
        let mut sum = 0.0;
        for (_, weight) in &mut all {
            sum += *weight;
            *weight = sum;
        }
        let mean = sum / all.len().max(1) as f64;
        Self { all, mean }
    }

    /// The least score that a new row exceeds with a probability of at most `1 - level`, if it and the calibration
    /// rows are exchangeable: of `n` equal weights the score of rank `ceil((n + 1) level)` (Lei et al. 2018, section
    /// 2), else of as large a part of the weights, a new row having the mean one (Tibshirani et al. 2019). `None` if
    /// there are too few scores.
    pub fn quantile(&self, level: f64) -> Option<f64> {
        let wanted = level * (self.total() + self.mean) - ROUNDING * self.mean;
        let at = self.all.partition_point(|(_, sum)| *sum < wanted);
        self.all.get(at).map(|(score, _)| *score)
    }

    /// As [`Ranked::quantile`], or the largest score where there are too few; 0 without any.
    pub fn or_largest(&self, level: f64) -> f64 {
        self.quantile(level).unwrap_or_else(|| self.largest())
    }

    fn largest(&self) -> f64 {
        self.all.last().map_or(0.0, |(score, _)| *score)
    }

    /// Scores, of equal weights, that a level needs at least.
    pub fn least(level: f64) -> usize {
        (1.0 / (1.0 - level) - 1.0 - ROUNDING).ceil() as usize
    }

    fn total(&self) -> f64 {
        self.all.last().map_or(0.0, |(_, sum)| *sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rank by counting: the least score such that `ceil((n + 1) level)` scores are at most it.
    fn by_counting(scores: &[f64], [numerator, denominator]: [usize; 2]) -> Option<f64> {
        let rank = ((scores.len() + 1) * numerator).div_ceil(denominator);
        let mut sorted = scores.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.get(rank - 1).copied()
    }

    #[test]
    fn the_rank_is_the_exact_one_of_finite_samples() {
        for n in 1..120usize {
            let scores: Vec<f64> = (0..n).map(|i| (i * 37 % 101) as f64).collect();
            let ranked = Ranked::new(&scores, Weights::EQUAL);
            for percent in 1..100 {
                let level = percent as f64 / 100.0;
                let expected = by_counting(&scores, [percent, 100]);
                assert_eq!(ranked.quantile(level), expected, "{n} scores, {percent} %");
                assert_eq!(n >= Ranked::least(level), expected.is_some(), "{n} scores, {percent} %");
            }
        }
    }

    #[test]
    fn a_weight_of_two_is_a_score_that_occurs_twice() {
        let scores = [3.0, 1.0, 2.0, 5.0, 4.0];
        let weights = [1.0, 2.0, 1.0, 3.0, 1.0];
        let copies: Vec<f64> =
            scores.iter().zip(weights).flat_map(|(s, w)| std::iter::repeat_n(*s, w as usize)).collect();
        let (weighted, copied) =
            (Ranked::new(&scores, Weights(&weights)), Ranked::new(&copies, Weights::EQUAL));
        // A new row has the mean weight of the rows, 1.6, so that levels differ a little.
        for percent in 1..80 {
            let level = percent as f64 / 100.0;
            let wanted = level * (8.0 + 1.6);
            let sum =
                |s: f64| scores.iter().zip(weights).filter(|(x, _)| **x <= s).map(|(_, w)| w).sum::<f64>();
            let found = weighted.quantile(level).unwrap();
            assert!(sum(found) >= wanted - 1e-6);
            assert!(scores.iter().all(|s| *s >= found || sum(*s) < wanted));
        }
        assert_eq!(weighted.quantile(0.5), copied.quantile(0.5));
        assert_eq!(weighted.quantile(0.999), None);
    }

    #[test]
    fn coverage_over_all_orders_is_what_the_level_promises() {
        // Each of n + 1 scores in turn is the new one: exactly the part that the theorem says is covered.
        let all: Vec<f64> = (0..30).map(|i| f64::from(i * 17 % 31)).collect();
        for level in [0.5, 0.8, 0.9] {
            let covered = (0..all.len()).filter(|&new| {
                let others: Vec<f64> =
                    all.iter().enumerate().filter(|(at, _)| *at != new).map(|(_, s)| *s).collect();
                Ranked::new(&others, Weights::EQUAL).quantile(level).is_some_and(|q| all[new] <= q)
            });
            let part = covered.count() as f64 / all.len() as f64;
            assert!(part >= level && part <= level + 1.0 / all.len() as f64, "{level}: {part}");
        }
    }
}
