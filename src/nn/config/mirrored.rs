//! Convolutions that halve an image, and those that restore its size: what the two parts of a `vae` or a `gan`
//! are made of.

use super::{ModelConfig, Norm};
use crate::nn::layers::{
    Activate, BatchNorm, Conv2d, ConvTranspose2d, GroupNorm, LayerConfig, Padding, Pair, default_eps,
};

impl ModelConfig {
    /// A convolution that halves the size: with an odd kernel `n` pixels become `n / 2` rounded up, with an
    /// even one rounded down.
    pub(in crate::nn) fn narrowing(&self, channels: usize) -> LayerConfig {
        let padding = Padding::Zeros(Pair::Each(self.margin()));
        Conv2d { stride: Pair::Both(2), padding, ..Conv2d::new(channels, self.kernel_size()) }.into()
    }

    /// The size after [`ModelConfig::narrowing`].
    pub(in crate::nn) fn narrowed(&self, size: [usize; 2]) -> [usize; 2] {
        let [high, wide] = self.kernel_size().get();
        let half = |n: usize, kernel: usize| if kernel.is_multiple_of(2) { n / 2 } else { n.div_ceil(2) };
        [half(size[0], high), half(size[1], wide)]
    }

    /// The transposed convolution that restores `size`: an odd kernel turns `n` pixels into `2 n - 1` or
    /// `2 n`, an even one into `2 n` or `2 n + 1`.
    pub(in crate::nn) fn widening(&self, channels: usize, size: [usize; 2]) -> LayerConfig {
        let [high, wide] = self.kernel_size().get();
        let more = |n: usize, kernel: usize| if kernel.is_multiple_of(2) { n % 2 } else { 1 - n % 2 };
        ConvTranspose2d {
            channels,
            kernel: self.kernel_size(),
            stride: Pair::Both(2),
            padding: Pair::Each(self.margin()),
            output_padding: Pair::Each([more(size[0], high), more(size[1], wide)]),
            dilation: Pair::Both(1),
            groups: 1,
            bias: true,
        }
        .into()
    }

    /// Normalisation of images and the activation.
    pub(in crate::nn) fn norm_and_activation(&self) -> Vec<LayerConfig> {
        let norm = match self.norm {
            Norm::None => None,
            Norm::Layer => Some(GroupNorm { groups: 1, eps: default_eps() }.into()),
            Norm::Batch => Some(BatchNorm::default().into()),
        };
        norm.into_iter().chain([Activate::from(self.activation).into()]).collect()
    }

    /// Padding on each side of an image, or cropping: half the kernel, less one pixel, rounded up.
    fn margin(&self) -> [usize; 2] {
        self.kernel_size().get().map(|k| k.saturating_sub(1) / 2)
    }
}
