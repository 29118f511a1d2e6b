//! RAdam: Adam with a rectified variance.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{Builder, Problem, correction};
use super::{Rule, adam};
use crate::base::step::StepScalar;
use crate::scalar::{BinaryFn, Body, UnaryFn};

/// RAdam (Liu et al. 2020, arXiv:1908.03265; `torch.optim.RAdam`): no steps are scaled by the root mean square
/// until enough gradients were seen to know it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RAdam {
    /// Decay rates of the running mean and of the running mean square.
    pub betas: [f64; 2],
    /// Added to the denominator.
    pub eps: f64,
    /// L2 penalty on weights (on biases and norms only with `train.decay = "all"`).
    pub weight_decay: f64,
}

impl Default for RAdam {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 }
    }
}

impl Rule for RAdam {
    fn problem(&self) -> Option<Problem> {
        adam::problem(self.betas, self.eps, self.weight_decay)
    }

    fn slots(&self) -> usize {
        2
    }

    /// Bias correction of the mean; what multiplies the reciprocal of the root mean square; and what is added
    /// to that: 1 until the variance is known.
    fn scalars(&self, step: u64) -> [f32; 4] {
        let [b1, b2] = self.betas;
        let mean = (1.0 / correction(b1, step)) as f32;
        let (missing, longest) = (correction(b2, step), 2.0 / (1.0 - b2) - 1.0);
        let length = longest - 2.0 * step as f64 * (1.0 - missing) / missing;
        if length <= 5.0 {
            return [mean, 0.0, 1.0, 0.0];
        }
        let known = (length - 4.0) * (length - 2.0) * longest;
        let rectified = (known / ((longest - 4.0) * (longest - 2.0) * length)).sqrt();
        [mean, (rectified * missing.sqrt()) as f32, 0.0, 0.0]
    }

    /// `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`, `l = l(oo) - 2 t b2^t / (1 - b2^t)` with
    /// `l(oo) = 2 / (1 - b2) - 1`; `p = p - rate m / (1 - b1^t)`, times
    /// `r sqrt(1 - b2^t) / (sqrt(v) + eps)` if `l > 5`, where
    /// `r^2 = (l - 4) (l - 2) l(oo) / ((l(oo) - 4) (l(oo) - 2) l)`
    fn body(&self) -> Body {
        let mut b = Builder::new();
        let parameter = b.parameter;
        let g = b.with_decay(self.weight_decay);
        let mean = b.running(1, g, self.betas[0]);
        let g2 = b.unary(UnaryFn::Square, g);
        let square = b.running(2, g2, self.betas[1]);
        let root = b.unary(UnaryFn::Sqrt, square);
        let eps = b.body.constant(self.eps as f32);
        let denominator = b.binary(BinaryFn::Add, root, eps);
        let adaptive = b.step(StepScalar::Optimizer(1));
        let adaptive = b.binary(BinaryFn::Div, adaptive, denominator);
        let plain = b.step(StepScalar::Optimizer(2));
        let factor = b.binary(BinaryFn::Add, adaptive, plain);
        let corrected = b.step(StepScalar::Optimizer(0));
        let mean = b.binary(BinaryFn::Mul, mean, corrected);
        let update = b.binary(BinaryFn::Mul, mean, factor);
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
        let (mut m, mut v, mut plain) = (0.0f64, 0.0f64, 0);
        follow(RAdam { weight_decay: 0.1, ..RAdam::default() }, 0.02, |step, p, g| {
            let g = g + 0.1 * p;
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let power = 0.999f64.powi(step as i32);
            let mean = m / (1.0 - 0.9f64.powi(step as i32));
            let length = 1999.0 - 2.0 * step as f64 * power / (1.0 - power);
            if length > 5.0 {
                let rectified = (length - 4.0) * (length - 2.0) * 1999.0 / (1995.0 * 1997.0 * length);
                p - 0.02 * mean * rectified.sqrt() * (1.0 - power).sqrt() / (v.sqrt() + 1e-8)
            } else {
                plain += 1;
                p - 0.02 * mean
            }
        });
        assert_eq!(plain, 5, "with these decay rates, the variance is known from step 6 on");
        assert_eq!(Optimizer::named("radam"), Some(RAdam::default().into()));
    }
}
