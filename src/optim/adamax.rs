//! Adamax: Adam with the infinity norm.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{Builder, Problem, correction};
use super::{Rule, adam};
use crate::base::step::StepScalar;
use crate::scalar::{BinaryFn, Body, UnaryFn};

/// Adamax (Kingma and Ba 2015, arXiv:1412.6980, section 7.1; `torch.optim.Adamax`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Adamax {
    /// Decay rates of the running mean and of the running maximum.
    pub betas: [f64; 2],
    /// Added to the gradient's magnitude.
    pub eps: f64,
    /// L2 penalty on weights (on biases and norms only with `train.decay = "all"`).
    pub weight_decay: f64,
}

impl Default for Adamax {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 }
    }
}

impl Rule for Adamax {
    fn problem(&self) -> Option<Problem> {
        adam::problem(self.betas, self.eps, self.weight_decay)
    }

    fn slots(&self) -> usize {
        2
    }

    fn scalars(&self, step: u64) -> [f32; 4] {
        [(1.0 / correction(self.betas[0], step)) as f32, 0.0, 0.0, 0.0]
    }

    /// `m = b1 m + (1 - b1) g`, `u = max(b2 u, |g| + eps)`, `p = p - rate / (1 - b1^t) * m / u`
    fn body(&self) -> Body {
        let mut b = Builder::new();
        let parameter = b.parameter;
        let g = b.with_decay(self.weight_decay);
        let mean = b.running(1, g, self.betas[0]);
        let old = b.state(2);
        let kept = b.scale(old, self.betas[1]);
        let size = b.unary(UnaryFn::Abs, g);
        let eps = b.body.constant(self.eps as f32);
        let size = b.binary(BinaryFn::Add, size, eps);
        let largest = b.binary(BinaryFn::Max, kept, size);
        b.keep(largest, 2);
        let corrected = b.step(StepScalar::Optimizer(0));
        let mean = b.binary(BinaryFn::Mul, mean, corrected);
        let update = b.binary(BinaryFn::Div, mean, largest);
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
        let (mut m, mut u) = (0.0f64, 0.0f64);
        follow(Adamax { weight_decay: 0.1, ..Adamax::default() }, 0.02, |step, p, g| {
            let g = g + 0.1 * p;
            m = 0.9 * m + 0.1 * g;
            u = (0.999 * u).max(g.abs() + 1e-8);
            p - 0.02 / (1.0 - 0.9f64.powi(step as i32)) * m / u
        });
        assert_eq!(Optimizer::named("adamax"), Some(Adamax::default().into()));
    }
}
