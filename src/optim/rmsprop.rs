//! RMSprop.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rule;
use super::rule::{Builder, Problem, at_least_0, part, positive};
use crate::scalar::{BinaryFn, Body, UnaryFn};

/// RMSprop (`torch.optim.RMSprop`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RmsProp {
    /// Decay rate of the running mean square.
    pub alpha: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Momentum: the factor on the running update.
    pub momentum: f64,
    /// Divide by the running standard deviation instead of the root mean square.
    pub centered: bool,
    /// L2 penalty on weights (on biases and norms only with `train.decay = "all"`).
    pub weight_decay: f64,
}

impl Default for RmsProp {
    fn default() -> Self {
        Self { alpha: 0.99, eps: 1e-8, momentum: 0.0, centered: false, weight_decay: 0.0 }
    }
}

impl Rule for RmsProp {
    fn problem(&self) -> Option<Problem> {
        part("alpha", self.alpha)
            .or(positive("eps", self.eps))
            .or(part("momentum", self.momentum))
            .or(at_least_0("weight_decay", self.weight_decay))
    }

    fn slots(&self) -> usize {
        1 + usize::from(self.momentum != 0.0) + usize::from(self.centered)
    }

    fn body(&self) -> Body {
        let mut b = Builder::new();
        let parameter = b.parameter;
        let g = b.with_decay(self.weight_decay);
        let g2 = b.unary(UnaryFn::Square, g);
        let mut spread = b.running(1, g2, self.alpha);
        let mut slot = 2;
        if self.centered {
            let mean = b.running(slot, g, self.alpha);
            slot += 1;
            let mean2 = b.unary(UnaryFn::Square, mean);
            spread = b.binary(BinaryFn::Sub, spread, mean2);
        }
        let root = b.unary(UnaryFn::Sqrt, spread);
        let eps = b.body.constant(self.eps as f32);
        let denominator = b.binary(BinaryFn::Add, root, eps);
        let mut update = b.binary(BinaryFn::Div, g, denominator);
        if self.momentum != 0.0 {
            let old = b.state(slot);
            let kept = b.scale(old, self.momentum);
            update = b.binary(BinaryFn::Add, kept, update);
            b.keep(update, slot);
        }
        b.descend(parameter, update)
    }
}
