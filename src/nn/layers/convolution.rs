//! Convolutions, with PyTorch's parameters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::graph::convolution::ConvSpec;
use crate::graph::{GraphError, ValueId};
use crate::nn::arrangement::Arrangement;
use crate::nn::init::Init;
use crate::nn::network::Network;
use crate::scalar::UnaryFn;

/// What the weights of a convolution start from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KernelInit {
    /// Uniform in `+-1/sqrt(C / groups kH kW)`, as PyTorch's layers.
    #[default]
    Default,
    /// Normal with variance `2 / (O kH kW)` (He et al. 2015, arXiv:1502.01852, for gradients), as torchvision's
    /// residual networks.
    Kaiming,
}

impl KernelInit {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::Default
    }

    /// The initialisation of weights `[outputs, inputs, kH, kW]`, of which `taps` is `kH kW`.
    pub(super) fn weights(self, outputs: usize, inputs: usize, taps: usize) -> Init {
        match self {
            Self::Default => uniform(inputs * taps),
            Self::Kaiming => Init::SmallNormal { deviation: (2.0 / (outputs * taps) as f32).sqrt() },
        }
    }
}

/// PyTorch's initialisation of weights, each sum of which has `fan_in` terms.
fn uniform(fan_in: usize) -> Init {
    Init::Uniform { bound: 1.0 / (fan_in as f32).sqrt() }
}

/// Sizes of a convolution, besides its attributes.
#[derive(Clone, Copy)]
pub(super) struct Kernel {
    pub channels: usize,
    pub taps: [usize; 2],
    pub bias: bool,
    pub init: KernelInit,
    /// Whether the weights have one axis of taps, those of signals and sequences.
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

    /// Weights `[O, C / groups, kH, kW]`, and a bias `[O]` that is uniform in `+-1/sqrt(C / groups kH kW)` as in
    /// PyTorch.
    pub(super) fn convolution(
        &mut self,
        name: &str,
        kernel: Kernel,
        spec: &ConvSpec,
        x: ValueId,
    ) -> Result<ValueId, GraphError> {
        let Kernel { channels, taps: [high, wide], bias, init, .. } = kernel;
        let inputs = self.graph.shape(x)[3];
        self.check_groups(x, spec.groups, inputs, channels)?;
        let per_group = inputs / spec.groups;
        let of_weights = init.weights(channels, per_group, high * wide);
        let weight = self.kernel_weights(self.weight_name(name), kernel, per_group, of_weights)?;
        let of_inputs = Arrangement::new(&[per_group, high, wide], &[1, 2, 0]);
        let weight = self.spectrally_normed(name, weight, 3, of_inputs)?;
        let y = self.graph.conv2d(x, weight, spec)?;
        if !bias {
            return Ok(y);
        }
        let init = uniform(per_group * high * wide);
        let bias = self.parameter(format!("{name}.bias"), &[channels], init, false)?;
        self.graph.add(y, bias)
    }

    /// A convolution whose weights are a direction and a length for each output channel, `v g / |v|` (Salimans and
    /// Kingma 2016, arXiv:1602.07868), `weight_v` `[O, C / groups, ...]` and `weight_g` `[O, 1, ...]`, as PyTorch's
    /// `weight_norm` makes them. At first they are the weights that `v` starts from.
    pub(super) fn normed_convolution(
        &mut self,
        name: &str,
        kernel: Kernel,
        spec: &ConvSpec,
        x: ValueId,
    ) -> Result<ValueId, GraphError> {
        let Kernel { channels, taps: [high, wide], flat, .. } = kernel;
        let inputs = self.graph.shape(x)[3];
        self.check_groups(x, spec.groups, inputs, channels)?;
        let per_group = inputs / spec.groups;
        let row = per_group * high * wide;
        let v = self.kernel_weights(format!("{name}.weight_v"), kernel, per_group, uniform(row))?;
        let shape = if flat { vec![channels, 1, 1] } else { vec![channels, 1, 1, 1] };
        let init = Init::Norms { bound: 1.0 / (row as f32).sqrt(), row };
        let g = self.parameter(format!("{name}.weight_g"), &shape, init, true)?;
        let g = self.graph.reshape(g, &[1, 1, 1, channels])?;
        let squares = self.graph.unary(UnaryFn::Square, v)?;
        let squares = self.graph.sum(squares, &[0, 1, 2], true)?;
        let weight = self.graph.formula([v, g, squares], |[v, g, squares]| v * (g / squares.sqrt()))?;
        let y = self.graph.conv2d(x, weight, spec)?;
        let bias = self.parameter(format!("{name}.bias"), &[channels], uniform(row), false)?;
        self.graph.add(y, bias)
    }

    /// Weights `[O, C / groups, kH, kW]`, or without a height axis, in memory as convolutions read them:
    /// `[kH, kW, C / groups, O]`.
    fn kernel_weights(
        &mut self,
        name: String,
        Kernel { channels, taps: [high, wide], flat, .. }: Kernel,
        per_group: usize,
        init: Init,
    ) -> Result<ValueId, GraphError> {
        let arrangement = Arrangement::new(&[channels, per_group, high, wide], &[2, 3, 1, 0]);
        match flat {
            true => self.arranged(name, &[channels, per_group, high * wide], init, arrangement),
            false => self.arranged(name, &[channels, per_group, high, wide], init, arrangement),
        }
    }

    /// A square convolution without bias that preserves the size at stride 1.
    pub(super) fn plain_convolution(
        &mut self,
        name: &str,
        channels: usize,
        taps: usize,
        stride: usize,
        init: KernelInit,
        x: ValueId,
    ) -> Result<ValueId, GraphError> {
        let kernel = Kernel { channels, taps: [taps, taps], bias: false, init, flat: false };
        let spec = ConvSpec { stride: [stride, stride], ..ConvSpec::default() };
        self.convolution(name, kernel, &spec.padded([taps / 2, taps / 2]), x)
    }
}
