//! Convolution of signals.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::convolution::Kernel;
use super::keys::{once, yes};
use super::{Layer, Place};
use crate::graph::convolution::ConvSpec;
use crate::graph::{GraphError, ValueId};
use crate::nn::network::Network;

/// Convolution of signals, i.e. images one pixel high: PyTorch's `Conv1d`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conv1d {
    /// Output channels.
    pub channels: usize,
    /// Width of the kernel.
    pub kernel: usize,
    /// Stride.
    #[serde(default = "once")]
    pub stride: usize,
    /// Zero padding on each side.
    #[serde(default)]
    pub padding: usize,
    /// Dilation.
    #[serde(default = "once")]
    pub dilation: usize,
    /// Groups of channels that are convolved separately.
    #[serde(default = "once")]
    pub groups: usize,
    /// Whether to add a bias per channel.
    #[serde(default = "yes")]
    pub bias: bool,
}

impl Layer for Conv1d {
    fn name(&self) -> &'static str {
        "conv1d"
    }

    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let [_, height, _, _] = net.extents("conv1d", x)?;
        if height != 1 {
            let reason = format!("expected signals, images 1 high; these are {height} high");
            return Err(net.graph.error("conv1d", &[x], reason));
        }
        let Self { channels, kernel, stride, padding, dilation, groups, bias } = *self;
        let spec = ConvSpec { stride: [1, stride], dilation: [1, dilation], groups, ..ConvSpec::default() };
        let kernel = Kernel { channels, taps: [1, kernel], bias, flat: true };
        net.convolution(&place.name, kernel, &spec.padded([0, padding]), x)
    }
}
