//! NAdam: Adam with Nesterov momentum.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{Builder, Problem, at_least_0, correction};
use super::{Rule, adam};
use crate::base::step::StepScalar;
use crate::scalar::{BinaryFn, Body, UnaryFn};

/// NAdam (Dozat 2016; `torch.optim.NAdam`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NAdam {
    /// Decay rates of the running mean and of the running mean square.
    pub betas: [f64; 2],
    /// Added to the denominator.
    pub eps: f64,
    /// How fast the momentum rises from half of the first of `betas` to all of it.
    pub momentum_decay: f64,
    /// L2 penalty on weights (on biases and norms only with `train.decay = "all"`).
    pub weight_decay: f64,
}

impl Default for NAdam {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, momentum_decay: 4e-3, weight_decay: 0.0 }
    }
}

impl NAdam {
    /// By how much the rise of the momentum shrinks with each step.
    pub fn base(&self) -> f64 {
        0.96f64.powf(self.momentum_decay)
    }

    /// The products of all momenta up to each step, from 0 on, until they no longer change 1 minus themselves.
    pub fn products(&self) -> impl Iterator<Item = f64> {
        let (base, first) = (self.base(), self.betas[0]);
        let (mut product, mut power) = (1.0, 1.0);
        let later = std::iter::from_fn(move || {
            (product >= 1e-20).then(|| {
                power *= base;
                product *= first * (1.0 - 0.5 * power);
                product
            })
        });
        std::iter::once(1.0).chain(later)
    }

    /// The momentum at step `step`, that of the next, and the product of all up to `step`.
    fn momenta(&self, step: u64) -> [f64; 3] {
        let base = self.base();
        let momentum = |t: f64| self.betas[0] * (1.0 - 0.5 * base.powf(t));
        let steps = usize::try_from(step).unwrap_or(usize::MAX).saturating_add(1);
        let product = self.products().take(steps).last().unwrap_or(1.0);
        [momentum(step as f64), momentum(step as f64 + 1.0), product]
    }
}

impl Rule for NAdam {
    fn problem(&self) -> Option<Problem> {
        adam::problem(self.betas, self.eps, self.weight_decay)
            .or(at_least_0("momentum_decay", self.momentum_decay))
    }

    fn slots(&self) -> usize {
        2
    }

    fn scalars(&self, step: u64) -> [f32; 4] {
        let [now, next, product] = self.momenta(step);
        let gradient = (1.0 - now) / (1.0 - product);
        let mean = next / (1.0 - product * next);
        [gradient as f32, mean as f32, (1.0 / correction(self.betas[1], step).sqrt()) as f32, 0.0]
    }

    /// With the momentum `n(t) = b1 (1 - 0.96^(t momentum_decay) / 2)` and the product `N(t)` of all up to `t`:
    /// `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`,
    /// `p = p - rate ((1 - n(t)) / (1 - N(t)) g + n(t+1) / (1 - N(t+1)) m) / (sqrt(v / (1 - b2^t)) + eps)`
    fn body(&self) -> Body {
        let mut b = Builder::new();
        let parameter = b.parameter;
        let g = b.with_decay(self.weight_decay);
        let mean = b.running(1, g, self.betas[0]);
        let g2 = b.unary(UnaryFn::Square, g);
        let square = b.running(2, g2, self.betas[1]);
        let root = b.unary(UnaryFn::Sqrt, square);
        let corrected = b.step(StepScalar::Optimizer(2));
        let root = b.binary(BinaryFn::Mul, root, corrected);
        let eps = b.body.constant(self.eps as f32);
        let denominator = b.binary(BinaryFn::Add, root, eps);
        let of_gradient = b.step(StepScalar::Optimizer(0));
        let of_mean = b.step(StepScalar::Optimizer(1));
        let ahead = b.binary(BinaryFn::Mul, g, of_gradient);
        let behind = b.binary(BinaryFn::Mul, mean, of_mean);
        let sum = b.binary(BinaryFn::Add, ahead, behind);
        let update = b.binary(BinaryFn::Div, sum, denominator);
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
        let (mut m, mut v, mut product) = (0.0f64, 0.0f64, 1.0f64);
        follow(NAdam { weight_decay: 0.1, ..NAdam::default() }, 0.02, |step, p, g| {
            let g = g + 0.1 * p;
            let momentum = |t: f64| 0.9 * (1.0 - 0.5 * 0.96f64.powf(t * 4e-3));
            let (now, next) = (momentum(step as f64), momentum(step as f64 + 1.0));
            product *= now;
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let size = (v / (1.0 - 0.999f64.powi(step as i32))).sqrt() + 1e-8;
            let p = p - 0.02 * (1.0 - now) / (1.0 - product) * g / size;
            p - 0.02 * next / (1.0 - product * next) * m / size
        });
        assert_eq!(Optimizer::named("nadam"), Some(NAdam::default().into()));
    }
}
