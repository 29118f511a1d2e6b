//! Layers of images as PyTorch's modules.

use super::network::{Kind, Writer, pair, truth};
use super::number;
use crate::nn::layers::{
    Block, Conv2d, Interpolation, LayerConfig, NamedPadding, Padding, Pair, Pooling, Residual,
};

impl Writer<'_> {
    /// A layer of images `[B, C, H, W]`; nothing if there is no such layer here.
    pub(super) fn of_images(
        &mut self,
        at: usize,
        layer: &LayerConfig,
        image: [usize; 3],
        shape: &[usize],
    ) -> Option<Kind> {
        let (name, width) = (&self.name(at), image[0]);
        match layer {
            LayerConfig::BatchNorm(norm) => {
                self.module(name, format!("nn.BatchNorm2d({width}, eps={})", number(norm.eps)));
            }
            LayerConfig::GroupNorm(norm) => {
                self.module(name, format!("nn.GroupNorm({}, {width}, eps={})", norm.groups, number(norm.eps)));
            }
            LayerConfig::Conv2d(conv) => self.conv2d(name, conv, image),
            LayerConfig::Conv1d(conv) if !conv.causal => {
                self.step("x = x.squeeze(2)");
                self.module(
                    name,
                    format!(
                        "nn.Conv1d({width}, {}, {}, stride={}, padding={}, dilation={}, groups={}, bias={})",
                        conv.channels,
                        conv.kernel,
                        conv.stride,
                        conv.padding,
                        conv.dilation,
                        conv.groups,
                        truth(conv.bias)
                    ),
                );
                self.step("x = x.unsqueeze(2)");
            }
            LayerConfig::ConvTranspose2d(conv) => self.module(
                name,
                format!(
                    "nn.ConvTranspose2d({width}, {}, {}, stride={}, padding={}, output_padding={}, groups={}, bias={}, \
                     dilation={})",
                    conv.channels,
                    pair(conv.kernel),
                    pair(conv.stride),
                    pair(conv.padding),
                    pair(conv.output_padding),
                    conv.groups,
                    truth(conv.bias),
                    pair(conv.dilation)
                ),
            ),
            LayerConfig::MaxPool(pool) => {
                let numbers = [pool.size, pool.stride.unwrap_or(pool.size), pool.padding].map(pair).join(", ");
                self.step(format!("x = functional.max_pool2d(x, {numbers})"));
            }
            LayerConfig::AvgPool(pool) => {
                let numbers = [pool.size, pool.stride.unwrap_or(pool.size), pool.padding].map(pair).join(", ");
                self.step(format!("x = functional.avg_pool2d(x, {numbers})"));
            }
            LayerConfig::AdaptivePool(pool) => {
                self.step(format!("x = functional.adaptive_avg_pool2d(x, {})", pair(pool.size)));
            }
            LayerConfig::LocalResponseNorm(norm) => {
                let numbers = [norm.alpha, norm.beta, norm.k].map(number).join(", ");
                self.step(format!("x = functional.local_response_norm(x, {}, {numbers})", norm.size));
            }
            LayerConfig::GlobalPool(pool) => {
                self.step(match pool.kind {
                    Pooling::Average => "x = x.mean((2, 3))",
                    Pooling::Max => "x = x.amax((2, 3))",
                    Pooling::Sum => "x = x.sum((2, 3))",
                    Pooling::Last => return None,
                });
                return Some(Kind::Rows(width));
            }
            LayerConfig::Flatten(_) => {
                self.step("x = x.flatten(1)");
                return Some(Kind::Rows(shape[0]));
            }
            LayerConfig::Upsample(up) => {
                let how = match up.mode {
                    Interpolation::Nearest => "\"nearest\"",
                    Interpolation::Bilinear => "\"bilinear\", align_corners=False",
                };
                let factor = pair(up.factor);
                self.step(format!("x = functional.interpolate(x, scale_factor={factor}, mode={how})"));
            }
            LayerConfig::Residual(block) => self.residual(name, block, width),
            _ => return None,
        }
        let &[channels, high, wide] = shape else { return None };
        Some(Kind::Images([channels, high, wide]))
    }

    fn conv2d(&mut self, name: &str, conv: &Conv2d, [channels, high, wide]: [usize; 3]) {
        let (taps, stride, dilation) = (conv.kernel.get(), conv.stride.get(), conv.dilation.get());
        // Before and after, up and down, then left and right.
        let padding = match conv.padding {
            Padding::Zeros(zeros) => zeros.get().map(|n| [n, n]),
            Padding::Named(NamedPadding::Valid) => [[0, 0]; 2],
            Padding::Named(NamedPadding::Same) => [0, 1].map(|d| {
                let positions = [high, wide][d].div_ceil(stride[d].max(1));
                let covered = (positions - 1) * stride[d] + (taps[d] - 1) * dilation[d] + 1;
                let zeros = covered.saturating_sub([high, wide][d]);
                [zeros / 2, zeros - zeros / 2]
            }),
        };
        let even = padding.iter().all(|[before, after]| before == after);
        if !even {
            let [[top, bottom], [left, right]] = padding;
            self.step(format!("x = functional.pad(x, ({left}, {right}, {top}, {bottom}))"));
        }
        let zeros = if even { [padding[0][0], padding[1][0]] } else { [0, 0] };
        self.module(
            name,
            format!(
                "nn.Conv2d({channels}, {}, {}, stride={}, padding={}, dilation={}, groups={}, bias={})",
                conv.channels,
                pair(conv.kernel),
                pair(conv.stride),
                pair(Pair::Each(zeros)),
                pair(conv.dilation),
                conv.groups,
                truth(conv.bias)
            ),
        );
    }

    fn residual(&mut self, name: &str, block: &Residual, inputs: usize) {
        // Weights are loaded: what they started from does not matter.
        let Residual { channels, stride, kind, shortcut_norm, init: _ } = *block;
        let narrow = (channels / 4).max(1);
        let sizes = match kind {
            Block::Basic => format!("[({channels}, 3, {stride}), ({channels}, 3, 1)]"),
            Block::Bottleneck => format!("[({narrow}, 1, 1), ({narrow}, 3, {stride}), ({channels}, 1, 1)]"),
        };
        let shortcut = truth(stride != 1 || inputs != channels);
        let class = self.code.part("Residual");
        let norm = truth(shortcut_norm);
        self.module(name, format!("{class}({inputs}, {sizes}, {stride}, {shortcut}, {norm})"));
    }
}
