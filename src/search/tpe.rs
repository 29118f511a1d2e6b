//! The tree-structured Parzen estimator (Bergstra et al. 2011, "Algorithms for hyper-parameter optimization"): two
//! densities of a parameter, of good trials and of the others, and the value with the largest ratio of the two among
//! some drawn from the first. Each parameter is estimated by itself. Widths of kernels, weights of old trials and
//! smoothing are those that Watanabe 2023 (arXiv:2304.11127) describes of Optuna's sampler.

use super::{Dice, Domain};
use crate::base::rng::normal_quantile;

/// Values drawn, of which the best is taken.
const CANDIDATES: usize = 24;
/// Trials of full weight; older ones weigh less the older they are.
const RECENT: usize = 25;
/// Weight of what was believed before any trial.
const PRIOR: f64 = 1.0;

/// A value of a domain, given its values in good trials and in the others, oldest first.
pub(super) fn choose(domain: &Domain, good: &[f64], bad: &[f64], dice: &mut Dice) -> f64 {
    match domain {
        Domain::Choice { count } => {
            let (good, bad) = (shares(*count, good), shares(*count, bad));
            let drawn = (0..CANDIDATES).map(|_| dice.weighted(&good));
            best(drawn.map(|at| (at as f64, good[at].ln() - bad[at].ln())))
        }
        Domain::Number { .. } => {
            let (good, bad) = (Mixture::new(domain, good), Mixture::new(domain, bad));
            let drawn: Vec<f64> = (0..CANDIDATES).map(|_| domain.nearest(good.draw(dice))).collect();
            best(drawn.into_iter().map(|value| {
                let place = domain.place(value);
                (value, good.density(place).ln() - bad.density(place).ln())
            }))
        }
    }
}

/// The first value with the largest score.
fn best(scored: impl Iterator<Item = (f64, f64)>) -> f64 {
    let better = |best: (f64, f64), next: (f64, f64)| if next.1 > best.1 { next } else { best };
    scored.reduce(better).map_or(0.0, |(value, _)| value)
}

/// Weights of trials, oldest first: the latest have the full one, and the older the less.
fn weights(count: usize) -> Vec<f64> {
    let old = count.saturating_sub(RECENT);
    let first = 1.0 / count.max(1) as f64;
    let ramp = |at: usize| first + (1.0 - first) * at as f64 / (old.max(2) - 1) as f64;
    (0..count).map(|at| if at < old { ramp(at) } else { 1.0 }).collect()
}

/// The probability of each choice: a kernel for each trial, nearly all of whose mass is on its choice, and a uniform
/// one.
fn shares(count: usize, chosen: &[f64]) -> Vec<f64> {
    let weights = weights(chosen.len());
    let total = weights.iter().sum::<f64>() + PRIOR;
    let smoothing = PRIOR / (chosen.len() + 1) as f64;
    let spread = 1.0 + count as f64 * smoothing;
    let mut shares = vec![PRIOR / total / count as f64; count];
    for (&value, weight) in chosen.iter().zip(&weights) {
        for (at, share) in shares.iter_mut().enumerate() {
            let own = if at == value as usize { 1.0 } else { 0.0 };
            *share += weight / total * (own + smoothing) / spread;
        }
    }
    shares
}

/// Normal kernels, one for each trial and a wide one, all cut off at the ends of the axis.
struct Mixture {
    weights: Vec<f64>,
    /// Centre and width of each.
    kernels: Vec<(f64, f64)>,
    axis: (f64, f64),
    /// Half the width of a value's cell, for domains with a linear step.
    half: Option<f64>,
}

impl Mixture {
    fn new(domain: &Domain, values: &[f64]) -> Self {
        let axis = domain.axis();
        let (low, high) = axis;
        let middle = (0.5 * (low + high), high - low);
        let mut centres: Vec<f64> =
            values.iter().map(|&v| domain.place(v)).chain(std::iter::once(middle.0)).collect();
        let widths = widths(&centres, axis);
        centres.pop();
        let kernels = centres.into_iter().zip(widths).chain(std::iter::once(middle)).collect();
        let mut weights = weights(values.len());
        weights.push(PRIOR);
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= total);
        let half = match domain {
            Domain::Number { step: Some(step), log: false, .. } => Some(step / 2.0),
            _ => None,
        };
        Self { weights, kernels, axis, half }
    }

    /// A place on the axis.
    fn draw(&self, dice: &mut Dice) -> f64 {
        let (centre, width) = self.kernels[dice.weighted(&self.weights)];
        let (low, high) = self.axis;
        let (from, to) = (below((low - centre) / width), below((high - centre) / width));
        let part = from + (to - from) * dice.uniform();
        (centre + width * normal_quantile(part)).clamp(low, high)
    }

    /// The density at a place, or the probability of its cell; up to a factor that all mixtures of a domain share.
    fn density(&self, place: f64) -> f64 {
        let (low, high) = self.axis;
        let of_kernel = |&(centre, width): &(f64, f64)| {
            let within = between((low - centre) / width, (high - centre) / width);
            let here = match self.half {
                Some(half) => between((place - half - centre) / width, (place + half - centre) / width),
                None => (-0.5 * ((place - centre) / width).powi(2)).exp() / width,
            };
            here / within
        };
        let sum: f64 = self.kernels.iter().zip(&self.weights).map(|(k, weight)| weight * of_kernel(k)).sum();
        sum.max(f64::MIN_POSITIVE)
    }
}

/// The width of each kernel: the distance to the farther of its neighbours, but no less than a part of the axis that
/// shrinks as trials are added. The last centre is that of the wide kernel.
fn widths(centres: &[f64], (low, high): (f64, f64)) -> Vec<f64> {
    let count = centres.len();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| centres[a].total_cmp(&centres[b]));
    let least = (high - low) / (count as f64 + 1.0).min(100.0);
    let mut widths = vec![0.0; count];
    for (rank, &at) in order.iter().enumerate() {
        let to_next = |next: Option<&usize>| next.map(|&next| (centres[next] - centres[at]).abs());
        let before = rank.checked_sub(1).and_then(|rank| to_next(order.get(rank)));
        let after = to_next(order.get(rank + 1));
        // Alone, a kernel reaches to the ends; at the end of several, to its only neighbour.
        let alone = (centres[at] - low).max(high - centres[at]);
        let width = before.into_iter().chain(after).reduce(f64::max).unwrap_or(alone);
        widths[at] = width.clamp(least, high - low);
    }
    widths
}

/// The distribution function of the standard normal distribution.
fn below(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// The probability between two places, computed in the tail that keeps its digits.
fn between(from: f64, to: f64) -> f64 {
    if from > 0.0 { below(-from) - below(-to) } else { below(to) - below(from) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(low: f64, high: f64, log: bool, step: Option<f64>) -> Domain {
        Domain::Number { low, high, log, step }
    }

    #[test]
    fn densities_integrate_to_one() {
        let domain = number(1e-4, 1.0, true, None);
        let mixture = Mixture::new(&domain, &[1e-4, 3e-3, 4e-3, 0.9]);
        let (low, high) = domain.axis();
        let cell = (high - low) / 20_000.0;
        let sum: f64 = (0..20_000).map(|i| cell * mixture.density(low + cell * (f64::from(i) + 0.5))).sum();
        // Without the factor of the normal density.
        assert!((sum / (2.0 * std::f64::consts::PI).sqrt() - 1.0).abs() < 1e-6, "{sum}");
        let steps = number(0.0, 0.5, false, Some(0.05));
        let mixture = Mixture::new(&steps, &[0.0, 0.1, 0.1, 0.5]);
        let sum: f64 = (0..11).map(|at| mixture.density(steps.value(at))).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn widths_and_weights_by_hand() {
        // On [0, 10], with the wide kernel at 5: 1 and 2 are 1 apart, and 2 is 3 from 5.
        let found = widths(&[1.0, 2.0, 5.0], (0.0, 10.0));
        assert_eq!(found, [2.5, 3.0, 3.0], "at least a quarter of the axis");
        assert_eq!(widths(&[5.0], (0.0, 10.0)), [5.0]);
        assert_eq!(weights(3), [1.0; 3]);
        let old = weights(27);
        assert_eq!((old[0], old[1], old[26]), (1.0 / 27.0, 1.0, 1.0));
        let shares = shares(2, &[1.0]);
        // (prior 1/2 + kernel of its own) / 2, the kernel being (0.5, 1.5) / 2.
        assert!(
            (shares[0] - (0.5 + 0.25) / 2.0).abs() < 1e-12 && (shares[1] - (0.5 + 0.75) / 2.0).abs() < 1e-12
        );
    }

    #[test]
    fn draws_follow_the_density() {
        let domain = number(0.0, 1.0, false, None);
        let mixture = Mixture::new(&domain, &[0.05, 0.1, 0.9]);
        let mut dice = Dice::new(4, 0, 0);
        let drawn: Vec<f64> = (0..5000).map(|_| mixture.draw(&mut dice)).collect();
        let cells = 2000;
        let density = |i: i32| mixture.density((f64::from(i) + 0.5) / f64::from(cells));
        let all: f64 = (0..cells).map(density).sum();
        for end in [200, 700, 1500] {
            let expected = (0..end).map(density).sum::<f64>() / all;
            let found =
                drawn.iter().filter(|x| **x < f64::from(end) / f64::from(cells)).count() as f64 / 5000.0;
            // Four standard deviations.
            assert!((found - expected).abs() < 0.029, "{found}, expected {expected}");
        }
    }
}
