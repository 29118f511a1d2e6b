//! Lion: steps of one size, along the sign of the momentum.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rule;
use super::rule::{Builder, Problem, at_least_0, part};
use crate::scalar::{BinaryFn, Body, UnaryFn};

/// Lion (Chen et al. 2023, arXiv:2302.06675, algorithm 2). Every step has the size of the learning rate, so use
/// a rate 3 to 10 times below Adam's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lion {
    /// Weight of the momentum in a step's direction, and the momentum's decay rate.
    pub betas: [f64; 2],
    /// Shrinks weights by `learning_rate * weight_decay` each step (biases and norms only with
    /// `train.decay = "all"`).
    pub weight_decay: f64,
}

impl Default for Lion {
    fn default() -> Self {
        Self { betas: [0.9, 0.99], weight_decay: 0.0 }
    }
}

impl Rule for Lion {
    fn problem(&self) -> Option<Problem> {
        part("betas", self.betas[0])
            .or(part("betas", self.betas[1]))
            .or(at_least_0("weight_decay", self.weight_decay))
    }

    fn slots(&self) -> usize {
        1
    }

    /// `p = p - rate (sign(b1 m + (1 - b1) g) + weight_decay p)`, `m = b2 m + (1 - b2) g`
    fn body(&self) -> Body {
        let mut b = Builder::new();
        let parameter = b.shrunk(self.weight_decay);
        let gradient = b.gradient;
        let momentum = b.state(1);
        let kept = b.scale(momentum, self.betas[0]);
        let new = b.scale(gradient, 1.0 - self.betas[0]);
        let direction = b.binary(BinaryFn::Add, kept, new);
        let update = b.unary(UnaryFn::Sign, direction);
        b.running(1, gradient, self.betas[1]);
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
        let mut m = 0.0f64;
        follow(Lion { weight_decay: 0.1, ..Lion::default() }, 0.003, |_, p, g| {
            let direction = 0.9 * m + 0.1 * g;
            m = 0.99 * m + 0.01 * g;
            p - 0.003 * (direction.signum() + 0.1 * p)
        });
        assert_eq!(Optimizer::named("lion"), Some(Lion::default().into()));
    }
}
