//! Softmax of one row.

use super::Real;
use crate::scalar::BinaryFn;

/// `x - ln sum e^x`, relative to the largest element, so that nothing overflows.
pub fn log_softmax<T: Real>(row: &[f64]) -> Vec<T> {
    let largest = row.iter().fold(f64::NEG_INFINITY, |a, &b| BinaryFn::Max.eval(a, b));
    let shifted: Vec<T> = row.iter().map(|&x| T::exact(x) - T::exact(largest)).collect();
    let log_total = T::sum(shifted.iter().map(|x| x.exp())).ln();
    shifted.into_iter().map(|x| x - log_total).collect()
}

/// `e^x / sum e^x`
pub fn softmax<T: Real>(row: &[f64]) -> Vec<T> {
    log_softmax::<T>(row).into_iter().map(T::exp).collect()
}
