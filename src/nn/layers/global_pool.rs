//! Global pooling.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Layer, Place};
use crate::graph::{GraphError, ValueId};
use crate::nn::network::Network;

/// Global pooling to one number per channel; the result is flat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlobalPool {
    /// Mean, maximum, or the last step of a sequence.
    #[serde(default)]
    pub kind: Pooling,
}

/// How an image is reduced to one value per channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The mean over all positions.
    #[default]
    Average,
    /// The maximum over all positions.
    Max,
    /// The last step of a sequence.
    Last,
}

impl Layer for GlobalPool {
    fn name(&self) -> &'static str {
        "global_pool"
    }

    fn build(&self, net: &mut Network, _place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let [batch, height, width, channels] = net.extents("global_pool", x)?;
        match self.kind {
            Pooling::Average => net.graph.mean(x, &[1, 2], false),
            Pooling::Max => net.graph.max(x, &[1, 2], false),
            Pooling::Last if width == 1 => {
                let last = net.graph.slice(x, &[0, height - 1, 0, 0], &[batch, 1, 1, channels])?;
                net.graph.reshape(last, &[batch, channels])
            }
            Pooling::Last => {
                let reason = format!("kind = \"last\" is of sequences; these are images {width} wide");
                Err(net.graph.error("global_pool", &[x], reason))
            }
        }
    }
}
