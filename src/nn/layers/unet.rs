//! U-shaped networks, which give something for each pixel.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::activation::{Activation, activation};
use super::batch_norm::BatchNorm;
use super::conv_transpose2d::ConvTranspose2d;
use super::convolution::KernelInit;
use super::keys::{check_units, once, one, two, yes, zero};
use super::{Layer, Place};
use crate::graph::pooling::PoolSpec;
use crate::graph::{GraphError, ValueId};
use crate::nn::network::Network;

/// U-shaped network (Ronneberger et al. 2015, arXiv:1505.04597): pairs of convolutions, the image halved between them,
/// and back again, where each pair also reads what was computed at its size on the way down. Convolutions keep the size
/// and have batch normalisation, and images may have any size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unet {
    /// Channels at each size, the whole image first.
    pub channels: Vec<usize>,
}

/// Most sizes: the image is halved between them.
const MOST: usize = 12;

impl Layer for Unet {
    fn name(&self) -> &'static str {
        "unet"
    }

    fn mixes_batch(&self) -> bool {
        true
    }

    fn check(&self) -> Result<(), String> {
        let sizes = self.channels.len();
        if !(2..=MOST).contains(&sizes) {
            return Err(format!("has channels for {sizes} sizes; allowed are 2 to {MOST}"));
        }
        self.channels.iter().try_for_each(|&channels| check_units(channels))
    }

    /// Names are those of the widely used `Pytorch-UNet`: `inc`, `down1`, ..., `up1`, ...
    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let [_, height, width, _] = net.extents("unet", x)?;
        let halvings = self.channels.len().saturating_sub(1);
        if height.min(width) >> halvings == 0 {
            let reason = format!(
                "images of {height} x {width} pixels cannot be halved {halvings} times; give `channels` for fewer sizes"
            );
            return Err(net.graph.error("unet", &[x], reason));
        }
        let prefix = if place.name.is_empty() { String::new() } else { format!("{}.", place.name) };
        let mut h = x;
        let mut seen = vec![];
        for (at, &channels) in self.channels.iter().enumerate() {
            let name = if at == 0 {
                format!("{prefix}inc")
            } else {
                seen.push(h);
                h = net.graph.max_pool(h, &PoolSpec::new([2, 2]).every([2, 2]))?;
                format!("{prefix}down{at}.maxpool_conv.1")
            };
            h = net.double_convolution(&name, channels, h)?;
        }
        for (at, &channels) in self.channels[..halvings].iter().rev().enumerate() {
            let before = seen.pop().unwrap_or(x);
            let name = format!("{prefix}up{}", at + 1);
            let up = ConvTranspose2d {
                channels,
                kernel: two(),
                stride: two(),
                padding: zero(),
                output_padding: zero(),
                dilation: one(),
                groups: once(),
                bias: yes(),
            };
            let up_place = Place { number: place.number, name: format!("{name}.up") };
            h = up.build(net, &up_place, h)?;
            // An odd side lost its last pixel on the way down.
            let [_, high, wide, _] = net.extents("unet", before)?;
            let [_, found_high, found_wide, _] = net.extents("unet", h)?;
            if [high, wide] != [found_high, found_wide] {
                h = net.graph.pad(h, &[0; 4], &[0, high - found_high, wide - found_wide, 0])?;
            }
            h = net.graph.concat(&[before, h], 3)?;
            h = net.double_convolution(&format!("{name}.conv"), channels, h)?;
        }
        Ok(h)
    }
}

impl Network<'_> {
    /// Two 3 x 3 convolutions that keep the size, each with batch normalisation and ReLU.
    fn double_convolution(&mut self, name: &str, channels: usize, x: ValueId) -> Result<ValueId, GraphError> {
        let mut h = x;
        for [convolution, norm] in [[0, 1], [3, 4]] {
            let name = |number: usize| format!("{name}.double_conv.{number}");
            h = self.plain_convolution(&name(convolution), channels, 3, 1, KernelInit::Default, h)?;
            h = self.batch_norm(&name(norm), &BatchNorm::default(), h)?;
            h = activation(self.graph, Activation::Relu, h)?;
        }
        Ok(h)
    }
}
