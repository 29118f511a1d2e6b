//! Pooling of images `[N, H, W, C]`: one value from the lines of a window, for each channel by itself, and
//! the gradient, where each element of the image collects from the windows that contain it.

pub mod native;
mod oracle;
mod sample;
mod shader;

use std::ops::Range;

use super::native::NativeRun;
use super::oracle::Operands;
use super::samples::Family;
use super::shader::{Shader, ShaderError};
use super::signature::{Content, OperandSpec, Signature};
use super::{Cost, Kernel, KernelDef};
use crate::base::target::Target;
use crate::oracle::Approx;

/// One axis of pooling: tap `t` at position `p` looks at line `p * stride + t * dilation - before`.
///
/// Windows may reach beyond the padding (PyTorch's `ceil_mode`); no window lies in the padding alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolAxis {
    /// Extent of the result.
    pub positions: usize,
    /// Lines of a window.
    pub taps: usize,
    /// Extent of the image.
    pub extent: usize,
    /// Lines from one position to the next.
    pub stride: usize,
    /// Lines from one tap to the next.
    pub dilation: usize,
    /// Lines of padding before the image.
    pub before: usize,
    /// Lines of padding after the image.
    pub after: usize,
}

impl PoolAxis {
    /// The line that tap `tap` at `position` looks at, if the image has it.
    pub fn line(&self, position: usize, tap: usize) -> Option<usize> {
        let line = (position * self.stride + tap * self.dilation).checked_sub(self.before)?;
        (line < self.extent).then_some(line)
    }

    /// Taps at `position` that look at lines from `low` to `high`, counted from the first line of padding.
    fn taps_between(&self, position: usize, low: usize, high: usize) -> Range<usize> {
        let start = position * self.stride;
        let until = |line: usize| line.saturating_sub(start).div_ceil(self.dilation).min(self.taps);
        until(low)..until(high)
    }

    /// Taps at `position` that look at lines of the image.
    pub fn inside(&self, position: usize) -> Range<usize> {
        let (first, last) =
            (position * self.stride, position * self.stride + (self.taps - 1) * self.dilation);
        if first >= self.before && last < self.before + self.extent {
            return 0..self.taps;
        }
        self.taps_between(position, self.before, self.before + self.extent)
    }

    /// How many taps at `position` count for an average.
    pub fn counted(&self, position: usize, divisor: Divisor) -> usize {
        let [low, high] = self.bounds(divisor);
        self.taps_between(position, low, high).len()
    }

    /// First line that counts for an average and the one behind the last, from the first line of padding on.
    pub fn bounds(&self, divisor: Divisor) -> [usize; 2] {
        match divisor {
            Divisor::Inside => [self.before, self.before + self.extent],
            Divisor::Padded | Divisor::Fixed(_) => [0, self.before + self.extent + self.after],
        }
    }

    /// Most windows that contain one line, if each is given its whole stride.
    pub fn overlap(&self) -> usize {
        (self.taps - 1) * self.dilation / self.stride + 1
    }

    /// Whether every tap of every position looks at a line of the image.
    pub fn is_inside(&self) -> bool {
        let reach = (self.positions - 1) * self.stride + (self.taps - 1) * self.dilation;
        self.before == 0 && reach < self.extent
    }
}

/// What the sum over a window is divided by for an average.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Divisor {
    /// The taps in the image and its padding (PyTorch's `count_include_pad`).
    Padded,
    /// The taps in the image.
    Inside,
    /// This number.
    Fixed(u32),
}

/// What a window gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// Its largest element, and which tap that is: the first of equal ones in row-major order; the last NaN,
    /// if there is any.
    Max {
        /// Position in `writes` of the values, if wanted.
        values: Option<usize>,
        /// Position in `writes` of the taps `u32`, if wanted.
        taps: Option<usize>,
    },
    /// The element that read operand 1 (`u32`, the shape of the result) names by its tap; 0 if there is none.
    Pick,
    /// Its average.
    Average(Divisor),
}

/// Windows of images. Read 0: `[N, H, W, C]`; written: `[N, P, Q, C]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pool {
    /// Images.
    pub images: usize,
    /// Up and down, then left and right.
    pub axes: [PoolAxis; 2],
    /// Channels.
    pub channels: usize,
    /// What a window gives.
    pub pooling: Pooling,
}

/// How an element of the image collects from the windows that contain it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Collect {
    /// From those that chose it. Read 0: taps `u32[N, P, Q, C]`, read 1: gradients, same shape.
    Chosen,
    /// Its share of all. Read 0: gradients `[N, P, Q, C]`.
    Average(Divisor),
}

/// The gradient of pooling: write 0 is `[N, H, W, C]`, each element a sum over windows in row-major order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PoolGrad {
    /// Images.
    pub images: usize,
    /// Up and down, then left and right.
    pub axes: [PoolAxis; 2],
    /// Channels.
    pub channels: usize,
    /// What is added.
    pub collect: Collect,
}

/// Elements of `[N, P, Q, C]`.
fn results(images: usize, axes: &[PoolAxis; 2], channels: usize) -> usize {
    images * axes[0].positions * axes[1].positions * channels
}

/// Elements of `[N, H, W, C]`.
fn pixels(images: usize, axes: &[PoolAxis; 2], channels: usize) -> usize {
    images * axes[0].extent * axes[1].extent * channels
}

/// `64x24x24x64 2x2/2`, with what is not as usual.
fn describe(images: usize, axes: &[PoolAxis; 2], channels: usize) -> String {
    let [y, x] = axes;
    let pair = |a: usize, b: usize| if a == b { a.to_string() } else { format!("{a}x{b}") };
    let mut text = format!("{images}x{}x{}x{channels} {}x{}", y.extent, x.extent, y.taps, x.taps);
    text += &format!("/{}", pair(y.stride, x.stride));
    if (y.dilation, x.dilation) != (1, 1) {
        text += &format!(" every {}", pair(y.dilation, x.dilation));
    }
    if [y, x].iter().any(|a| a.before + a.after > 0) {
        text += &format!(" padded {}+{} {}+{}", y.before, y.after, x.before, x.after);
    }
    text
}

impl Pool {
    /// Elements of the result.
    pub fn results(&self) -> usize {
        results(self.images, &self.axes, self.channels)
    }

    /// Elements of the images.
    pub fn pixels(&self) -> usize {
        pixels(self.images, &self.axes, self.channels)
    }

    /// Whether every tap of every window looks at the image.
    pub fn is_inside(&self) -> bool {
        self.axes.iter().all(PoolAxis::is_inside)
    }
}

impl KernelDef for Pool {
    fn name(&self) -> &'static str {
        "pool"
    }

    fn shape(&self) -> String {
        let what = match self.pooling {
            Pooling::Max { taps: None, .. } => "max",
            Pooling::Max { .. } => "max +tap",
            Pooling::Pick => "pick",
            Pooling::Average(_) => "average",
        };
        format!("{} {what}", describe(self.images, &self.axes, self.channels))
    }

    fn cost(&self) -> Cost {
        let (results, pixels) = (self.results() as u64, self.pixels() as u64);
        let [y, x] = &self.axes;
        let operands = match self.pooling {
            Pooling::Max { values, taps } => (values.iter().len() + taps.iter().len()) as u64,
            Pooling::Pick => 2,
            Pooling::Average(_) => 1,
        };
        // Windows that are far apart leave lines out.
        let read = pixels.min(results * (y.taps * x.taps) as u64);
        Cost { flops: results * (y.taps * x.taps) as u64, bytes: 4 * (read + operands * results) }
    }

    fn signature(&self) -> Signature {
        let (results, taps) = (self.results(), self.axes[0].taps * self.axes[1].taps);
        let taps = Content::Index { below: taps };
        let mut signature = Signature::new(&[(self.pixels(), Content::Normal)], &[]);
        match self.pooling {
            Pooling::Max { values, taps: chosen } => {
                signature.add_outputs(&[values, chosen], &[results; 2]);
                if let Some(output) = chosen {
                    signature.writes[output].content = taps;
                }
            }
            Pooling::Pick => {
                signature.reads.push(OperandSpec::new(results, taps));
                signature.add_write(0, results);
            }
            Pooling::Average(_) => signature.add_write(0, results),
        }
        signature
    }

    fn keep_outputs(&self, outputs: &[usize]) -> Option<Kernel> {
        let at = |output: usize| outputs.iter().position(|&o| o == output);
        let pooling = match self.pooling {
            Pooling::Max { .. } => Pooling::Max { values: at(0), taps: at(1) },
            other @ (Pooling::Pick | Pooling::Average(_)) => other,
        };
        Some(Kernel::new(Self { pooling, ..self.clone() }))
    }

    fn iterations(&self, _target: &Target) -> usize {
        self.axes.iter().map(|a| a.taps + 1).product()
    }

    fn native(&self, exact: bool) -> Box<dyn NativeRun> {
        Box::new(native::NativePool::new(self.clone(), exact))
    }

    fn oracle(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        self.evaluate(operands, writes);
    }

    fn shader(&self, target: &Target) -> Result<Shader, ShaderError> {
        shader::pool(self, target)
    }

    fn samples() -> &'static [Family] {
        &[("pool", sample::pool)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::benchmarks()
    }
}

impl PoolGrad {
    /// Elements of the windows' gradients.
    pub fn results(&self) -> usize {
        results(self.images, &self.axes, self.channels)
    }

    /// Elements of the images.
    pub fn pixels(&self) -> usize {
        pixels(self.images, &self.axes, self.channels)
    }
}

impl KernelDef for PoolGrad {
    fn name(&self) -> &'static str {
        "pool_grad"
    }

    fn shape(&self) -> String {
        let what = match self.collect {
            Collect::Chosen => "max",
            Collect::Average(_) => "average",
        };
        format!("{} {what}", describe(self.images, &self.axes, self.channels))
    }

    fn cost(&self) -> Cost {
        let operands = if self.collect == Collect::Chosen { 2 } else { 1 };
        let [y, x] = &self.axes;
        let results = self.results() as u64;
        Cost {
            flops: results * (y.taps * x.taps) as u64,
            bytes: 4 * (self.pixels() as u64 + operands * results),
        }
    }

    fn signature(&self) -> Signature {
        let taps = Content::Index { below: self.axes[0].taps * self.axes[1].taps };
        let mut reads = vec![(self.results(), Content::Normal)];
        if self.collect == Collect::Chosen {
            reads.insert(0, (self.results(), taps));
        }
        Signature::new(&reads, &[self.pixels()])
    }

    fn iterations(&self, _target: &Target) -> usize {
        self.axes.iter().map(|a| a.overlap() + 1).product()
    }

    fn native(&self, exact: bool) -> Box<dyn NativeRun> {
        Box::new(native::NativePool::new(self.clone(), exact))
    }

    fn oracle(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        self.evaluate(operands, writes);
    }

    fn shader(&self, target: &Target) -> Result<Shader, ShaderError> {
        shader::pool_grad(self, target)
    }

    fn samples() -> &'static [Family] {
        &[("pool_grad", sample::pool_grad)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::gradient_benchmarks()
    }
}
