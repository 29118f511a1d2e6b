//! Pooling, window by window.

use super::{Collect, Divisor, Pool, PoolAxis, PoolGrad, Pooling};
use crate::kernels::oracle::Operands;
use crate::oracle::window::Axis;
use crate::oracle::{self, Approx, Real};

/// The windows of `axes`.
fn windows(images: usize, axes: &[PoolAxis; 2], channels: usize) -> oracle::pool::Pool {
    let axes = axes.map(|axis| {
        let PoolAxis { positions, taps, extent, stride, dilation, before, after: _ } = axis;
        Axis { positions, taps, extent, stride, step: dilation as isize, origin: -(before as isize), up: 1 }
    });
    oracle::pool::Pool { images, axes, channels }
}

/// Which taps count.
fn divisor(axes: &[PoolAxis; 2], divisor: Divisor) -> oracle::pool::Divisor {
    let lines = |axis: &PoolAxis| match divisor {
        Divisor::Inside => 0..axis.extent as isize,
        Divisor::Padded | Divisor::Fixed(_) => -(axis.before as isize)..(axis.extent + axis.after) as isize,
    };
    match divisor {
        Divisor::Fixed(number) => oracle::pool::Divisor::Fixed(f64::from(number)),
        Divisor::Inside | Divisor::Padded => oracle::pool::Divisor::Taps([lines(&axes[0]), lines(&axes[1])]),
    }
}

impl Pool {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let (windows, x) = (windows(self.images, &self.axes, self.channels), &operands.reads[0]);
        match self.pooling {
            Pooling::Max { values, taps } => {
                let largest = windows.largest(x);
                let of = |number: fn(&[f64], oracle::pool::Tap) -> f64| {
                    let number = |tap: &Option<_>| Approx::exact(tap.map_or(f64::NAN, |tap| number(x, tap)));
                    largest.iter().map(number).collect()
                };
                if let Some(output) = values {
                    writes[output] = of(|x, tap| x[tap.element]);
                }
                if let Some(output) = taps {
                    writes[output] = of(|_, tap| tap.tap as f64);
                }
            }
            Pooling::Pick => {
                let picked = windows.pick(x, &operands.reads[1]);
                writes[0] = picked.into_iter().map(Approx::exact).collect();
            }
            Pooling::Average(by) => writes[0] = windows.average(x, &divisor(&self.axes, by)),
        }
    }
}

impl PoolGrad {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let windows = windows(self.images, &self.axes, self.channels);
        writes[0] = match self.collect {
            Collect::Chosen => windows.pick_gradient(&operands.reads[0], &operands.reads[1]),
            Collect::Average(by) => windows.average_gradient(&operands.reads[0], &divisor(&self.axes, by)),
        };
    }
}
