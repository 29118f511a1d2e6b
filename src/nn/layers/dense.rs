//! Dense layers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::{check_units, yes};
use super::{Layer, Place};
use crate::graph::{GraphError, ValueId};
use crate::nn::network::Network;

/// `x W^T + b` of each row, or of each step of a sequence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dense {
    /// Output units.
    pub units: usize,
    /// Whether to add `b`.
    #[serde(default = "yes")]
    pub bias: bool,
}

impl Layer for Dense {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn check(&self) -> Result<(), String> {
        check_units(self.units)
    }

    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        net.of_each(x, |net, x| net.dense(&place.name, self.units, self.bias, x))
    }
}
