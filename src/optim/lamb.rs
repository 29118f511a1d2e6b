//! LAMB: Adam's steps, scaled for each tensor to the size of its weights.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adam::{problem, scalars};
use super::rule::{Builder, Problem};
use super::{Adapts, Rule};
use crate::base::step::StepScalar;
use crate::scalar::{BinaryFn, Body, UnaryFn};

/// LAMB (You et al. 2019, arXiv:1904.00962, algorithm 2, with its norm of weights as it is): for large batches. The
/// step of a tensor is Adam's, with decoupled weight decay, times the trust ratio `|weights| / |step|`, the norms
/// being over the tensor; 1 where either norm is 0. As in NVIDIA's apex and in timm, tensors to which no weight
/// decay applies have the ratio 1. Gradients are clipped by `train.clip_norm` alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lamb {
    /// Decay rates of the running mean and of the running mean square.
    pub betas: [f64; 2],
    /// Added to the denominator.
    pub eps: f64,
    /// Added to the step, times the weights (biases and norms only with `train.decay = "all"`).
    pub weight_decay: f64,
    /// Whether tensors without weight decay have a trust ratio too.
    pub always_adapt: bool,
}

impl Default for Lamb {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-6, weight_decay: 0.01, always_adapt: false }
    }
}

impl Rule for Lamb {
    fn problem(&self) -> Option<Problem> {
        problem(self.betas, self.eps, self.weight_decay)
    }

    fn slots(&self) -> usize {
        2
    }

    fn scalars(&self, step: u64) -> [f32; 4] {
        scalars(self.betas, step)
    }

    fn adapts(&self) -> Option<Adapts> {
        Some(match (self.always_adapt, self.weight_decay > 0.0) {
            (true, _) => Adapts::All,
            (false, true) => Adapts::Decayed,
            (false, false) => Adapts::None,
        })
    }

    /// `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`, and the step
    /// `m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps) + weight_decay p`, which goes to the slot after them.
    fn body(&self) -> Body {
        let mut b = Builder::new();
        let (parameter, gradient) = (b.parameter, b.gradient);
        let mean = b.running(1, gradient, self.betas[0]);
        let square = b.unary(UnaryFn::Square, gradient);
        let square = b.running(2, square, self.betas[1]);
        let root = b.unary(UnaryFn::Sqrt, square);
        let correction = b.step(StepScalar::Optimizer(1));
        let root = b.binary(BinaryFn::Mul, root, correction);
        let eps = b.body.constant(self.eps as f32);
        let denominator = b.binary(BinaryFn::Add, root, eps);
        let correction = b.step(StepScalar::Optimizer(0));
        let mean = b.binary(BinaryFn::Mul, mean, correction);
        let update = b.binary(BinaryFn::Div, mean, denominator);
        let decay = b.masked(self.weight_decay);
        let decay = b.binary(BinaryFn::Mul, decay, parameter);
        let update = b.binary(BinaryFn::Add, update, decay);
        b.keep(update, 3);
        b.keep(parameter, 0);
        b.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::Optimizer;

    #[test]
    fn tensors_without_decay_adapt_only_if_they_always_do() {
        let lamb = |weight_decay, always_adapt| {
            Optimizer::from(Lamb { weight_decay, always_adapt, ..Lamb::default() }).adapts()
        };
        assert_eq!(lamb(0.01, false), Some(Adapts::Decayed));
        assert_eq!(lamb(0.0, false), Some(Adapts::None));
        assert_eq!(lamb(0.0, true), Some(Adapts::All));
        assert_eq!(Optimizer::named("lamb"), Some(Lamb::default().into()));
        assert_eq!(Optimizer::default().adapts(), None, "Adam has no trust ratio");
    }
}
