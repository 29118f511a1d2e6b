//! The `[uncertainty]` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scores::Sets;

/// How sure predictions are to say they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table such as { coverage = 0.9 }")]
pub struct UncertaintyConfig {
    /// The part of the true values that the intervals (of numbers) or sets (of classes) of predictions cover, such as
    /// 0.9. They are calibrated with the validation rows (split conformal prediction). Without it, `predict` and
    /// `evaluate` give none unless asked with `--coverage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    /// How sets of classes are chosen: `"lac"`, the smallest ones on average, or `"aps"`, which are larger where the
    /// model is less sure and at random in their last class.
    #[serde(default)]
    pub sets: Sets,
    /// Whether to divide the logits of a classifier by a temperature, which makes the probabilities of the validation
    /// rows the most likely ones (Guo et al. 2017).
    #[serde(default)]
    pub temperature: bool,
}
