//! Dropout (Srivastava et al. 2014).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Layer, Place};
use crate::graph::{GraphError, ValueId};
use crate::nn::network::Network;

/// Zeroes elements in training and scales the rest by `1 / (1 - rate)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// Fraction of elements dropped.
    pub rate: f64,
}

impl Layer for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn check(&self) -> Result<(), String> {
        let rate = self.rate;
        if (0.0..1.0).contains(&rate) {
            return Ok(());
        }
        Err(format!("= {rate} must be at least 0 and below 1"))
    }

    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        net.drop(net.first_stream + place.number as u32, self.rate, x)
    }
}
