//! Layers of images. Inside the graph images are `[B, H, W, C]`; parameters have PyTorch's names and shapes, and
//! what leaves as one row is in PyTorch's order `[C, H, W]`.

use super::init::Init;
use super::layers::{Network, activation};
use crate::graph::convolution::ConvSpec;
use crate::graph::pooling::PoolSpec;
use crate::graph::upsampling::{ResampleSpec, Resampling};
use crate::graph::{GraphError, ValueId};
use crate::nn::config::{
    Activation, Block, Interpolation, LayerConfig, NamedPadding, Padding, Pair, Pooling, default_eps,
    default_momentum,
};

/// Sizes of a convolution beside its attributes.
#[derive(Clone, Copy)]
struct Kernel {
    channels: usize,
    taps: [usize; 2],
    bias: bool,
    /// The weights have no axis for the height.
    flat: bool,
}

/// Windows of pooling; by default next to each other.
fn pooling(size: Pair, stride: Option<Pair>, padding: Pair) -> PoolSpec {
    PoolSpec::new(size.get()).every(stride.unwrap_or(size).get()).padded(padding.get())
}

impl Network<'_> {
    /// Rows `[B, C H W]` of pixels as images `[B, H, W, C]`.
    pub fn images(
        &mut self,
        x: ValueId,
        [channels, height, width]: [usize; 3],
    ) -> Result<ValueId, GraphError> {
        let batch = self.graph.shape(x)[0];
        let planes = self.graph.reshape(x, &[batch, channels, height, width])?;
        self.graph.channels_last(planes)
    }

    /// Appends a layer that works on images.
    pub(super) fn image_layer(
        &mut self,
        name: &str,
        config: &LayerConfig,
        x: ValueId,
    ) -> Result<ValueId, GraphError> {
        let layer = super::layers::layer_name(config);
        let [_, height, width, _] = self.extents(layer, x)?;
        match *config {
            LayerConfig::Conv2d { channels, kernel, stride, padding, dilation, groups, bias } => {
                let taps = kernel.get();
                let spec = ConvSpec {
                    stride: stride.get(),
                    dilation: dilation.get(),
                    groups,
                    ..ConvSpec::default()
                };
                let spec = match padding {
                    Padding::Zeros(zeros) => spec.padded(zeros.get()),
                    Padding::Named(NamedPadding::Same) => spec.same([height, width], taps),
                    Padding::Named(NamedPadding::Valid) => spec,
                };
                self.convolution(name, Kernel { channels, taps, bias, flat: false }, &spec, x)
            }
            LayerConfig::Conv1d { channels, kernel, stride, padding, dilation, groups, bias } => {
                if height != 1 {
                    let reason = format!("expected signals, images 1 high; these are {height} high");
                    return Err(self.graph.error(layer, &[x], reason));
                }
                let spec =
                    ConvSpec { stride: [1, stride], dilation: [1, dilation], groups, ..ConvSpec::default() };
                let kernel = Kernel { channels, taps: [1, kernel], bias, flat: true };
                self.convolution(name, kernel, &spec.padded([0, padding]), x)
            }
            LayerConfig::ConvTranspose2d {
                channels,
                kernel,
                stride,
                padding,
                output_padding,
                dilation,
                groups,
                bias,
            } => {
                let spec = ConvSpec {
                    stride: stride.get(),
                    dilation: dilation.get(),
                    groups,
                    ..ConvSpec::default()
                };
                let kernel = Kernel { channels, taps: kernel.get(), bias, flat: false };
                self.transposed(name, kernel, &spec.padded(padding.get()), output_padding.get(), x)
            }
            LayerConfig::MaxPool { size, stride, padding } => {
                let spec = pooling(size, stride, padding);
                self.graph.max_pool(x, &spec)
            }
            LayerConfig::AvgPool { size, stride, padding } => {
                let spec = pooling(size, stride, padding);
                self.graph.avg_pool(x, &spec)
            }
            LayerConfig::Upsample { factor, mode } => {
                let [down, along] = factor.get();
                let size = |extent: usize, factor: usize| {
                    let fits = (1..=1024).contains(&factor);
                    let reason = || format!("factor = {factor} is not in 1..=1024");
                    fits.then_some(extent * factor).ok_or_else(|| self.graph.error(layer, &[x], reason()))
                };
                let size = [size(height, down)?, size(width, along)?];
                let kind = match mode {
                    Interpolation::Nearest => Resampling::Nearest,
                    Interpolation::Bilinear => Resampling::Linear { align_corners: false },
                };
                self.graph.resample(x, &ResampleSpec::new(size, kind))
            }
            LayerConfig::GroupNorm { groups, eps } => self.group_norm(name, groups, eps, x),
            LayerConfig::GlobalPool { kind: Pooling::Average } => self.graph.mean(x, &[1, 2], false),
            LayerConfig::GlobalPool { kind: Pooling::Max } => self.graph.max(x, &[1, 2], false),
            LayerConfig::Flatten => self.flatten(x),
            LayerConfig::Residual { channels, stride, kind, shortcut_norm } => {
                self.residual(name, channels, stride, kind, shortcut_norm, x)
            }
            _ => Err(self.graph.error(layer, &[x], "this layer is not one of images".into())),
        }
    }

    /// `[B, H, W, C]`, or what a layer of images was given instead.
    fn extents(&self, layer: &'static str, x: ValueId) -> Result<[usize; 4], GraphError> {
        self.graph.shape(x)[..].try_into().map_err(|_| {
            let reason = "expected images, found rows of numbers; name the image's shape in `[data.image]`, and put \
                          layers of images before `flatten` and `global_pool`";
            self.graph.error(layer, &[x], reason.into())
        })
    }

    fn flatten(&mut self, x: ValueId) -> Result<ValueId, GraphError> {
        let shape = self.graph.shape(x).clone();
        let planes = self.graph.channels_first(x)?;
        self.graph.reshape(planes, &[shape[0], shape[1..].iter().product()])
    }

    /// Checks that `groups` divides both numbers of channels.
    fn check_groups(
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

    /// Weights `[O, C / groups, kH, kW]` and bias `[O]`, uniform in `+-1/sqrt(C / groups kH kW)` as PyTorch's.
    fn convolution(
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
        let stored: &[usize] =
            if flat { &[channels, per_group, wide] } else { &[channels, per_group, high, wide] };
        let weight = self.parameter(format!("{name}.weight"), stored, init, true)?;
        let weight = self.graph.reshape(weight, &[channels, per_group, high, wide])?;
        let weight = self.graph.taps_first(weight)?;
        let y = self.graph.conv2d(x, weight, spec)?;
        if !bias {
            return Ok(y);
        }
        let bias = self.parameter(format!("{name}.bias"), &[channels], init, false)?;
        self.graph.add(y, bias)
    }

    /// Weights `[C, O / groups, kH, kW]` and bias `[O]`; the bound counts `O / groups` inputs, as PyTorch's does.
    fn transposed(
        &mut self,
        name: &str,
        kernel: Kernel,
        spec: &ConvSpec,
        output_padding: [usize; 2],
        x: ValueId,
    ) -> Result<ValueId, GraphError> {
        let Kernel { channels, taps: [high, wide], bias, .. } = kernel;
        let inputs = self.graph.shape(x)[3];
        self.check_groups(x, spec.groups, inputs, channels)?;
        let per_group = channels / spec.groups;
        let init = Init::Uniform { bound: 1.0 / ((per_group * high * wide) as f32).sqrt() };
        let weight =
            self.parameter(format!("{name}.weight"), &[inputs, per_group, high, wide], init, true)?;
        let weight = self.graph.transposed_taps_first(weight, spec.groups)?;
        let y = self.graph.conv_transpose2d(x, weight, spec, output_padding)?;
        if !bias {
            return Ok(y);
        }
        let bias = self.parameter(format!("{name}.bias"), &[channels], init, false)?;
        self.graph.add(y, bias)
    }

    fn group_norm(&mut self, name: &str, groups: usize, eps: f64, x: ValueId) -> Result<ValueId, GraphError> {
        let [batch, height, width, channels] = self.extents("group_norm", x)?;
        if groups == 0 || !channels.is_multiple_of(groups) {
            let reason = format!("groups = {groups} must divide the {channels} channels");
            return Err(self.graph.error("group_norm", &[x], reason));
        }
        let split = self.graph.reshape(x, &[batch, height * width, groups, channels / groups])?;
        let [weight, bias] = self.scale_and_shift(name, &[1, 1, groups, channels / groups])?;
        let y = self.graph.normalise(split, &[1, 3], eps, weight, bias)?.y;
        self.graph.reshape(y, &[batch, height, width, channels])
    }

    /// Names as torchvision's `BasicBlock` and `Bottleneck`: `conv1`, `bn1`, ..., `downsample.0`, `downsample.1`.
    fn residual(
        &mut self,
        name: &str,
        channels: usize,
        stride: usize,
        kind: Block,
        shortcut_norm: bool,
        x: ValueId,
    ) -> Result<ValueId, GraphError> {
        let inputs = self.graph.shape(x)[3];
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
            h = self.plain_convolution(&format!("{name}.conv{}", at + 1), channels, taps, stride, h)?;
            h = self.batch_norm(&format!("{name}.bn{}", at + 1), default_eps(), default_momentum(), h)?;
            if at + 1 < convolutions.len() {
                h = activation(self.graph, Activation::Relu, h)?;
            }
        }
        let mut shortcut = x;
        if stride != 1 || inputs != channels {
            shortcut = self.plain_convolution(&format!("{name}.downsample.0"), channels, 1, stride, x)?;
            if shortcut_norm {
                let name = format!("{name}.downsample.1");
                shortcut = self.batch_norm(&name, default_eps(), default_momentum(), shortcut)?;
            }
        }
        let sum = self.graph.add(h, shortcut)?;
        activation(self.graph, Activation::Relu, sum)
    }

    /// A square convolution without bias that keeps the size at stride 1.
    fn plain_convolution(
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
