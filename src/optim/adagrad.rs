//! Adagrad.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rule;
use super::rule::{Builder, Problem, at_least_0, positive};
use crate::base::step::StepScalar;
use crate::scalar::{BinaryFn, Body, UnaryFn};

/// Adagrad (Duchi, Hazan and Singer 2011; `torch.optim.Adagrad`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Adagrad {
    /// Decay of the learning rate: at step `t` it is divided by `1 + (t - 1) lr_decay`.
    pub lr_decay: f64,
    /// What the sum of squared gradients starts from.
    pub initial_accumulator_value: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// L2 penalty on weights (on biases and norms only with `train.decay = "all"`).
    pub weight_decay: f64,
}

impl Default for Adagrad {
    fn default() -> Self {
        Self { lr_decay: 0.0, initial_accumulator_value: 0.0, eps: 1e-10, weight_decay: 0.0 }
    }
}

impl Rule for Adagrad {
    fn problem(&self) -> Option<Problem> {
        at_least_0("lr_decay", self.lr_decay)
            .or(at_least_0("initial_accumulator_value", self.initial_accumulator_value))
            .or(positive("eps", self.eps))
            .or(at_least_0("weight_decay", self.weight_decay))
    }

    fn slots(&self) -> usize {
        1
    }

    fn scalars(&self, step: u64) -> [f32; 4] {
        let past = step.saturating_sub(1) as f64;
        [(1.0 / (1.0 + past * self.lr_decay)) as f32, 0.0, 0.0, 0.0]
    }

    /// `s = s + g^2`, `p = p - rate / (1 + (t - 1) lr_decay) * g / (sqrt(s) + eps)`
    fn body(&self) -> Body {
        let mut b = Builder::new();
        let parameter = b.parameter;
        let g = b.with_decay(self.weight_decay);
        let g2 = b.unary(UnaryFn::Square, g);
        let old = b.state(1);
        let mut sum = b.binary(BinaryFn::Add, old, g2);
        b.keep(sum, 1);
        if self.initial_accumulator_value != 0.0 {
            // Slots start from 0.
            let initial = b.body.constant(self.initial_accumulator_value as f32);
            sum = b.binary(BinaryFn::Add, sum, initial);
        }
        let root = b.unary(UnaryFn::Sqrt, sum);
        let eps = b.body.constant(self.eps as f32);
        let denominator = b.binary(BinaryFn::Add, root, eps);
        let update = b.binary(BinaryFn::Div, g, denominator);
        let part = b.step(StepScalar::Optimizer(0));
        let update = b.binary(BinaryFn::Mul, update, part);
        b.descend(parameter, update)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::Optimizer;
    use crate::optim::trajectory::follow;

    #[test]
    fn a_trajectory_follows_the_definition() {
        for initial in [0.0, 0.5] {
            let rule = Adagrad {
                lr_decay: 0.01,
                initial_accumulator_value: initial,
                weight_decay: 0.1,
                ..Adagrad::default()
            };
            let mut sum = initial;
            follow(rule, 0.05, |step, p, g| {
                let g = g + 0.1 * p;
                sum += g * g;
                p - 0.05 / (1.0 + (step - 1) as f64 * 0.01) * g / (sum.sqrt() + 1e-10)
            });
        }
        assert_eq!(Optimizer::named("adagrad"), Some(Adagrad::default().into()));
    }
}
