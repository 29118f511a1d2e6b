//! Stochastic gradient descent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rule;
use super::rule::{Builder, Problem, at_least_0, part};
use crate::base::step::StepScalar;
use crate::scalar::{BinaryFn, Body};

/// Stochastic gradient descent (`torch.optim.SGD`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// Momentum: the factor on the running gradient.
    pub momentum: f64,
    /// Fraction of every gradient but the first that is left out of the running gradient.
    pub dampening: f64,
    /// Nesterov momentum: look one momentum step ahead (Sutskever et al. 2013).
    pub nesterov: bool,
    /// L2 penalty on weights (on biases and norms only with `train.decay = "all"`).
    pub weight_decay: f64,
}

impl Rule for Sgd {
    fn problem(&self) -> Option<Problem> {
        let Self { momentum, dampening, nesterov, weight_decay } = *self;
        part("momentum", momentum)
            .or(at_least_0("weight_decay", weight_decay))
            .or((!(0.0..=1.0).contains(&dampening))
                .then(|| ("dampening", format!("{dampening} is not in 0..=1"))))
            .or((nesterov && (momentum == 0.0 || dampening != 0.0))
                .then(|| ("nesterov", "it needs momentum above 0 and dampening 0".into())))
    }

    fn slots(&self) -> usize {
        usize::from(self.momentum != 0.0)
    }

    fn scalars(&self, step: u64) -> [f32; 4] {
        // The first gradient enters the running gradient undamped.
        let part = if step <= 1 { 1.0 } else { (1.0 - self.dampening) as f32 };
        [part, 0.0, 0.0, 0.0]
    }

    fn body(&self) -> Body {
        let mut b = Builder::new();
        let parameter = b.parameter;
        let g = b.with_decay(self.weight_decay);
        if self.momentum == 0.0 {
            return b.descend(parameter, g);
        }
        let old = b.state(1);
        let kept = b.scale(old, self.momentum);
        let factor = b.step(StepScalar::Optimizer(0));
        let new = b.binary(BinaryFn::Mul, g, factor);
        let running = b.binary(BinaryFn::Add, kept, new);
        b.keep(running, 1);
        if !self.nesterov {
            return b.descend(parameter, running);
        }
        let ahead = b.scale(running, self.momentum);
        let update = b.binary(BinaryFn::Add, g, ahead);
        b.descend(parameter, update)
    }
}
