//! Builder methods of convolutions. Images are channels-last, `[N, H, W, C]`; a one-dimensional signal is an
//! image of height 1.

use super::ops::{Conv, ConvAxis, ConvWeight, Op};
use super::{Built, Graph, ValueId};

/// Attributes of a convolution, per axis (vertical, then horizontal).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvSpec {
    /// Stride: input lines between adjacent window positions.
    pub stride: [usize; 2],
    /// Dilation: input lines between adjacent taps.
    pub dilation: [usize; 2],
    /// Zero padding before and after the input.
    pub padding: [[usize; 2]; 2],
    /// Groups of channels, each convolved separately.
    pub groups: usize,
}

impl Default for ConvSpec {
    fn default() -> Self {
        Self { stride: [1, 1], dilation: [1, 1], padding: [[0, 0], [0, 0]], groups: 1 }
    }
}

/// Largest stride, dilation, padding or kernel extent; keeps index arithmetic far from overflow.
const LARGEST: usize = 1 << 20;

impl ConvSpec {
    /// The same with symmetric padding.
    pub fn padded(self, padding: [usize; 2]) -> Self {
        Self { padding: padding.map(|p| [p, p]), ..self }
    }

    /// Padding with which a convolution of stride 1 preserves the size of its input (TensorFlow's and Keras's
    /// `same`, with the odd zero at the end); with strides, there are `ceil(extent / stride)` positions.
    pub fn same(self, extents: [usize; 2], kernel: [usize; 2]) -> Self {
        let padding = std::array::from_fn(|d| {
            let stride = self.stride[d].max(1);
            let covered = (extents[d].div_ceil(stride) - 1) * stride
                + kernel[d].saturating_sub(1) * self.dilation[d]
                + 1;
            let zeros = covered.saturating_sub(extents[d]);
            [zeros / 2, zeros - zeros / 2]
        });
        Self { padding, ..self }
    }

    /// Result extent on axis `d` for `extent` input lines and `taps` taps.
    ///
    /// # Errors
    /// A sentence if the window does not fit.
    pub fn output(&self, d: usize, extent: usize, taps: usize) -> Result<usize, String> {
        let axis = ["high", "wide"][d];
        let [before, after] = self.padding[d];
        let numbers = [self.stride[d], self.dilation[d], taps, before, after];
        if numbers.iter().any(|&n| n > LARGEST) || numbers[..3].contains(&0) {
            return Err(format!(
                "stride {}, dilation {} and kernel {taps} must be from 1 to {LARGEST}, padding at most that",
                self.stride[d], self.dilation[d]
            ));
        }
        let padded = extent + before + after;
        let window = (taps - 1) * self.dilation[d] + 1;
        if window > padded {
            return Err(format!(
                "a kernel {window} {axis} (with dilation) is larger than the input, {extent} {axis} and {} \
                 of padding; use a smaller kernel or more padding",
                before + after
            ));
        }
        Ok((padded - window) / self.stride[d] + 1)
    }
}

impl Graph {
    /// Convolution of `x` `[N, H, W, C]` with `w` `[kH, kW, C / groups, O]`, giving `[N, P, Q, O]`
    /// (cross-correlation, like PyTorch's `Conv2d` with permuted weights).
    ///
    /// # Errors
    /// If the channels or groups do not match, or the kernel is larger than the padded input.
    pub fn conv2d(&mut self, x: ValueId, w: ValueId, spec: &ConvSpec) -> Built {
        let sizes = (self.shape(x).clone(), self.shape(w).clone());
        let ([_, height, width, _], [taps_y, taps_x, _, _]) = (&sizes.0[..], &sizes.1[..]) else {
            let reason = "expected images `[N, H, W, C]` and weights `[kH, kW, C, O]`";
            return Err(self.error("conv", &[x, w], reason.into()));
        };
        let (extents, taps) = ([*height, *width], [*taps_y, *taps_x]);
        let mut axes = vec![];
        for d in 0..2 {
            let positions =
                spec.output(d, extents[d], taps[d]).map_err(|why| self.error("conv", &[x, w], why))?;
            axes.push(ConvAxis {
                positions,
                stride: spec.stride[d],
                step: spec.dilation[d] as isize,
                origin: -(spec.padding[d][0] as isize),
                up: 1,
            });
        }
        let result = self.conv(Conv { axes: [axes[0], axes[1]], groups: spec.groups }, x, w)?;
        self.groups_last(result)
    }

    /// Transposed convolution of `x` `[N, H, W, C]` with `w` `[kH, kW, C / groups, O]`: the input gradient of
    /// the convolution with these attributes. `output_padding` lines are added at the end (PyTorch's
    /// `ConvTranspose2d`), giving `(H - 1) stride + (kH - 1) dilation + 1 + output_padding - padding` lines.
    ///
    /// # Errors
    /// If the channels or groups do not match, or the result would be empty.
    pub fn conv_transpose2d(
        &mut self,
        x: ValueId,
        w: ValueId,
        spec: &ConvSpec,
        output_padding: [usize; 2],
    ) -> Built {
        let sizes = (self.shape(x).clone(), self.shape(w).clone());
        let ([_, height, width, _], [taps_y, taps_x, _, _]) = (&sizes.0[..], &sizes.1[..]) else {
            let reason = "expected images `[N, H, W, C]` and weights `[kH, kW, C, O]`";
            return Err(self.error("conv_transpose", &[x, w], reason.into()));
        };
        let (extents, taps) = ([*height, *width], [*taps_y, *taps_x]);
        let mut axes = vec![];
        for d in 0..2 {
            let [before, after] = spec.padding[d];
            let numbers = [spec.stride[d], spec.dilation[d], taps[d], before, after, output_padding[d]];
            let whole = (extents[d] - 1)
                .saturating_mul(spec.stride[d])
                .saturating_add((taps[d] - 1).saturating_mul(spec.dilation[d]).saturating_add(1))
                .saturating_add(output_padding[d]);
            if numbers.iter().any(|&n| n > LARGEST) || numbers[..3].contains(&0) || whole <= before + after {
                let reason = format!(
                    "stride {}, dilation {}, padding {before} and {after} leave nothing of {whole} lines",
                    spec.stride[d], spec.dilation[d]
                );
                return Err(self.error("conv_transpose", &[x, w], reason));
            }
            axes.push(ConvAxis {
                positions: whole - before - after,
                stride: 1,
                step: -(spec.dilation[d] as isize),
                origin: before as isize,
                up: spec.stride[d],
            });
        }
        let result = self.conv(Conv { axes: [axes[0], axes[1]], groups: spec.groups }, x, w)?;
        self.groups_last(result)
    }

    /// Converts images `[N, C, H, W]` to `[N, H, W, C]`.
    ///
    /// # Errors
    /// If `x` does not have four axes.
    pub fn channels_last(&mut self, x: ValueId) -> Built {
        self.permute(x, &[0, 2, 3, 1])
    }

    /// Converts images `[N, H, W, C]` to `[N, C, H, W]`.
    ///
    /// # Errors
    /// If `x` does not have four axes.
    pub fn channels_first(&mut self, x: ValueId) -> Built {
        self.permute(x, &[0, 3, 1, 2])
    }

    /// Converts PyTorch's convolution weights `[O, C / groups, kH, kW]` to `[kH, kW, C / groups, O]`.
    ///
    /// # Errors
    /// If `w` does not have four axes.
    pub fn taps_first(&mut self, w: ValueId) -> Built {
        self.permute(w, &[2, 3, 1, 0])
    }

    /// Converts PyTorch's transposed-convolution weights `[C, O / groups, kH, kW]` to
    /// `[kH, kW, C / groups, O]`.
    ///
    /// # Errors
    /// If `w` does not have four axes, or `groups` does not divide `C`.
    pub fn transposed_taps_first(&mut self, w: ValueId, groups: usize) -> Built {
        let shape = self.shape(w).clone();
        let [channels, per_group, high, wide] = shape[..] else {
            return Err(self.error("conv_transpose", &[w], "expected weights with four axes".into()));
        };
        if groups == 0 || !channels.is_multiple_of(groups) {
            let reason = format!("groups = {groups} must divide the {channels} input channels");
            return Err(self.error("conv_transpose", &[w], reason));
        }
        let split = self.reshape(w, &[groups, channels / groups, per_group, high, wide])?;
        let moved = self.permute(split, &[3, 4, 1, 0, 2])?;
        self.reshape(moved, &[high, wide, channels / groups, groups * per_group])
    }

    /// The plain operator: `[G, N, P, Q, O]`.
    pub(super) fn conv(&mut self, conv: Conv, x: ValueId, w: ValueId) -> Built {
        self.push(Op::Conv(conv), &[x, w])
    }

    /// Gradient of a convolution's weights, `[kH, kW, C, G O]`.
    pub(super) fn conv_weight(&mut self, gradient: ConvWeight, x: ValueId, dy: ValueId) -> Built {
        let result = self.push(Op::ConvWeight(gradient), &[x, dy])?;
        self.groups_last(result)
    }

    /// Reshapes `[G, a, b, c, O]` to `[a, b, c, G O]`.
    pub(super) fn groups_last(&mut self, x: ValueId) -> Built {
        let shape = self.shape(x).clone();
        let merged = [shape[1], shape[2], shape[3], shape[0] * shape[4]];
        let moved = if shape[0] == 1 { x } else { self.permute(x, &[1, 2, 3, 0, 4])? };
        self.reshape(moved, &merged)
    }
}
