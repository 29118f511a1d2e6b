//! Transposed image convolution.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::{Pair, once, one, three, yes, zero};
use super::{Layer, Place};
use crate::graph::convolution::ConvSpec;
use crate::graph::{GraphError, ValueId};
use crate::nn::arrangement::Arrangement;
use crate::nn::init::Init;
use crate::nn::network::Network;

/// Transposed convolution, which enlarges images: PyTorch's `ConvTranspose2d`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConvTranspose2d {
    /// Output channels.
    pub channels: usize,
    /// Height and width of the kernel.
    #[serde(default = "three")]
    pub kernel: Pair,
    /// Stride, in output pixels.
    #[serde(default = "one")]
    pub stride: Pair,
    /// Padding: output pixels cropped on each side.
    #[serde(default = "zero")]
    pub padding: Pair,
    /// Output padding: pixels added at the bottom and the right.
    #[serde(default = "zero")]
    pub output_padding: Pair,
    /// Dilation, in pixels.
    #[serde(default = "one")]
    pub dilation: Pair,
    /// Groups of channels that are convolved separately.
    #[serde(default = "once")]
    pub groups: usize,
    /// Whether to add a bias per channel.
    #[serde(default = "yes")]
    pub bias: bool,
}

impl Layer for ConvTranspose2d {
    fn name(&self) -> &'static str {
        "conv_transpose2d"
    }

    /// Weights `[C, O / groups, kH, kW]` and bias `[O]`; as in PyTorch, the bound counts `O / groups` inputs.
    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        net.extents("conv_transpose2d", x)?;
        let Self { channels, groups, bias, .. } = *self;
        let ([high, wide], name) = (self.kernel.get(), &place.name);
        let (stride, dilation) = (self.stride.get(), self.dilation.get());
        let spec = ConvSpec { stride, dilation, groups, ..ConvSpec::default() }.padded(self.padding.get());
        let inputs = net.graph.shape(x)[3];
        net.check_groups(x, groups, inputs, channels)?;
        let per_group = channels / groups;
        let init = Init::Uniform { bound: 1.0 / ((per_group * high * wide) as f32).sqrt() };
        // `[kH, kW, C / groups, groups, O / groups]`, as convolutions read it.
        let split = [groups, inputs / groups, per_group, high, wide];
        let arrangement = Arrangement::new(&split, &[3, 4, 1, 0, 2]);
        let shape = [inputs, per_group, high, wide];
        let weight = net.arranged(format!("{name}.weight"), &shape, init, arrangement)?;
        let weight = net.graph.reshape(weight, &[high, wide, inputs / groups, groups * per_group])?;
        let y = net.graph.conv_transpose2d(x, weight, &spec, self.output_padding.get())?;
        if !bias {
            return Ok(y);
        }
        let bias = net.parameter(format!("{name}.bias"), &[channels], init, false)?;
        net.graph.add(y, bias)
    }
}
