//! Optimizers, one per file: update rules as scalar bodies over the flat parameter region, with PyTorch's
//! definitions and defaults.
//!
//! Values that vary from step to step (bias corrections) are computed on the host in `f64` and rounded once,
//! so the CPU and the GPU see the same bits and no kernel evaluates a power.
//!
//! A new optimizer is a file beside these, a `mod` line, a `pub use` line and an entry in the list below.

mod adadelta;
mod adagrad;
mod adam;
mod adamax;
mod adamw;
mod lamb;
mod lion;
mod nadam;
mod radam;
mod rmsprop;
mod rule;
pub mod schedule;
mod sgd;
#[cfg(test)]
mod trajectory;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::tree::Node;
use crate::scalar::Body;
pub use adadelta::Adadelta;
pub use adagrad::Adagrad;
pub use adam::Adam;
pub use adamax::Adamax;
pub use adamw::AdamW;
pub use lamb::Lamb;
pub use lion::Lion;
pub use nadam::NAdam;
pub use radam::RAdam;
pub use rmsprop::RmsProp;
pub use rule::Problem;
pub(crate) use rule::descent;
pub use sgd::Sgd;

/// An update rule. The learning rate is part of the schedule.
pub trait Rule {
    /// What is wrong with the hyper-parameters, if anything: the key, what was found, what is allowed.
    fn problem(&self) -> Option<Problem>;

    /// State slots per parameter.
    fn slots(&self) -> usize;

    /// `StepScalar::Optimizer` values at step `step`, counted from 1.
    fn scalars(&self, _step: u64) -> [f32; 4] {
        [0.0; 4]
    }

    /// Which tensors' steps are scaled to the size of their weights, if the rule has a trust ratio.
    fn adapts(&self) -> Option<Adapts> {
        None
    }

    /// The update of each parameter (see `kernels::optimizer` for its operands). With a trust ratio, it leaves the
    /// parameter and stores the step, which is yet to be multiplied by the ratio and the learning rate, in the
    /// slot after those of the state.
    fn body(&self) -> Body;
}

/// The tensors whose steps have a trust ratio; it is 1 for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adapts {
    /// None.
    None,
    /// Those to which weight decay applies.
    Decayed,
    /// All.
    All,
}

/// Which parameters weight decay applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// Weights, not biases and the parameters of norms.
    #[default]
    Weights,
    /// All parameters, as in PyTorch.
    All,
}

/// Defines an enum of optimizers by name, from their hyper-parameters.
macro_rules! optimizers {
    ($($name:literal: $rule:ident,)*) => {
        /// An optimizer with its hyper-parameters.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(
            tag = "type",
            expecting = "a name such as \"adam\", or a table such as { type = \"sgd\", momentum = 0.9 }"
        )]
        pub enum Optimizer {
            $(#[doc = concat!("[`", stringify!($rule), "`]")] #[serde(rename = $name)] $rule($rule),)*
        }

        impl Optimizer {
            /// The names of all optimizers.
            pub const NAMES: &[&str] = &[$($name),*];

            fn rule(&self) -> &dyn Rule {
                match self {
                    $(Self::$rule(rule) => rule,)*
                }
            }

            /// Its weight decay.
            pub fn weight_decay(&self) -> f64 {
                match self {
                    $(Self::$rule(rule) => rule.weight_decay,)*
                }
            }

            /// The same with another weight decay.
            pub fn with_weight_decay(&self, weight_decay: f64) -> Self {
                match self {
                    $(Self::$rule(rule) => Self::$rule($rule { weight_decay, ..rule.clone() }),)*
                }
            }
        }

        $(impl From<$rule> for Optimizer {
            fn from(rule: $rule) -> Self {
                Self::$rule(rule)
            }
        })*
    };
}

optimizers! {
    "sgd": Sgd,
    "adam": Adam,
    "adamax": Adamax,
    "adamw": AdamW,
    "rmsprop": RmsProp,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "nadam": NAdam,
    "radam": RAdam,
    "lion": Lion,
    "lamb": Lamb,
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::Adam(Adam::default())
    }
}

impl Optimizer {
    /// The optimizer of this name, with PyTorch's defaults.
    pub fn named(name: &str) -> Option<Self> {
        Node::named("type", name).read().ok()
    }

    /// What is wrong with the hyper-parameters, if anything: the key, what was found, what is allowed.
    pub fn problem(&self) -> Option<Problem> {
        self.rule().problem()
    }

    /// State slots per parameter.
    pub fn slots(&self) -> usize {
        self.rule().slots()
    }

    /// `StepScalar::Optimizer` values at step `step`, counted from 1.
    pub fn scalars(&self, step: u64) -> [f32; 4] {
        self.rule().scalars(step)
    }

    /// Which tensors' steps are scaled to the size of their weights, if the rule has a trust ratio.
    pub fn adapts(&self) -> Option<Adapts> {
        self.rule().adapts()
    }

    /// The update rule (see `kernels::optimizer` for its operands).
    pub fn body(&self) -> Body {
        self.rule().body()
    }
}
