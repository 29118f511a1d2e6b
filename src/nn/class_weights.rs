//! Weights of classes in losses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Weights that follow from the training rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WeightRule {
    /// Each class has the same sum of weights.
    Balanced,
}

/// Weights of classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a list of weights such as [1.0, 5.0], or \"balanced\"")]
pub enum ClassWeights {
    /// One for each class.
    Each(Vec<f64>),
    /// From the training rows.
    Rule(WeightRule),
}

/// Weight of positive rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number such as 5.0, or \"balanced\"")]
pub enum PosWeight {
    /// A number.
    Factor(f64),
    /// From the training rows.
    Rule(WeightRule),
}

impl Default for ClassWeights {
    fn default() -> Self {
        Self::Each(vec![])
    }
}

impl Default for PosWeight {
    fn default() -> Self {
        Self::Factor(1.0)
    }
}

impl ClassWeights {
    /// The weights, if they are given one by one.
    pub fn each(&self) -> &[f64] {
        match self {
            Self::Each(weights) => weights,
            Self::Rule(_) => &[],
        }
    }

    /// Whether every class has weight 1.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl PosWeight {
    /// The weight.
    pub fn factor(&self) -> f64 {
        match self {
            Self::Factor(factor) => *factor,
            Self::Rule(_) => 1.0,
        }
    }

    /// Whether positive rows have weight 1.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
