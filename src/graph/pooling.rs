//! Builder methods of pooling. Images are channels-last, `[N, H, W, C]`; a one-dimensional signal is an image
//! of height 1.

use super::ops::{Op, Pool, PoolGrad, PoolKind};
use super::{Built, Graph, Node, ValueId};
use crate::kernels::pool::{Collect, Divisor, PoolAxis};

/// Attributes of pooling, per axis (vertical, then horizontal), with PyTorch's meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolSpec {
    /// Window size, in lines.
    pub window: [usize; 2],
    /// Stride: lines between adjacent windows.
    pub stride: [usize; 2],
    /// Dilation: lines between adjacent elements of a window.
    pub dilation: [usize; 2],
    /// Padding before and after the image: never the maximum, and zero in an average.
    pub padding: [[usize; 2]; 2],
    /// Whether a last window may extend beyond the padding; it must start in the image or the padding before
    /// it.
    pub ceil_mode: bool,
    /// Whether an average counts the padding (but never what lies beyond it).
    pub count_include_pad: bool,
    /// The divisor of averages, if not the number of counted elements.
    pub divisor_override: Option<u32>,
}

/// Largest window, stride, dilation or padding; keeps index arithmetic far from overflow.
const LARGEST: usize = 1 << 20;

impl PoolSpec {
    /// Adjacent windows without padding: PyTorch's defaults.
    pub fn new(window: [usize; 2]) -> Self {
        Self {
            window,
            stride: window,
            dilation: [1, 1],
            padding: [[0, 0], [0, 0]],
            ceil_mode: false,
            count_include_pad: true,
            divisor_override: None,
        }
    }

    /// The same with stride `stride`.
    pub fn every(self, stride: [usize; 2]) -> Self {
        Self { stride, ..self }
    }

    /// The same with symmetric padding.
    pub fn padded(self, padding: [usize; 2]) -> Self {
        Self { padding: padding.map(|p| [p, p]), ..self }
    }

    /// Result extent on axis `d` for `extent` lines.
    ///
    /// # Errors
    /// A sentence if the window does not fit.
    pub fn output(&self, d: usize, extent: usize) -> Result<usize, String> {
        let axis = ["high", "wide"][d];
        let ([before, after], stride, taps) = (self.padding[d], self.stride[d], self.window[d]);
        let numbers = [stride, self.dilation[d], taps, before, after];
        if numbers.iter().any(|&n| n > LARGEST) || numbers[..3].contains(&0) {
            return Err(format!(
                "stride {stride}, dilation {} and window {taps} must be from 1 to {LARGEST}, padding at most \
                 that",
                self.dilation[d]
            ));
        }
        let window = (taps - 1) * self.dilation[d] + 1;
        let reach = extent + before + after + if self.ceil_mode { stride - 1 } else { 0 };
        if window > reach {
            return Err(format!(
                "a window {window} {axis} (with dilation) is larger than the input, {extent} {axis} and {} \
                 of padding; use a smaller window or more padding",
                before + after
            ));
        }
        let positions = (reach - window) / stride + 1;
        // A window that would start in the padding after the image is left out.
        let begins_outside = self.ceil_mode && (positions - 1) * stride >= extent + before;
        Ok(positions - usize::from(begins_outside))
    }

    pub(super) fn axes(&self, extents: [usize; 2]) -> Result<[PoolAxis; 2], String> {
        let axis = |d: usize| {
            let ([before, after], extent) = (self.padding[d], extents[d]);
            let (taps, stride, dilation) = (self.window[d], self.stride[d], self.dilation[d]);
            let positions = self.output(d, extent)?;
            Ok::<_, String>(PoolAxis { positions, taps, extent, stride, dilation, before, after })
        };
        Ok([axis(0)?, axis(1)?])
    }

    fn divisor(&self) -> Divisor {
        match self.divisor_override {
            Some(count) => Divisor::Fixed(count),
            None if self.count_include_pad => Divisor::Padded,
            None => Divisor::Inside,
        }
    }
}

impl Graph {
    /// The maximum of each window of `x` `[N, H, W, C]`, giving `[N, P, Q, C]` (PyTorch's `MaxPool2d`; the
    /// gradient goes to the first of equal elements).
    ///
    /// # Errors
    /// If a window is larger than the padded input, or lies entirely in the padding.
    pub fn max_pool(&mut self, x: ValueId, spec: &PoolSpec) -> Built {
        self.pool("max_pool", PoolKind::Max, x, spec)
    }

    /// The average of each window of `x` `[N, H, W, C]`, giving `[N, P, Q, C]` (PyTorch's `AvgPool2d`).
    ///
    /// # Errors
    /// As for [`Graph::max_pool`]; also if the divisor is 0.
    pub fn avg_pool(&mut self, x: ValueId, spec: &PoolSpec) -> Built {
        let shape = self.shape(x).clone();
        if spec.divisor_override == Some(0) {
            return Err(self.error("avg_pool", &[x], "cannot divide by 0".into()));
        }
        // A single window over everything is a reduction, which may be long and fuses with its neighbours.
        let whole = shape.len() == 4 && shape[1..3] == spec.window;
        if whole && *spec == (PoolSpec { stride: spec.stride, ..PoolSpec::new(spec.window) }) {
            return self.mean(x, &[1, 2], true);
        }
        self.pool("avg_pool", PoolKind::Average(spec.divisor()), x, spec)
    }

    fn pool(&mut self, name: &'static str, kind: PoolKind, x: ValueId, spec: &PoolSpec) -> Built {
        let [_, height, width, _] = self.shape(x)[..] else {
            return Err(self.error(name, &[x], "expected images `[N, H, W, C]`".into()));
        };
        let axes = spec.axes([height, width]).map_err(|why| self.error(name, &[x], why))?;
        self.push(Op::Pool(Pool { axes, kind }), &[x])
    }

    /// If `dy` is what the windows of a maximum over `y` send back to it: that maximum, and what it was sent.
    pub(super) fn sent_by_max_pool(&self, y: ValueId, dy: ValueId) -> Option<MaxPoolGradient> {
        let node = self.node(dy);
        let Op::PoolGrad(PoolGrad { axes, collect: Collect::Chosen }) = node.op else { return None };
        let of = |kind| Op::Pool(Pool { axes, kind });
        let (taps, sent) = (node.inputs[0], node.inputs[1]);
        let is = |node: &Node, kind| node.op == of(kind) && node.inputs == [y];
        let maximum = self.nodes.iter().position(|node| is(node, PoolKind::Max))?;
        is(self.node(taps), PoolKind::MaxTap).then(|| MaxPoolGradient {
            maximum: ValueId(maximum as u32),
            sent,
            taps,
            back: node.op.clone(),
        })
    }
}

/// The gradient of a maximum over windows ([`Graph::sent_by_max_pool`]).
pub(super) struct MaxPoolGradient {
    /// The maximum of each window.
    pub maximum: ValueId,
    /// Its gradient.
    pub sent: ValueId,
    /// The elements chosen.
    pub taps: ValueId,
    /// What sends the gradient to them, from `taps` and `sent`.
    pub back: Op,
}
