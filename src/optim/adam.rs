//! Adam.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rule;
use super::rule::{Builder, Problem, at_least_0, correction, part, positive};
use crate::base::step::StepScalar;
use crate::scalar::{BinaryFn, Body, Reg, UnaryFn};

/// Adam (Kingma and Ba 2015, arXiv:1412.6980).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Adam {
    /// Decay rates of the running mean and of the running mean square.
    pub betas: [f64; 2],
    /// Added to the denominator.
    pub eps: f64,
    /// L2 penalty on weights (on biases and norms only with `train.decay = "all"`).
    pub weight_decay: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 }
    }
}

impl Rule for Adam {
    fn problem(&self) -> Option<Problem> {
        problem(self.betas, self.eps, self.weight_decay)
    }

    fn slots(&self) -> usize {
        2
    }

    fn scalars(&self, step: u64) -> [f32; 4] {
        scalars(self.betas, step)
    }

    fn body(&self) -> Body {
        let mut b = Builder::new();
        let parameter = b.parameter;
        let g = b.with_decay(self.weight_decay);
        moments(b, parameter, g, self.betas, self.eps)
    }
}

/// What is wrong with the hyper-parameters of Adam and its variants.
pub(super) fn problem(betas: [f64; 2], eps: f64, weight_decay: f64) -> Option<Problem> {
    part("betas", betas[0])
        .or(part("betas", betas[1]))
        .or(positive("eps", eps))
        .or(at_least_0("weight_decay", weight_decay))
}

/// Bias corrections of the running mean and of the root mean square.
pub(super) fn scalars(betas: [f64; 2], step: u64) -> [f32; 4] {
    let mean = (1.0 / correction(betas[0], step)) as f32;
    let root = (1.0 / correction(betas[1], step).sqrt()) as f32;
    [mean, root, 0.0, 0.0]
}

/// Descends from `parameter` along the running mean of `g` divided by its root mean square.
pub(super) fn moments(mut b: Builder, parameter: Reg, g: Reg, betas: [f64; 2], eps: f64) -> Body {
    let mean = b.running(1, g, betas[0]);
    let g2 = b.unary(UnaryFn::Square, g);
    let square = b.running(2, g2, betas[1]);
    let root = b.unary(UnaryFn::Sqrt, square);
    let correction = b.step(StepScalar::Optimizer(1));
    let root = b.binary(BinaryFn::Mul, root, correction);
    let eps = b.body.constant(eps as f32);
    let denominator = b.binary(BinaryFn::Add, root, eps);
    let correction = b.step(StepScalar::Optimizer(0));
    let mean = b.binary(BinaryFn::Mul, mean, correction);
    let update = b.binary(BinaryFn::Div, mean, denominator);
    b.descend(parameter, update)
}
