//! Optimizers: update rules as scalar bodies over the flat parameter region, with PyTorch's definitions.
//!
//! What changes from step to step (bias corrections) is computed on the host in `f64` and rounded once, so the
//! CPU and the GPU see the same bits and no kernel computes a power.

pub mod schedule;

use serde::{Deserialize, Serialize};

use crate::base::step::StepScalar;
use crate::scalar::{BinaryFn, Body, Inst, Reg, UnaryFn, View};

/// An optimizer with its hyper-parameters; defaults are PyTorch's. The learning rate belongs to the schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Optimizer {
    /// Stochastic gradient descent (`torch.optim.SGD`).
    Sgd {
        /// Factor on the running gradient.
        #[serde(default)]
        momentum: f64,
        /// Part of each gradient after the first that is left out of the running gradient.
        #[serde(default)]
        dampening: f64,
        /// Look one momentum step ahead (Sutskever et al. 2013).
        #[serde(default)]
        nesterov: bool,
        /// L2 penalty on weights (not on biases and norms).
        #[serde(default)]
        weight_decay: f64,
    },
    /// Adam (Kingma and Ba 2015, arXiv:1412.6980).
    Adam {
        /// Decay of the running mean and of the running square.
        #[serde(default = "default_betas")]
        betas: [f64; 2],
        /// Added to the denominator.
        #[serde(default = "default_eps")]
        eps: f64,
        /// L2 penalty on weights (not on biases and norms).
        #[serde(default)]
        weight_decay: f64,
    },
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101).
    #[serde(rename = "adamw")]
    AdamW {
        /// Decay of the running mean and of the running square.
        #[serde(default = "default_betas")]
        betas: [f64; 2],
        /// Added to the denominator.
        #[serde(default = "default_eps")]
        eps: f64,
        /// Shrinks weights (not biases and norms) by `learning_rate * weight_decay` each step.
        #[serde(default = "default_adamw_decay")]
        weight_decay: f64,
    },
    /// RMSprop (`torch.optim.RMSprop`).
    #[serde(rename = "rmsprop")]
    RmsProp {
        /// Decay of the running square.
        #[serde(default = "default_alpha")]
        alpha: f64,
        /// Added to the denominator.
        #[serde(default = "default_eps")]
        eps: f64,
        /// Factor on the running update.
        #[serde(default)]
        momentum: f64,
        /// Divide by the running standard deviation instead of the root of the running square.
        #[serde(default)]
        centered: bool,
        /// L2 penalty on weights (not on biases and norms).
        #[serde(default)]
        weight_decay: f64,
    },
}

fn default_betas() -> [f64; 2] {
    [0.9, 0.999]
}

fn default_eps() -> f64 {
    1e-8
}

fn default_adamw_decay() -> f64 {
    0.01
}

fn default_alpha() -> f64 {
    0.99
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::Adam { betas: default_betas(), eps: default_eps(), weight_decay: 0.0 }
    }
}

impl Optimizer {
    /// The optimizer of this name with PyTorch's defaults.
    pub fn named(name: &str) -> Option<Self> {
        let (betas, eps) = (default_betas(), default_eps());
        Some(match name {
            "sgd" => Self::Sgd { momentum: 0.0, dampening: 0.0, nesterov: false, weight_decay: 0.0 },
            "adam" => Self::default(),
            "adamw" => Self::AdamW { betas, eps, weight_decay: default_adamw_decay() },
            "rmsprop" => {
                Self::RmsProp { alpha: 0.99, eps, momentum: 0.0, centered: false, weight_decay: 0.0 }
            }
            _ => return None,
        })
    }

    /// What is wrong with the hyper-parameters, if anything: key, what was found, what is allowed.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let unit = |key, x: f64| (!(0.0..1.0).contains(&x)).then(|| (key, format!("{x} is not in 0..1")));
        let positive =
            |key, x: f64| (!(x > 0.0 && x.is_finite())).then(|| (key, format!("{x} is not above 0")));
        let at_least_0 =
            |key, x: f64| (!(x >= 0.0 && x.is_finite())).then(|| (key, format!("{x} is below 0")));
        match *self {
            Self::Sgd { momentum, dampening, nesterov, weight_decay } => unit("momentum", momentum)
                .or(at_least_0("weight_decay", weight_decay))
                .or((!(0.0..=1.0).contains(&dampening))
                    .then(|| ("dampening", format!("{dampening} is not in 0..=1"))))
                .or((nesterov && (momentum == 0.0 || dampening != 0.0))
                    .then(|| ("nesterov", "it needs momentum above 0 and dampening 0".into()))),
            Self::Adam { betas, eps, weight_decay } | Self::AdamW { betas, eps, weight_decay } => {
                unit("betas", betas[0])
                    .or(unit("betas", betas[1]))
                    .or(positive("eps", eps))
                    .or(at_least_0("weight_decay", weight_decay))
            }
            Self::RmsProp { alpha, eps, momentum, weight_decay, .. } => unit("alpha", alpha)
                .or(positive("eps", eps))
                .or(unit("momentum", momentum))
                .or(at_least_0("weight_decay", weight_decay)),
        }
    }

    /// State slots per parameter.
    pub fn slots(&self) -> usize {
        match *self {
            Self::Sgd { momentum, .. } => usize::from(momentum != 0.0),
            Self::Adam { .. } | Self::AdamW { .. } => 2,
            Self::RmsProp { momentum, centered, .. } => {
                1 + usize::from(momentum != 0.0) + usize::from(centered)
            }
        }
    }

    /// `StepScalar::Optimizer` values of step `step`, counted from 1.
    pub fn scalars(&self, step: u64) -> [f32; 4] {
        let mut scalars = [0.0; 4];
        match *self {
            Self::Adam { betas, .. } | Self::AdamW { betas, .. } => {
                let power = i32::try_from(step).unwrap_or(i32::MAX);
                scalars[0] = (1.0 / (1.0 - betas[0].powi(power))) as f32;
                scalars[1] = (1.0 / (1.0 - betas[1].powi(power)).sqrt()) as f32;
            }
            // The first gradient enters the running gradient whole.
            Self::Sgd { dampening, .. } => {
                scalars[0] = if step <= 1 { 1.0 } else { (1.0 - dampening) as f32 }
            }
            Self::RmsProp { .. } => {}
        }
        scalars
    }

    /// The update rule (see `kernels::optimizer` for its operands).
    pub fn body(&self) -> Body {
        let mut rule = Rule { body: Body::default() };
        let gradient = rule.body.push(Inst::Accumulator);
        let parameter = rule.body.push(Inst::Previous { output: 0 });
        let rate = rule.step(StepScalar::LearningRate);
        match *self {
            Self::Sgd { momentum, nesterov, weight_decay, .. } => {
                let g = rule.with_decay(gradient, parameter, weight_decay);
                let update = if momentum == 0.0 {
                    g
                } else {
                    let old = rule.body.push(Inst::Previous { output: 1 });
                    let kept = rule.scale(old, momentum);
                    let factor = rule.step(StepScalar::Optimizer(0));
                    let new = rule.binary(BinaryFn::Mul, g, factor);
                    let running = rule.binary(BinaryFn::Add, kept, new);
                    rule.body.stores.push((running, 1));
                    if nesterov {
                        let ahead = rule.scale(running, momentum);
                        rule.binary(BinaryFn::Add, g, ahead)
                    } else {
                        running
                    }
                };
                rule.descend(parameter, rate, update);
            }
            Self::Adam { betas, eps, weight_decay } => {
                let g = rule.with_decay(gradient, parameter, weight_decay);
                rule.adam(parameter, g, rate, betas, eps);
            }
            Self::AdamW { betas, eps, weight_decay } => {
                let decay = rule.masked(weight_decay);
                let shrink = rule.binary(BinaryFn::Mul, rate, decay);
                let part = rule.binary(BinaryFn::Mul, shrink, parameter);
                let parameter = rule.binary(BinaryFn::Sub, parameter, part);
                rule.adam(parameter, gradient, rate, betas, eps);
            }
            Self::RmsProp { alpha, eps, momentum, centered, weight_decay } => {
                let g = rule.with_decay(gradient, parameter, weight_decay);
                let g2 = rule.body.push(Inst::Unary(UnaryFn::Square, g));
                let mut spread = rule.running(1, g2, alpha);
                let mut slot = 2;
                if centered {
                    let mean = rule.running(slot, g, alpha);
                    slot += 1;
                    let mean2 = rule.body.push(Inst::Unary(UnaryFn::Square, mean));
                    spread = rule.binary(BinaryFn::Sub, spread, mean2);
                }
                let root = rule.body.push(Inst::Unary(UnaryFn::Sqrt, spread));
                let eps = rule.body.constant(eps as f32);
                let denominator = rule.binary(BinaryFn::Add, root, eps);
                let mut update = rule.binary(BinaryFn::Div, g, denominator);
                if momentum != 0.0 {
                    let old = rule.body.push(Inst::Previous { output: slot });
                    let kept = rule.scale(old, momentum);
                    update = rule.binary(BinaryFn::Add, kept, update);
                    rule.body.stores.push((update, slot));
                }
                rule.descend(parameter, rate, update);
            }
        }
        rule.body
    }
}

/// Builds a rule's body.
struct Rule {
    body: Body,
}

impl Rule {
    fn binary(&mut self, f: BinaryFn, a: Reg, b: Reg) -> Reg {
        self.body.push(Inst::Binary(f, a, b))
    }

    fn step(&mut self, scalar: StepScalar) -> Reg {
        self.body.push(Inst::Step(scalar))
    }

    fn scale(&mut self, x: Reg, factor: f64) -> Reg {
        let factor = self.body.constant(factor as f32);
        self.binary(BinaryFn::Mul, x, factor)
    }

    /// `amount` where decay applies, else 0.
    fn masked(&mut self, amount: f64) -> Reg {
        let view = View { offset: 0, strides: vec![1], guards: vec![] };
        let mask = self.body.push(Inst::Load { operand: 1, view });
        self.scale(mask, amount)
    }

    /// Gradient of the loss with the L2 penalty.
    fn with_decay(&mut self, gradient: Reg, parameter: Reg, weight_decay: f64) -> Reg {
        if weight_decay == 0.0 {
            return gradient;
        }
        let decay = self.masked(weight_decay);
        let penalty = self.binary(BinaryFn::Mul, decay, parameter);
        self.binary(BinaryFn::Add, gradient, penalty)
    }

    /// `state = decay * state + (1 - decay) * x`, in slot `slot`.
    fn running(&mut self, slot: usize, x: Reg, decay: f64) -> Reg {
        let old = self.body.push(Inst::Previous { output: slot });
        let kept = self.scale(old, decay);
        let new = self.scale(x, 1.0 - decay);
        let state = self.binary(BinaryFn::Add, kept, new);
        self.body.stores.push((state, slot));
        state
    }

    fn adam(&mut self, parameter: Reg, g: Reg, rate: Reg, betas: [f64; 2], eps: f64) {
        let mean = self.running(1, g, betas[0]);
        let g2 = self.body.push(Inst::Unary(UnaryFn::Square, g));
        let square = self.running(2, g2, betas[1]);
        let root = self.body.push(Inst::Unary(UnaryFn::Sqrt, square));
        let correction = self.step(StepScalar::Optimizer(1));
        let root = self.binary(BinaryFn::Mul, root, correction);
        let eps = self.body.constant(eps as f32);
        let denominator = self.binary(BinaryFn::Add, root, eps);
        let correction = self.step(StepScalar::Optimizer(0));
        let mean = self.binary(BinaryFn::Mul, mean, correction);
        let update = self.binary(BinaryFn::Div, mean, denominator);
        self.descend(parameter, rate, update);
    }

    fn descend(&mut self, parameter: Reg, rate: Reg, update: Reg) {
        let change = self.binary(BinaryFn::Mul, rate, update);
        let new = self.binary(BinaryFn::Sub, parameter, change);
        self.body.stores.push((new, 0));
    }
}
