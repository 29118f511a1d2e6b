//! Sums and maxima.

use super::Real;
use crate::scalar::{BinaryFn, ReduceKind};

/// The sum or the largest of `terms`; 0 or -infinity of none.
pub fn reduce<T: Real>(kind: ReduceKind, terms: impl Iterator<Item = T>) -> T {
    match kind {
        ReduceKind::Sum => T::sum(terms),
        ReduceKind::Max => terms.fold(T::exact(f64::NEG_INFINITY), |a, b| a.binary(BinaryFn::Max, b)),
    }
}
