//! Search for settings: spaces, samplers that propose, schedulers that stop early, and which settings matter. It
//! knows numbers alone: what a setting means is the caller's.

mod forest;
pub mod halving;
pub mod importance;
pub mod sampler;
mod space;
mod tpe;

pub use space::{Condition, Domain, Parameter};

use crate::base::rng::{streams, word};

/// The values of all parameters, `[parameters]`; the number of a choice for choices, `None` where a condition does not
/// hold.
pub type Setting = Vec<Option<f64>>;

/// Random numbers of one parameter of one trial: functions of (seed, trial, parameter, draw), so that a proposal does
/// not depend on what was drawn before it.
struct Dice {
    seed: [u32; 2],
    trial: u32,
    next: u32,
}

impl Dice {
    /// Draws that a parameter may take.
    const MOST: u32 = 1 << 16;

    fn new(seed: u64, trial: usize, parameter: usize) -> Self {
        let seed = [seed as u32, (seed >> 32) as u32];
        Self { seed, trial: trial as u32, next: (parameter as u32).wrapping_mul(Self::MOST) }
    }

    fn word(&mut self) -> u32 {
        self.next = self.next.wrapping_add(1);
        word(self.seed, streams::SEARCH, self.trial, self.next)
    }

    /// A multiple of `2^-53` in `[0, 1)`.
    fn uniform(&mut self) -> f64 {
        let (high, low) = (u64::from(self.word() >> 5), u64::from(self.word() >> 6));
        ((high << 26) + low) as f64 / (1u64 << 53) as f64
    }

    /// A number below `count`.
    fn below(&mut self, count: usize) -> usize {
        ((self.uniform() * count as f64) as usize).min(count.saturating_sub(1))
    }

    /// A position with a probability in proportion to its weight.
    fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut rest = self.uniform() * weights.iter().sum::<f64>();
        for (at, weight) in weights.iter().enumerate() {
            rest -= weight;
            if rest < 0.0 {
                return at;
            }
        }
        weights.len().saturating_sub(1)
    }
}
