//! Image convolution.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::convolution::{Kernel, KernelInit};
use super::keys::{NamedPadding, Padding, Pair, once, one, three, yes};
use super::{Layer, Place};
use crate::graph::convolution::ConvSpec;
use crate::graph::{GraphError, ValueId};
use crate::nn::network::Network;

/// Image convolution: PyTorch's `Conv2d`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conv2d {
    /// Output channels.
    pub channels: usize,
    /// Height and width of the kernel.
    #[serde(default = "three")]
    pub kernel: Pair,
    /// Stride, in pixels.
    #[serde(default = "one")]
    pub stride: Pair,
    /// Zero padding: a number, `"same"` or `"valid"`.
    #[serde(default = "no_padding")]
    pub padding: Padding,
    /// Dilation, in pixels.
    #[serde(default = "one")]
    pub dilation: Pair,
    /// Groups of channels that are convolved separately.
    #[serde(default = "once")]
    pub groups: usize,
    /// Whether to add a bias per channel.
    #[serde(default = "yes")]
    pub bias: bool,
    /// What the weights start from: `"default"`, PyTorch's, or `"kaiming"`, normal with variance `2 / (O kH kW)`.
    #[serde(default, skip_serializing_if = "KernelInit::is_default")]
    pub init: KernelInit,
}

impl Conv2d {
    /// A convolution with this kernel size, stride 1 and no padding.
    pub fn new(channels: usize, kernel: Pair) -> Self {
        let padding = no_padding();
        Self {
            channels,
            kernel,
            stride: one(),
            padding,
            dilation: one(),
            groups: 1,
            bias: true,
            init: KernelInit::Default,
        }
    }
}

fn no_padding() -> Padding {
    Padding::Named(NamedPadding::Valid)
}

impl Layer for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn check(&self) -> Result<(), String> {
        if self.kernel.get().contains(&0) {
            return Err("has a kernel of 0; it must be at least 1".into());
        }
        if self.channels == 0 {
            return Err("has 0 channels; there must be at least 1".into());
        }
        Ok(())
    }

    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let [_, height, width, _] = net.extents("conv2d", x)?;
        let Self { channels, groups, bias, init, .. } = *self;
        let taps = self.kernel.get();
        let (stride, dilation) = (self.stride.get(), self.dilation.get());
        let spec = ConvSpec { stride, dilation, groups, ..ConvSpec::default() };
        let spec = match self.padding {
            Padding::Zeros(zeros) => spec.padded(zeros.get()),
            Padding::Named(NamedPadding::Same) => spec.same([height, width], taps),
            Padding::Named(NamedPadding::Valid) => spec,
        };
        net.convolution(&place.name, Kernel { channels, taps, bias, init, flat: false }, &spec, x)
    }
}
