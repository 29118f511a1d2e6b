//! Rows of numbers as images.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Layer, Place};
use crate::base::image::ImageShape;
use crate::graph::{GraphError, ValueId};
use crate::nn::network::Network;

/// Makes images of rows of numbers, channel by channel: the inverse of `flatten`, PyTorch's `Unflatten`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unflatten {
    /// Channels, height and width; a row has as many numbers.
    pub shape: ImageShape,
}

impl Layer for Unflatten {
    fn name(&self) -> &'static str {
        "unflatten"
    }

    fn check(&self) -> Result<(), String> {
        self.shape.problem().map_or(Ok(()), |problem| Err(format!("has shape {problem}")))
    }

    fn build(&self, net: &mut Network, _place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let [_, width] = net.rows("unflatten", x)?;
        let wanted = self.shape.values();
        if width != wanted {
            let reason = format!("the shape has {wanted} numbers and a row {width}; they must be as many");
            return Err(net.graph.error("unflatten", &[x], reason));
        }
        net.images(x, self.shape.into())
    }
}
