//! Convolution of signals.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::convolution::{Kernel, KernelInit};
use super::keys::{once, yes};
use super::{Layer, Place};
use crate::graph::convolution::ConvSpec;
use crate::graph::{GraphError, ValueId};
use crate::nn::network::Network;

/// Convolution of signals, images one pixel high, or over the steps of sequences: PyTorch's `Conv1d`.
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
    /// Whether a step sees itself and earlier ones alone: zeros before the first step, `(kernel - 1) dilation` of
    /// them, instead of `padding`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub causal: bool,
}

impl Layer for Conv1d {
    fn name(&self) -> &'static str {
        "conv1d"
    }

    fn check(&self) -> Result<(), String> {
        match self.padding {
            padding @ 1.. if self.causal => {
                Err(format!("has padding = {padding} and `causal`, which pads by itself; remove one of them"))
            }
            _ => Ok(()),
        }
    }

    fn reads_steps(&self) -> bool {
        true
    }

    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let [_, height, width, _] = net.extents("conv1d", x)?;
        if height != 1 && width != 1 {
            let reason = format!("expected sequences, or signals 1 pixel high; these are {height} x {width}");
            return Err(net.graph.error("conv1d", &[x], reason));
        }
        let Self { channels, kernel, stride, padding, dilation, groups, bias, causal } = *self;
        // Steps of sequences are one above the other.
        let along = |n: usize, across: usize| if width == 1 { [n, across] } else { [across, n] };
        let zeros = match causal {
            true => [kernel.saturating_sub(1).saturating_mul(dilation), 0],
            false => [padding, padding],
        };
        let spec = ConvSpec {
            stride: along(stride, 1),
            dilation: along(dilation, 1),
            padding: if width == 1 { [zeros, [0, 0]] } else { [[0, 0], zeros] },
            groups,
        };
        let kernel = Kernel { channels, taps: along(kernel, 1), bias, init: KernelInit::Default, flat: true };
        net.convolution(&place.name, kernel, &spec, x)
    }
}
