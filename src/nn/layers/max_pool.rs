//! Max pooling.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::{Pair, two, zero};
use super::{Layer, Place};
use crate::graph::pooling::PoolSpec;
use crate::graph::{GraphError, ValueId};
use crate::nn::network::Network;

/// Max pooling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaxPool {
    /// Height and width of the window.
    #[serde(default = "two")]
    pub size: Pair,
    /// Stride, in pixels; the window's size by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<Pair>,
    /// Padding on each side, with a value smaller than any pixel.
    #[serde(default = "zero")]
    pub padding: Pair,
}

impl MaxPool {
    /// Adjacent windows of this size.
    pub fn new(size: Pair) -> Self {
        Self { size, stride: None, padding: zero() }
    }
}

impl Layer for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn build(&self, net: &mut Network, _place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        net.extents("max_pool", x)?;
        let every = self.stride.unwrap_or(self.size).get();
        let spec = PoolSpec::new(self.size.get()).every(every).padded(self.padding.get());
        net.graph.max_pool(x, &spec)
    }
}
