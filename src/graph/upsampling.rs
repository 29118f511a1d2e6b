//! Builder methods of resampling: images in other sizes, by nearest neighbour or linear interpolation.
//!
//! Both are linear and separable: a small constant matrix of weights multiplies the lines, then the columns,
//! so gradients (the transposed matrices) and kernels are those of matrix products. Integer magnification
//! with nearest neighbour is the gradient of a sum over windows.

use super::ops::{Op, PoolGrad};
use super::{Built, Graph, ValueId};
use crate::kernels::pool::{Collect, Divisor, PoolAxis};

/// The interpolation method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resampling {
    /// The pixel at `floor(i * scale)`, PyTorch's `nearest`.
    Nearest,
    /// Linear interpolation between the two neighbours on each axis.
    Linear {
        /// Whether the centres of the outermost pixels are aligned (PyTorch's `align_corners`), rather than
        /// the edges of the image.
        align_corners: bool,
    },
}

/// Result size and interpolation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResampleSpec {
    /// Height and width of the result.
    pub size: [usize; 2],
    /// Result pixels per input pixel, if different from the quotient of the sizes (PyTorch's `scale_factor`).
    pub scale: Option<[f64; 2]>,
    /// The interpolation method.
    pub resampling: Resampling,
}

/// Maximum pixels of one side; keeps weight matrices small.
const LARGEST: usize = 1 << 14;

impl ResampleSpec {
    /// Resamples to `size`.
    pub fn new(size: [usize; 2], resampling: Resampling) -> Self {
        Self { size, scale: None, resampling }
    }

    /// Resamples an image of `extents` by `scale`: PyTorch's `scale_factor`.
    pub fn scaled(extents: [usize; 2], scale: [f64; 2], resampling: Resampling) -> Self {
        let size = std::array::from_fn(|d| (extents[d] as f64 * scale[d]).floor() as usize);
        Self { size, scale: Some(scale), resampling }
    }

    /// Input pixels per result pixel on axis `d`.
    fn step(&self, d: usize, extent: usize) -> f64 {
        match (self.resampling, self.scale) {
            (Resampling::Linear { align_corners: true }, _) => {
                if self.size[d] > 1 {
                    (extent - 1) as f64 / (self.size[d] - 1) as f64
                } else {
                    0.0
                }
            }
            (_, Some(scale)) => 1.0 / scale[d],
            _ => extent as f64 / self.size[d] as f64,
        }
    }

    /// The input pixels and their weights for pixel `i` of axis `d`.
    fn weights(&self, d: usize, extent: usize, i: usize) -> [(usize, f64); 2] {
        let (step, last) = (self.step(d, extent), extent - 1);
        let place = match self.resampling {
            // In single precision, like PyTorch: rounding decides which pixel an exact quotient falls on.
            Resampling::Nearest => {
                return [((i as f32 * step as f32).floor() as usize, 1.0), (0, 0.0)]
                    .map(|(pixel, weight)| (pixel.min(last), weight));
            }
            Resampling::Linear { align_corners: true } => i as f64 * step,
            Resampling::Linear { align_corners: false } => ((i as f64 + 0.5) * step - 0.5).max(0.0),
        };
        let low = (place.floor() as usize).min(last);
        let part = (place - low as f64).clamp(0.0, 1.0);
        [(low, 1.0 - part), ((low + 1).min(last), part)]
    }

    /// How often each pixel of axis `d` is repeated, if the resampling is plain repetition.
    fn repeated(&self, d: usize, extent: usize) -> Option<usize> {
        let times = self.size[d] / extent;
        let all = (0..self.size[d]).all(|i| self.weights(d, extent, i)[0].0 == i / times.max(1));
        (self.resampling == Resampling::Nearest && times * extent == self.size[d] && all).then_some(times)
    }
}

impl Graph {
    /// Resamples `x` `[N, H, W, C]` to `[N, H', W', C]` (PyTorch's `interpolate`).
    ///
    /// # Errors
    /// If `x` is not a batch of images, a size is 0, or a scale is not positive.
    pub fn resample(&mut self, x: ValueId, spec: &ResampleSpec) -> Built {
        let [images, height, width, channels] = self.shape(x)[..] else {
            return Err(self.error("resample", &[x], "expected images `[N, H, W, C]`".into()));
        };
        let usable = |scale: &[f64; 2]| scale.iter().all(|s| s.is_finite() && *s > 0.0);
        if spec.size.iter().any(|size| !(1..=LARGEST).contains(size))
            || !spec.scale.as_ref().is_none_or(usable)
        {
            let reason = format!(
                "cannot make images of {} x {} pixels (scale {:?}); sizes must be from 1 to {LARGEST}, \
                 scales positive",
                spec.size[0], spec.size[1], spec.scale
            );
            return Err(self.error("resample", &[x], reason));
        }
        if let (Some(down), Some(along)) = (spec.repeated(0, height), spec.repeated(1, width)) {
            if (down, along) == (1, 1) {
                return Ok(x);
            }
            let axis = |positions: usize, times: usize| PoolAxis {
                positions,
                taps: times,
                extent: positions * times,
                stride: times,
                dilation: 1,
                before: 0,
                after: 0,
            };
            let axes = [axis(height, down), axis(width, along)];
            let collect = Collect::Average(Divisor::Fixed(1));
            return self.push(Op::PoolGrad(PoolGrad { axes, collect }), &[x]);
        }
        let [high, wide] = spec.size;
        let lines = self.reshape(x, &[images * height, width, channels])?;
        let lines = self.interpolate(spec, 1, width, lines)?;
        let columns = self.reshape(lines, &[images, height, wide * channels])?;
        let columns = self.interpolate(spec, 0, height, columns)?;
        self.reshape(columns, &[images, high, wide, channels])
    }

    /// Resamples axis `d`: `[.., extent, ..]` to `[.., size, ..]`.
    fn interpolate(&mut self, spec: &ResampleSpec, d: usize, extent: usize, x: ValueId) -> Built {
        if spec.repeated(d, extent) == Some(1) {
            return Ok(x);
        }
        let (rows, columns) = (spec.size[d], extent);
        let mut matrix = vec![0.0f64; rows * columns];
        for i in 0..rows {
            for (pixel, weight) in spec.weights(d, columns, i) {
                matrix[i * columns + pixel] += weight;
            }
        }
        let matrix: Vec<f32> = matrix.into_iter().map(|weight| weight as f32).collect();
        let matrix = self.constant(&[rows, columns], &matrix)?;
        self.matmul(matrix, x)
    }
}
