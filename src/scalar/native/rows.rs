//! Row primitives of softmax and cross-entropy, vectorised.

use super::functions::{exp, log};

/// `y = x - max(x)`; gives the logarithm of the sum of its exponentials. NaN anywhere gives NaN.
pub fn shifted(x: &[f32], y: &mut [f32]) -> f32 {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let largest = x.iter().fold(f32::NEG_INFINITY, |a, &b| if a > b || a.is_nan() { a } else { b });
            let mut lanes = [0.0f32; 16];
            let mut at = 0;
            for (y, x) in y.chunks_mut(16).zip(x.chunks(16)) {
                for (lane, (y, x)) in lanes.iter_mut().zip(y.iter_mut().zip(x)) {
                    *y = x - largest;
                    *lane += exp(*y);
                }
                at += x.len();
            }
            debug_assert_eq!(at, x.len());
            log(lanes.iter().sum())
        },
    )
}

/// `y -= value`
pub fn subtract(y: &mut [f32], value: f32) {
    for y in y {
        *y -= value;
    }
}

/// `y = e^(y - value)`
pub fn exponential(y: &mut [f32], value: f32) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for y in y {
                *y = exp(*y - value);
            }
        },
    );
}
