//! Residual blocks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::activation::{Activation, activation};
use super::batch_norm::BatchNorm;
use super::convolution::KernelInit;
use super::keys::{once, yes};
use super::{Layer, Place};
use crate::graph::{GraphError, ValueId};
use crate::nn::network::Network;

/// Residual block: convolutions with batch normalisation, whose result is added to their input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Residual {
    /// Output channels.
    pub channels: usize,
    /// Stride of the first 3 x 3 convolution, in pixels.
    #[serde(default = "once")]
    pub stride: usize,
    /// Kind of block.
    #[serde(default)]
    pub kind: Block,
    /// Whether the 1 x 1 convolution that resizes the input is followed by batch normalisation.
    #[serde(default = "yes")]
    pub shortcut_norm: bool,
    /// What the weights start from: `"default"`, PyTorch's, or `"kaiming"`, normal with variance `2 / (O kH kW)`.
    #[serde(default, skip_serializing_if = "KernelInit::is_default")]
    pub init: KernelInit,
}

impl Residual {
    /// A basic block with this number of channels and this stride.
    pub fn new(channels: usize, stride: usize) -> Self {
        Self { channels, stride, kind: Block::Basic, shortcut_norm: true, init: KernelInit::Default }
    }
}

/// Kind of residual block (He et al. 2016, arXiv:1512.03385, figure 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// Two 3 x 3 convolutions.
    #[default]
    Basic,
    /// 1 x 1 to a quarter of the channels, then 3 x 3, then 1 x 1.
    Bottleneck,
}

impl Layer for Residual {
    fn name(&self) -> &'static str {
        "residual"
    }

    fn mixes_batch(&self) -> bool {
        true
    }

    /// Names follow torchvision's `BasicBlock` and `Bottleneck`: `conv1`, `bn1`, ..., `downsample.0`,
    /// `downsample.1`.
    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let [_, _, _, inputs] = net.extents("residual", x)?;
        let Self { channels, stride, kind, shortcut_norm, init } = *self;
        let (name, norm) = (&place.name, BatchNorm::default());
        let narrow = match kind {
            Block::Basic => channels,
            Block::Bottleneck => (channels / 4).max(1),
        };
        let convolutions: &[(usize, usize, usize)] = match kind {
            Block::Basic => &[(channels, 3, stride), (channels, 3, 1)],
            Block::Bottleneck => &[(narrow, 1, 1), (narrow, 3, stride), (channels, 1, 1)],
        };
        let mut h = x;
        for (at, &(channels, taps, stride)) in convolutions.iter().enumerate() {
            h = net.plain_convolution(&format!("{name}.conv{}", at + 1), channels, taps, stride, init, h)?;
            h = net.batch_norm(&format!("{name}.bn{}", at + 1), &norm, h)?;
            if at + 1 < convolutions.len() {
                h = activation(net.graph, Activation::Relu, h)?;
            }
        }
        let mut shortcut = x;
        if stride != 1 || inputs != channels {
            let resized = format!("{name}.downsample.0");
            shortcut = net.plain_convolution(&resized, channels, 1, stride, init, x)?;
            if shortcut_norm {
                shortcut = net.batch_norm(&format!("{name}.downsample.1"), &norm, shortcut)?;
            }
        }
        let sum = net.graph.add(h, shortcut)?;
        activation(net.graph, Activation::Relu, sum)
    }
}
