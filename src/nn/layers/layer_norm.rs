//! Layer normalisation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::{check_eps, default_eps};
use super::{Layer, Place};
use crate::graph::{GraphError, ValueId};
use crate::nn::network::Network;

/// Layer normalisation of each row, or of the features of each step of a sequence (Ba et al. 2016,
/// arXiv:1607.06450).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LayerNorm {
    /// Added to the variance.
    #[serde(default = "default_eps")]
    pub eps: f64,
}

impl Layer for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn check(&self) -> Result<(), String> {
        check_eps(self.eps)
    }

    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        net.of_each(x, |net, x| {
            let [_, units] = net.rows("layer_norm", x)?;
            let [weight, bias] = net.scale_and_shift(&place.name, &[1, units])?;
            Ok(net.graph.normalise(x, &[1], self.eps, weight, bias)?.y)
        })
    }
}
