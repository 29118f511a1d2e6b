//! How the values of a training step are stored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the values of a training step are stored; arithmetic is single precision always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// In single precision, 32 bits.
    #[default]
    Single,
    /// What the backward pass needs of the forward pass in half precision, 16 bits, while it waits; weights, gradients and
    /// sums in single precision, so that no loss has to be scaled.
    Mixed,
}
