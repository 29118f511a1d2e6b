//! Builder methods of resampling: images of other sizes, by the nearest pixel or by linear interpolation.
//!
//! Both are linear and go along one axis at a time: a small constant matrix of weights is multiplied with the
//! lines, then with the columns, so that gradients (the transposed matrices) and kernels are those of products.
//! Whole-number magnification by the nearest pixel is the gradient of a sum over windows.

use super::build::Built;
use super::ops::{Op, PoolGrad};
use super::{Graph, ValueId};
use crate::kernels::pool::{Collect, Divisor, PoolAxis};

/// How pixels between pixels are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resampling {
    /// The pixel at `floor(i * scale)`, PyTorch's `nearest`.
    Nearest,
    /// Between the two neighbours on each axis.
    Linear {
        /// Whether the outermost pixels' centres stay where they are (PyTorch's `align_corners`), rather than
        /// the image's edges.
        align_corners: bool,
    },
}

/// Result sizes and how to fill them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResampleSpec {
    /// Height and width of the result.
    pub size: [usize; 2],
    /// Result pixels for each input pixel, if other than the quotient of the sizes (PyTorch's `scale_factor`).
    pub scale: Option<[f64; 2]>,
    /// How pixels between pixels are found.
    pub resampling: Resampling,
}

/// Most pixels of one side: keeps matrices of weights small.
const LARGEST: usize = 1 << 14;

impl ResampleSpec {
    /// To `size`.
    pub fn new(size: [usize; 2], resampling: Resampling) -> Self {
        Self { size, scale: None, resampling }
    }

    /// By `scale`, for an image of `extents`: PyTorch's `scale_factor`.
    pub fn scaled(extents: [usize; 2], scale: [f64; 2], resampling: Resampling) -> Self {
        let size = std::array::from_fn(|d| (extents[d] as f64 * scale[d]).floor() as usize);
        Self { size, scale: Some(scale), resampling }
    }

    /// Input pixels for each result pixel on axis `d`.
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

    /// Input pixels and their weights for pixel `i` of axis `d`.
    fn weights(&self, d: usize, extent: usize, i: usize) -> [(usize, f64); 2] {
        let (step, last) = (self.step(d, extent), extent - 1);
        let place = match self.resampling {
            // In single precision, as PyTorch computes it: it decides which pixel is below an exact quotient.
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

    /// How many times every pixel of axis `d` is repeated, if that is all.
    fn repeated(&self, d: usize, extent: usize) -> Option<usize> {
        let times = self.size[d] / extent;
        let all = (0..self.size[d]).all(|i| self.weights(d, extent, i)[0].0 == i / times.max(1));
        (self.resampling == Resampling::Nearest && times * extent == self.size[d] && all).then_some(times)
    }
}

impl Graph {
    /// `x` `[N, H, W, C]` in another size, `[N, H', W', C]` (PyTorch's `interpolate`).
    ///
    /// # Errors
    /// If `x` is no batch of images, or a size is 0, or a scale no positive number.
    pub fn resample(&mut self, x: ValueId, spec: &ResampleSpec) -> Built {
        let [images, height, width, channels] = self.shape(x)[..] else {
            return Err(self.error("resample", &[x], "expected images `[N, H, W, C]`".into()));
        };
        let usable = |scale: &[f64; 2]| scale.iter().all(|s| s.is_finite() && *s > 0.0);
        if spec.size.iter().any(|size| !(1..=LARGEST).contains(size))
            || !spec.scale.as_ref().is_none_or(usable)
        {
            let reason = format!(
                "cannot make images of {} x {} pixels (scale {:?}); sizes must be from 1 to {LARGEST}, scales positive",
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

    /// `[.., extent, ..]` as `[.., size, ..]`, both of axis `d`.
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
