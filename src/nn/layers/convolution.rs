//! Convolutions, with PyTorch's parameters.

use crate::graph::convolution::ConvSpec;
use crate::graph::{GraphError, ValueId};
use crate::nn::arrangement::Arrangement;
use crate::nn::init::Init;
use crate::nn::network::Network;

/// Sizes of a convolution, besides its attributes.
#[derive(Clone, Copy)]
pub(super) struct Kernel {
    pub channels: usize,
    pub taps: [usize; 2],
    pub bias: bool,
    /// Whether the weights lack a height axis.
    pub flat: bool,
}

impl Network<'_> {
    /// Checks that `groups` divides the numbers of input and output channels.
    pub(super) fn check_groups(
        &self,
        x: ValueId,
        groups: usize,
        inputs: usize,
        outputs: usize,
    ) -> Result<(), GraphError> {
        if groups > 0 && inputs.is_multiple_of(groups) && outputs.is_multiple_of(groups) {
            return Ok(());
        }
        let reason =
            format!("groups = {groups} must divide the {inputs} input and {outputs} output channels");
        Err(self.graph.error("conv", &[x], reason))
    }

    /// Weights `[O, C / groups, kH, kW]` and bias `[O]`, uniform in `+-1/sqrt(C / groups kH kW)` as in
    /// PyTorch.
    pub(super) fn convolution(
        &mut self,
        name: &str,
        kernel: Kernel,
        spec: &ConvSpec,
        x: ValueId,
    ) -> Result<ValueId, GraphError> {
        let Kernel { channels, taps: [high, wide], bias, flat } = kernel;
        let inputs = self.graph.shape(x)[3];
        self.check_groups(x, spec.groups, inputs, channels)?;
        let per_group = inputs / spec.groups;
        let init = Init::Uniform { bound: 1.0 / ((per_group * high * wide) as f32).sqrt() };
        let shape: &[usize] =
            if flat { &[channels, per_group, wide] } else { &[channels, per_group, high, wide] };
        // `[kH, kW, C / groups, O]`, as convolutions read it.
        let arrangement = Arrangement::new(&[channels, per_group, high, wide], &[2, 3, 1, 0]);
        let weight = self.arranged(format!("{name}.weight"), shape, init, arrangement)?;
        let y = self.graph.conv2d(x, weight, spec)?;
        if !bias {
            return Ok(y);
        }
        let bias = self.parameter(format!("{name}.bias"), &[channels], init, false)?;
        self.graph.add(y, bias)
    }

    /// A square convolution without bias that preserves the size at stride 1.
    pub(super) fn plain_convolution(
        &mut self,
        name: &str,
        channels: usize,
        taps: usize,
        stride: usize,
        x: ValueId,
    ) -> Result<ValueId, GraphError> {
        let kernel = Kernel { channels, taps: [taps, taps], bias: false, flat: false };
        let spec = ConvSpec { stride: [stride, stride], ..ConvSpec::default() };
        self.convolution(name, kernel, &spec.padded([taps / 2, taps / 2]), x)
    }
}
