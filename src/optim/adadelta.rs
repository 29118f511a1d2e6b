//! Adadelta.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rule;
use super::rule::{Builder, Problem, at_least_0, part, positive};
use crate::scalar::{BinaryFn, Body, UnaryFn};

/// Adadelta (Zeiler 2012, arXiv:1212.5701; `torch.optim.Adadelta`). Its steps have a size of their own, so use
/// a learning rate near 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Adadelta {
    /// Decay rate of the running mean squares.
    pub rho: f64,
    /// Added to the mean squares.
    pub eps: f64,
    /// L2 penalty on weights (on biases and norms only with `train.decay = "all"`).
    pub weight_decay: f64,
}

impl Default for Adadelta {
    fn default() -> Self {
        Self { rho: 0.9, eps: 1e-6, weight_decay: 0.0 }
    }
}

impl Rule for Adadelta {
    fn problem(&self) -> Option<Problem> {
        part("rho", self.rho).or(positive("eps", self.eps)).or(at_least_0("weight_decay", self.weight_decay))
    }

    fn slots(&self) -> usize {
        2
    }

    /// `v = rho v + (1 - rho) g^2`, `d = g sqrt(u + eps) / sqrt(v + eps)`, `u = rho u + (1 - rho) d^2`,
    /// `p = p - rate d`
    fn body(&self) -> Body {
        let mut b = Builder::new();
        let parameter = b.parameter;
        let g = b.with_decay(self.weight_decay);
        let g2 = b.unary(UnaryFn::Square, g);
        let square = b.running(1, g2, self.rho);
        let eps = b.body.constant(self.eps as f32);
        let square = b.binary(BinaryFn::Add, square, eps);
        let size = b.unary(UnaryFn::Sqrt, square);
        let before = b.state(2);
        let before = b.binary(BinaryFn::Add, before, eps);
        let before = b.unary(UnaryFn::Sqrt, before);
        let ratio = b.binary(BinaryFn::Div, before, size);
        let change = b.binary(BinaryFn::Mul, ratio, g);
        let change2 = b.unary(UnaryFn::Square, change);
        b.running(2, change2, self.rho);
        b.descend(parameter, change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::Optimizer;
    use crate::optim::trajectory::follow;

    #[test]
    fn a_trajectory_follows_the_definition() {
        let (mut v, mut u) = (0.0f64, 0.0f64);
        follow(Adadelta { weight_decay: 0.1, ..Adadelta::default() }, 1.0, |_, p, g| {
            let g = g + 0.1 * p;
            v = 0.9 * v + 0.1 * g * g;
            let change = (u + 1e-6).sqrt() / (v + 1e-6).sqrt() * g;
            u = 0.9 * u + 0.1 * change * change;
            p - change
        });
        assert_eq!(Optimizer::named("adadelta"), Some(Adadelta::default().into()));
    }
}
