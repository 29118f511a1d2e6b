//! Global pooling.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Layer, Place};
use crate::graph::{GraphError, ValueId};
use crate::nn::network::{Lengths, Network};

/// Global pooling to one number per channel; the result is flat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlobalPool {
    /// Mean, maximum or sum, or the last step of a sequence.
    #[serde(default)]
    pub kind: Pooling,
}

/// How an image, a sequence or the nodes of a graph are reduced to one value per channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The mean over all positions.
    #[default]
    Average,
    /// The maximum over all positions.
    Max,
    /// The sum over all positions.
    Sum,
    /// The last step of a sequence.
    Last,
}

impl Layer for GlobalPool {
    fn name(&self) -> &'static str {
        "global_pool"
    }

    fn build(&self, net: &mut Network, _place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let [batch, height, width, channels] = net.extents("global_pool", x)?;
        if let Some(lengths) = net.lengths {
            return self.of_lengths(net, lengths, x);
        }
        match self.kind {
            Pooling::Average => net.graph.mean(x, &[1, 2], false),
            Pooling::Max => net.graph.max(x, &[1, 2], false),
            Pooling::Sum => net.graph.sum(x, &[1, 2], false),
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

impl GlobalPool {
    /// Over the steps `[B, T, 1, F]` of texts or the nodes of graphs, without those after their ends; zeros of a text
    /// that has none.
    fn of_lengths(&self, net: &mut Network, lengths: Lengths, x: ValueId) -> Result<ValueId, GraphError> {
        let [batch, steps, _, channels] = net.extents("global_pool", x)?;
        let x = net.graph.reshape(x, &[batch, steps, channels])?;
        let valid = net.graph.reshape(lengths.valid, &[batch, steps, 1])?;
        match self.kind {
            Pooling::Average => {
                let kept = net.graph.mul(x, valid)?;
                let sum = net.graph.sum(kept, &[1], false)?;
                let count = net.graph.sum(lengths.valid, &[1], true)?;
                net.graph.formula([sum, count], |[sum, count]| sum / count.maximum(1.0))
            }
            Pooling::Sum => {
                let kept = net.graph.mul(x, valid)?;
                net.graph.sum(kept, &[1], false)
            }
            Pooling::Max => {
                let least = f64::from(f32::MIN);
                let kept = net.graph.formula([x, valid], |[x, valid]| valid.less(0.5).select(least, x))?;
                let most = net.graph.max(kept, &[1], false)?;
                let any = net.graph.max(lengths.valid, &[1], true)?;
                net.graph.formula([most, any], |[most, any]| any.less(0.5).select(0.0, most))
            }
            Pooling::Last => {
                // 1 at the last step of each text, 0 elsewhere.
                let later = match steps {
                    1 => net.graph.mul_scalar(lengths.valid, 0.0)?,
                    _ => {
                        let later = net.graph.slice(lengths.valid, &[0, 1], &[batch, steps - 1])?;
                        net.graph.pad(later, &[0, 0], &[0, 1])?
                    }
                };
                let ends = net.graph.sub(lengths.valid, later)?;
                let ends = net.graph.reshape(ends, &[batch, steps, 1])?;
                let last = net.graph.mul(x, ends)?;
                net.graph.sum(last, &[1], false)
            }
        }
    }
}
