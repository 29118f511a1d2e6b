//! Adam with decoupled weight decay.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rule;
use super::adam::{moments, problem, scalars};
use super::rule::{Builder, Problem};
use crate::scalar::Body;

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdamW {
    /// Decay rates of the running mean and of the running mean square.
    pub betas: [f64; 2],
    /// Added to the denominator.
    pub eps: f64,
    /// Shrinks weights by `learning_rate * weight_decay` each step (biases and norms only with
    /// `train.decay = "all"`).
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01 }
    }
}

impl Rule for AdamW {
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
        let parameter = b.shrunk(self.weight_decay);
        let gradient = b.gradient;
        moments(b, parameter, gradient, self.betas, self.eps)
    }
}
