//! Flattening of images.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Layer, Place};
use crate::graph::{GraphError, ValueId};
use crate::nn::network::Network;

/// Flattens an image to one row of numbers, channel by channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flatten {}

impl Layer for Flatten {
    fn name(&self) -> &'static str {
        "flatten"
    }

    fn build(&self, net: &mut Network, _place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let extents = net.extents("flatten", x)?;
        let planes = net.graph.channels_first(x)?;
        net.graph.reshape(planes, &[extents[0], extents[1..].iter().product()])
    }
}
