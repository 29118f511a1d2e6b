//! Which parameters matter: the part of the variance of the loss over the whole space that is due to each alone
//! (functional analysis of variance on a random forest; Hutter et al. 2014, "An efficient approach for assessing
//! hyperparameter importance"), scaled to a sum of 1. What parameters do only together belongs to none.

use super::forest::{Leaf, tree};
use super::{Dice, Parameter, Setting};

const TREES: usize = 64;
/// Fewer trials tell nothing.
const LEAST: usize = 4;

/// The importance of each parameter, from settings and their losses. Trials that failed have no loss and are left
/// out; a parameter counts as in the middle of its domain where it does not exist. `None` if there are too few
/// trials, or all have the same loss.
pub fn importance(space: &[Parameter], trials: &[(&Setting, f64)]) -> Option<Vec<f64>> {
    let finite: Vec<&(&Setting, f64)> = trials.iter().filter(|(_, loss)| loss.is_finite()).collect();
    if finite.len() < LEAST || space.is_empty() {
        return None;
    }
    let place = |(setting, _): &&(&Setting, f64)| -> Vec<f64> {
        let part = |(parameter, value): (&Parameter, &Option<f64>)| {
            value.map_or(0.5, |value| parameter.domain.part(value))
        };
        space.iter().zip(setting.iter()).map(part).collect()
    };
    let x: Vec<Vec<f64>> = finite.iter().map(place).collect();
    let y: Vec<f64> = finite.iter().map(|(_, loss)| *loss).collect();
    let mut sums = vec![0.0; space.len()];
    for number in 0..TREES {
        let leaves = tree(&x, &y, &mut Dice::new(0, number, 0));
        let Some(parts) = parts(&leaves, space.len()) else { continue };
        sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
    }
    let total: f64 = sums.iter().sum();
    (total > 0.0).then(|| sums.into_iter().map(|sum| sum / total).collect())
}

/// The part of the variance of a tree that each dimension alone explains; `None` if it has no variance.
fn parts(leaves: &[Leaf], dimensions: usize) -> Option<Vec<f64>> {
    let volume = |leaf: &Leaf| leaf.sides.iter().map(|(low, high)| high - low).product::<f64>();
    let mean: f64 = leaves.iter().map(|leaf| volume(leaf) * leaf.value).sum();
    let variance: f64 = leaves.iter().map(|leaf| volume(leaf) * (leaf.value - mean).powi(2)).sum();
    if variance <= 0.0 {
        return None;
    }
    let of = |dimension: usize| {
        let mut ends: Vec<f64> =
            leaves.iter().flat_map(|leaf| [leaf.sides[dimension].0, leaf.sides[dimension].1]).collect();
        ends.sort_by(f64::total_cmp);
        ends.dedup();
        // Of each interval, the prediction averaged over all other dimensions.
        let explained = ends.windows(2).map(|interval| {
            let covers = |leaf: &&Leaf| {
                let (low, high) = leaf.sides[dimension];
                low <= interval[0] && interval[1] <= high
            };
            let averaged: f64 = leaves
                .iter()
                .filter(covers)
                .map(|leaf| {
                    let (low, high) = leaf.sides[dimension];
                    volume(leaf) / (high - low) * leaf.value
                })
                .sum();
            (interval[1] - interval[0]) * (averaged - mean).powi(2)
        });
        explained.sum::<f64>() / variance
    };
    Some((0..dimensions).map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::super::Domain;
    use super::*;

    fn found(loss: &dyn Fn(&[f64]) -> f64) -> Vec<f64> {
        let domain = Domain::Number { low: 0.0, high: 1.0, log: false, step: None };
        let space = vec![Parameter { domain, when: vec![] }; 3];
        let mut settings: Vec<(Setting, f64)> = vec![];
        for trial in 0..400 {
            let mut dice = Dice::new(9, trial, 0);
            let place: Vec<f64> = (0..3).map(|_| dice.uniform()).collect();
            let loss = loss(&place);
            settings.push((place.into_iter().map(Some).collect(), loss));
        }
        let trials: Vec<(&Setting, f64)> = settings.iter().map(|(s, l)| (s, *l)).collect();
        importance(&space, &trials).unwrap()
    }

    #[test]
    fn importances_are_the_parts_of_the_variance() {
        // Variances of a linear function are those of its terms: 4 to 1.
        let linear = found(&|x| 2.0 * x[0] + x[1]);
        assert!((linear[0] - 0.8).abs() < 0.05 && (linear[1] - 0.2).abs() < 0.05, "{linear:?}");
        assert!(linear[2] < 0.02, "{linear:?}");
        assert!((linear.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let hump = found(&|x| (x[2] - 0.5).powi(2));
        assert!(hump[2] > 0.95, "{hump:?}");
    }

    #[test]
    fn a_tree_of_one_step_is_worked_out_by_hand() {
        let leaf = |sides: [(f64, f64); 2], value: f64| Leaf { sides: sides.to_vec(), value };
        // 0 below a quarter of the first dimension; above it, 2 or 4 by halves of the second.
        let leaves = [
            leaf([(0.0, 0.25), (0.0, 1.0)], 0.0),
            leaf([(0.25, 1.0), (0.0, 0.5)], 2.0),
            leaf([(0.25, 1.0), (0.5, 1.0)], 4.0),
        ];
        let (mean, square): (f64, f64) = (0.375 * 6.0, 0.375 * 20.0);
        let variance = square - mean * mean;
        let first = 0.25 * mean * mean + 0.75 * (3.0 - mean).powi(2);
        let second = 0.5 * (1.5 - mean).powi(2) + 0.5 * (3.0 - mean).powi(2);
        let parts = parts(&leaves, 2).unwrap();
        assert!((parts[0] - first / variance).abs() < 1e-12 && (parts[1] - second / variance).abs() < 1e-12);
    }

    #[test]
    fn nothing_is_said_of_too_little() {
        let space = [Parameter { domain: Domain::Choice { count: 2 }, when: vec![] }];
        let (a, b) = (vec![Some(0.0)], vec![Some(1.0)]);
        assert_eq!(importance(&space, &[(&a, 1.0), (&b, 2.0)]), None);
        assert_eq!(importance(&space, &[(&a, 1.0), (&b, 1.0), (&a, 1.0), (&b, 1.0), (&a, 1.0)]), None);
        let failed = (&b, f64::INFINITY);
        assert_eq!(importance(&space, &[(&a, 1.0), (&a, 2.0), failed, failed]), None);
    }
}
