//! Samplers: which setting to try next.

use std::cmp::Reverse;

pub use super::space::{MOST_OF_A_GRID, NoGrid, grid};
use super::{Dice, Parameter, Setting, tpe};

/// How settings are proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampler {
    /// All settings of the grid, in order.
    Grid,
    /// Each parameter by itself, uniformly.
    Random,
    /// The tree-structured Parzen estimator.
    Tpe,
}

/// Settings drawn at random before the estimator has enough to go by.
const START: usize = 10;

/// A setting that was proposed before.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen<'a> {
    /// Its values.
    pub setting: &'a [Option<f64>],
    /// How far it was trained: the number of its last rung. Those that were trained longer count as better.
    pub level: usize,
    /// What is to be small; infinite if it failed, or is not known yet.
    pub loss: f64,
}

/// Setting number `trial`, from 0; `None` after the last one of a grid. The same arguments give the same setting.
/// What is not known yet counts as bad, so that settings proposed together differ (the constant liar of Ginsbourger
/// et al. 2010).
pub fn propose(
    sampler: Sampler,
    space: &[Parameter],
    seed: u64,
    trial: usize,
    seen: &[Seen],
) -> Option<Setting> {
    if sampler == Sampler::Grid {
        return grid(space).ok()?.into_iter().nth(trial);
    }
    let is_informed = sampler == Sampler::Tpe && seen.len() >= START;
    let (good, bad) = if is_informed { parted(seen) } else { (vec![], vec![]) };
    let mut setting: Setting = vec![];
    for (number, parameter) in space.iter().enumerate() {
        let mut dice = Dice::new(seed, trial, number);
        let value = if !parameter.exists(&setting) {
            None
        } else if is_informed {
            let of = |trials: &[usize]| -> Vec<f64> {
                trials.iter().filter_map(|&at| *seen[at].setting.get(number)?).collect()
            };
            Some(tpe::choose(&parameter.domain, &of(&good), &of(&bad), &mut dice))
        } else {
            let (low, high) = parameter.domain.axis();
            Some(parameter.domain.nearest(low + (high - low) * dice.uniform()))
        };
        setting.push(value);
    }
    Some(setting)
}

/// The trials that count as good, a tenth but at most 25, and the others, each in the order of the trials.
fn parted(seen: &[Seen]) -> (Vec<usize>, Vec<usize>) {
    let count = seen.len().div_ceil(10).min(25);
    let mut order: Vec<usize> = (0..seen.len()).collect();
    order.sort_by(|&a, &b| {
        let rank = |at: usize| (!seen[at].loss.is_finite(), Reverse(seen[at].level));
        rank(a).cmp(&rank(b)).then(seen[a].loss.total_cmp(&seen[b].loss)).then(a.cmp(&b))
    });
    let (mut good, mut bad) = (order[..count].to_vec(), order[count..].to_vec());
    good.sort_unstable();
    bad.sort_unstable();
    (good, bad)
}

#[cfg(test)]
mod tests {
    use super::super::{Condition, Domain};
    use super::*;

    fn number(low: f64, high: f64, log: bool, step: Option<f64>) -> Parameter {
        Parameter { domain: Domain::Number { low, high, log, step }, when: vec![] }
    }

    fn choice(count: usize) -> Parameter {
        Parameter { domain: Domain::Choice { count }, when: vec![] }
    }

    /// The settings and losses of a search of `trials` trials.
    fn search(
        sampler: Sampler,
        space: &[Parameter],
        seed: u64,
        trials: usize,
        loss: &dyn Fn(&Setting) -> f64,
    ) -> Vec<(Setting, f64)> {
        let mut found: Vec<(Setting, f64)> = vec![];
        for trial in 0..trials {
            let seen: Vec<Seen> =
                found.iter().map(|(setting, loss)| Seen { setting, level: 0, loss: *loss }).collect();
            let setting = propose(sampler, space, seed, trial, &seen).unwrap();
            let loss = loss(&setting);
            found.push((setting, loss));
        }
        found
    }

    fn least(found: &[(Setting, f64)]) -> f64 {
        found.iter().map(|(_, loss)| *loss).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn proposals_depend_on_nothing_but_their_arguments() {
        let space = [number(1e-4, 1e-1, true, None), choice(3), number(1.0, 9.0, false, Some(1.0))];
        let loss = |s: &Setting| s.iter().flatten().sum::<f64>();
        for sampler in [Sampler::Random, Sampler::Tpe] {
            let found = search(sampler, &space, 7, 40, &loss);
            assert_eq!(found, search(sampler, &space, 7, 40, &loss));
            assert_ne!(found, search(sampler, &space, 8, 40, &loss));
            // Any one of them again, without the draws of those before.
            let seen: Vec<Seen> =
                found[..30].iter().map(|(setting, loss)| Seen { setting, level: 0, loss: *loss }).collect();
            assert_eq!(propose(sampler, &space, 7, 30, &seen).unwrap(), found[30].0);
        }
    }

    #[test]
    fn proposals_lie_within_the_space_and_reach_its_ends() {
        let inner = Parameter {
            when: vec![Condition { parent: 0, allowed: vec![1] }],
            ..number(0.5, 0.99, false, None)
        };
        let space = [
            choice(2),
            inner,
            number(1.0, 4.0, false, Some(1.0)),
            number(8.0, 12.0, true, Some(1.0)),
            number(0.0, 0.5, false, Some(0.05)),
            number(1e-4, 1e-1, true, None),
        ];
        for sampler in [Sampler::Random, Sampler::Tpe] {
            // Both ends are the best in turn.
            let mut found = vec![];
            for sign in [-1.0, 1.0] {
                let loss = |s: &Setting| sign * (s[2].unwrap() + s[3].unwrap() + s[4].unwrap());
                found.extend(search(sampler, &space, 3, 150, &loss));
            }
            for (setting, _) in &found {
                assert_eq!(setting[1].is_some(), setting[0] == Some(1.0), "{setting:?}");
                assert!(setting[1].is_none_or(|m| (0.5..=0.99).contains(&m)));
                assert!((1e-4..=1e-1).contains(&setting[5].unwrap()));
            }
            for (at, low, high) in [(2, 1.0, 4.0), (3, 8.0, 12.0), (4, 0.0, 0.5)] {
                let values = || found.iter().map(|(setting, _)| setting[at].unwrap());
                assert!(values().all(|v| (low..=high).contains(&v)), "{sampler:?} {at}");
                assert!(values().any(|v| v == low) && values().any(|v| v == high), "{sampler:?} {at}");
            }
        }
    }

    #[test]
    fn the_random_sampler_is_uniform_on_the_axis() {
        let space = [number(1e-4, 1.0, true, None), choice(4), number(1.0, 3.0, false, Some(1.0))];
        let found = search(Sampler::Random, &space, 1, 4000, &|_| 0.0);
        let part = |holds: &dyn Fn(&Setting) -> bool| {
            found.iter().filter(|(setting, _)| holds(setting)).count() as f64 / 4000.0
        };
        // Four standard deviations of a part of 4,000 are at most 0.032.
        assert!((part(&|s| s[0].unwrap() < 1e-2) - 0.5).abs() < 0.032);
        assert!((part(&|s| s[1] == Some(3.0)) - 0.25).abs() < 0.032);
        for value in [1.0, 2.0, 3.0] {
            assert!((part(&|s| s[2] == Some(value)) - 1.0 / 3.0).abs() < 0.032);
        }
    }

    #[test]
    fn the_estimator_finds_a_quadratic_and_a_categorical_trap_sooner_than_chance() {
        let mean = |sampler, space: &[Parameter], loss: &dyn Fn(&Setting) -> f64| {
            (0..20).map(|seed| least(&search(sampler, space, seed, 60, loss))).sum::<f64>() / 20.0
        };
        let bowl = [number(-5.0, 5.0, false, None), number(1e-4, 1.0, true, None)];
        let quadratic = |s: &Setting| (s[0].unwrap() - 2.0).powi(2) + (s[1].unwrap().log10() + 2.5).powi(2);
        let (informed, chance) =
            (mean(Sampler::Tpe, &bowl, &quadratic), mean(Sampler::Random, &bowl, &quadratic));
        assert!(informed < 0.5 * chance, "quadratic: {informed}, by chance {chance}");
        // One of ten choices leads to the deep valley, which is narrow; the others are flat.
        let trap = [choice(10), number(0.0, 1.0, false, None)];
        let valley = |s: &Setting| {
            let depth = (s[1].unwrap() - 0.3).abs();
            if s[0] == Some(7.0) { depth } else { 0.5 + 0.1 * depth }
        };
        let (informed, chance) = (mean(Sampler::Tpe, &trap, &valley), mean(Sampler::Random, &trap, &valley));
        assert!(informed < 0.5 * chance, "trap: {informed}, by chance {chance}");
    }

    #[test]
    fn trials_trained_longer_come_first_and_failed_ones_last() {
        let trial = |level, loss| Seen { setting: &[], level, loss };
        let seen = [
            trial(0, 0.1),
            trial(2, 0.9),
            trial(2, 0.5),
            trial(1, 0.2),
            trial(2, f64::INFINITY),
            trial(0, f64::INFINITY),
            trial(0, 0.3),
            trial(0, 0.4),
            trial(0, 0.6),
            trial(0, 0.7),
            trial(0, 0.8),
        ];
        let (good, bad) = parted(&seen);
        assert_eq!(good, [1, 2], "two of eleven");
        assert_eq!(bad.len(), 9);
        let (good, _) = parted(&[seen[4].clone(), seen[0].clone()]);
        assert_eq!(good, [1]);
    }

    #[test]
    fn settings_proposed_together_differ() {
        let space = [number(0.0, 1.0, false, None)];
        let found = search(Sampler::Tpe, &space, 2, 30, &|s| (s[0].unwrap() - 0.5).powi(2));
        let mut seen: Vec<Seen> =
            found.iter().map(|(setting, loss)| Seen { setting, level: 0, loss: *loss }).collect();
        let first = propose(Sampler::Tpe, &space, 2, 30, &seen).unwrap();
        seen.push(Seen { setting: &first, level: 0, loss: f64::INFINITY });
        let second = propose(Sampler::Tpe, &space, 2, 31, &seen).unwrap();
        assert_ne!(first, second);
    }
}
