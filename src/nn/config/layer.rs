//! Explicit layers of the `[model]` table, `[[model.layer]]`.

use serde::{Deserialize, Serialize};

use super::Activation;
use super::recurrent::{Cell, Output};

/// One number for both axes, or one for up and down and one for left and right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Pair {
    /// For both.
    Both(usize),
    /// Up and down, left and right.
    Each([usize; 2]),
}

impl Pair {
    /// The two numbers.
    pub fn get(self) -> [usize; 2] {
        match self {
            Self::Both(n) => [n, n],
            Self::Each(pair) => pair,
        }
    }
}

/// Zeros around an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Padding {
    /// By name.
    Named(NamedPadding),
    /// So many on each side.
    Zeros(Pair),
}

/// Padding that follows from the sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NamedPadding {
    /// As many as it takes for `ceil(size / stride)` positions.
    Same,
    /// None.
    Valid,
}

/// What becomes of all places of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// Their mean.
    #[default]
    Average,
    /// Their maximum.
    Max,
}

/// Values between the pixels of an image made larger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Those of the nearest pixel.
    #[default]
    Nearest,
    /// Weighted means of the four around.
    Bilinear,
}

/// Kind of residual block (He et al. 2016, arXiv:1512.03385, figure 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// Two convolutions 3 x 3.
    #[default]
    Basic,
    /// 1 x 1 to a quarter of the channels, 3 x 3, 1 x 1.
    Bottleneck,
}

/// One explicit layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum LayerConfig {
    /// `x W^T + b`
    Dense {
        /// Outputs.
        units: usize,
        /// Whether `b` is there.
        #[serde(default = "default_true")]
        bias: bool,
    },
    /// A function of each element.
    Activation {
        /// Which.
        function: Activation,
    },
    /// Drops elements in training and scales the rest by `1 / (1 - rate)`.
    Dropout {
        /// Part dropped.
        rate: f64,
    },
    /// Layer normalisation (Ba et al. 2016, arXiv:1607.06450).
    LayerNorm {
        /// Added to the variance.
        #[serde(default = "default_eps")]
        eps: f64,
    },
    /// Batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167).
    BatchNorm {
        /// Added to the variance.
        #[serde(default = "default_eps")]
        eps: f64,
        /// Part of the running statistics renewed each step.
        #[serde(default = "default_momentum")]
        momentum: f64,
    },
    /// Normalisation of groups of channels, each image by itself (Wu and He 2018, arXiv:1803.08494).
    GroupNorm {
        /// Groups; they divide the channels.
        groups: usize,
        /// Added to the variance.
        #[serde(default = "default_eps")]
        eps: f64,
    },
    /// Convolution of images, PyTorch's `Conv2d`.
    Conv2d {
        /// Output channels.
        channels: usize,
        /// Height and width of the window.
        #[serde(default = "three")]
        kernel: Pair,
        /// Pixels from one position to the next.
        #[serde(default = "one")]
        stride: Pair,
        /// Zeros around the image: a number, `"same"` or `"valid"`.
        #[serde(default = "no_padding")]
        padding: Padding,
        /// Pixels from one tap to the next.
        #[serde(default = "one")]
        dilation: Pair,
        /// Groups of channels that are convolved by themselves.
        #[serde(default = "one_group")]
        groups: usize,
        /// Whether a number is added to each channel.
        #[serde(default = "default_true")]
        bias: bool,
    },
    /// Convolution of signals, images one pixel high: PyTorch's `Conv1d`.
    Conv1d {
        /// Output channels.
        channels: usize,
        /// Width of the window.
        kernel: usize,
        /// Values from one position to the next.
        #[serde(default = "one_group")]
        stride: usize,
        /// Zeros on each side.
        #[serde(default)]
        padding: usize,
        /// Values from one tap to the next.
        #[serde(default = "one_group")]
        dilation: usize,
        /// Groups of channels that are convolved by themselves.
        #[serde(default = "one_group")]
        groups: usize,
        /// Whether a number is added to each channel.
        #[serde(default = "default_true")]
        bias: bool,
    },
    /// Transposed convolution, PyTorch's `ConvTranspose2d`: makes images larger.
    ConvTranspose2d {
        /// Output channels.
        channels: usize,
        /// Height and width of the window.
        #[serde(default = "three")]
        kernel: Pair,
        /// Output pixels from one input pixel to the next.
        #[serde(default = "one")]
        stride: Pair,
        /// Pixels cut off on each side.
        #[serde(default = "zero")]
        padding: Pair,
        /// Pixels added below and to the right.
        #[serde(default = "zero")]
        output_padding: Pair,
        /// Pixels from one tap to the next.
        #[serde(default = "one")]
        dilation: Pair,
        /// Groups of channels that are convolved by themselves.
        #[serde(default = "one_group")]
        groups: usize,
        /// Whether a number is added to each channel.
        #[serde(default = "default_true")]
        bias: bool,
    },
    /// Maximum of each window.
    MaxPool {
        /// Height and width of the window.
        #[serde(default = "two")]
        size: Pair,
        /// Pixels from one position to the next; by default the window's size.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stride: Option<Pair>,
        /// Pixels around the image that are smaller than all others.
        #[serde(default = "zero")]
        padding: Pair,
    },
    /// Mean of each window.
    AvgPool {
        /// Height and width of the window.
        #[serde(default = "two")]
        size: Pair,
        /// Pixels from one position to the next; by default the window's size.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stride: Option<Pair>,
        /// Zeros around the image, which count as pixels.
        #[serde(default = "zero")]
        padding: Pair,
    },
    /// One number a channel, of all places; the result is flat.
    GlobalPool {
        /// Mean or maximum.
        #[serde(default)]
        kind: Pooling,
    },
    /// An image as one row of numbers, channel after channel.
    Flatten,
    /// Images made larger.
    Upsample {
        /// Times as high and wide.
        #[serde(default = "two")]
        factor: Pair,
        /// What is put between the pixels.
        #[serde(default)]
        mode: Interpolation,
    },
    /// Recurrent layers over sequences, or over the lines of images: PyTorch's `RNN`, `LSTM` and `GRU`.
    Recurrent {
        /// What a step computes.
        #[serde(default)]
        cell: Cell,
        /// Hidden units.
        hidden: usize,
        /// Layers, one on the states of the other.
        #[serde(default = "one_group")]
        layers: usize,
        /// Whether each layer also reads the sequence backwards.
        #[serde(default)]
        bidirectional: bool,
        /// Part of the states dropped in training between one layer and the next.
        #[serde(default)]
        dropout: f64,
        /// The last state or all.
        #[serde(default)]
        output: Output,
    },
    /// Residual block: convolutions with batch normalisation, added to their input.
    Residual {
        /// Output channels.
        channels: usize,
        /// Pixels from one position of the first 3 x 3 convolution to the next.
        #[serde(default = "one_group")]
        stride: usize,
        /// Which convolutions.
        #[serde(default)]
        kind: Block,
        /// Whether the 1 x 1 convolution that fits the input to another size is normalised too.
        #[serde(default = "default_true")]
        shortcut_norm: bool,
    },
}

fn default_true() -> bool {
    true
}

/// PyTorch's epsilon of normalisation layers.
pub fn default_eps() -> f64 {
    1e-5
}

/// PyTorch's momentum of batch normalisation.
pub fn default_momentum() -> f64 {
    0.1
}

pub(super) fn zero() -> Pair {
    Pair::Both(0)
}

pub(super) fn one() -> Pair {
    Pair::Both(1)
}

fn one_group() -> usize {
    1
}

pub(super) fn two() -> Pair {
    Pair::Both(2)
}

pub(super) fn is_two(pair: &Pair) -> bool {
    *pair == two()
}

pub(super) fn three() -> Pair {
    Pair::Both(3)
}

pub(super) fn is_three(pair: &Pair) -> bool {
    *pair == three()
}

fn no_padding() -> Padding {
    Padding::Named(NamedPadding::Valid)
}
