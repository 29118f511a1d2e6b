//! Row primitives of softmax and cross-entropy, vectorised.

use pulp::{Simd, WithSimd};

use super::vectors::vectorised;

use super::maths::{exp, log};
use crate::scalar::{BinaryFn, exact};

const LANES: usize = 16;

/// `y = x - max(x)`; returns the logarithm of the sum of `e^y`. NaN anywhere in `x` gives NaN.
pub fn shifted(x: &[f32], y: &mut [f32]) -> f32 {
    vectorised(Shifted { x, y })
}

struct Shifted<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for Shifted<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f32 {
        let Shifted { x, y } = self;
        let mut largest = [f32::NEG_INFINITY; LANES];
        in_lanes(&mut largest, x, |a, b| if a > b || a.is_nan() { a } else { b });
        let largest = largest.iter().fold(f32::NEG_INFINITY, |a, &b| if a > b || a.is_nan() { a } else { b });
        for (y, x) in y.iter_mut().zip(x) {
            *y = x - largest;
        }
        let mut sums = [0.0f32; LANES];
        in_lanes(&mut sums, y, |sum, y| sum + exp::<S>(y));
        log::<S>(sums.iter().sum())
    }
}

/// Combines element `i` into lane `i % LANES`.
#[inline(always)]
fn in_lanes(lanes: &mut [f32; LANES], values: &[f32], combine: impl Fn(f32, f32) -> f32) {
    let mut groups = values.chunks_exact(LANES);
    for group in &mut groups {
        for (lane, x) in lanes.iter_mut().zip(group) {
            *lane = combine(*lane, *x);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(groups.remainder()) {
        *lane = combine(*lane, *x);
    }
}

/// `y -= value`
pub fn subtract(y: &mut [f32], value: f32) {
    for y in y {
        *y -= value;
    }
}

/// `y = e^(y - value)`
pub fn exponential(y: &mut [f32], value: f32) {
    vectorised(Exponential { y, value });
}

struct Exponential<'a> {
    y: &'a mut [f32],
    value: f32,
}

impl WithSimd for Exponential<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for y in self.y {
            *y = exp::<S>(*y - self.value);
        }
    }
}

/// The largest of `x`, and the logarithm of the sum of `e^(x - largest)`, with the bits of exact mode.
pub fn exact_log_sum(x: &[f32]) -> (f32, f32) {
    /// Below every finite number but the last.
    const LOWEST: f32 = -3.402_823_4e38;
    let largest = x.iter().fold(LOWEST, |a, &b| BinaryFn::Max.exact(a, b));
    let add = |total, x: &f32| exact::add(total, exact::exp(exact::sub(*x, largest)));
    (largest, exact::log(x.iter().fold(0.0, add)))
}
