//! The product of two matrices.

use std::ops::Range;

use super::Real;

/// `y[i, j] = sum_p a(i, p) b(p, j)` over `p` in `depth`: `[m, n]`.
pub fn matmul<T: Real>(
    [m, n]: [usize; 2],
    depth: Range<usize>,
    a: impl Fn(usize, usize) -> f64,
    b: impl Fn(usize, usize) -> f64,
) -> Vec<T> {
    let mut y = vec![];
    for i in 0..m {
        for j in 0..n {
            y.push(T::sum(depth.clone().map(|p| T::exact(a(i, p)) * T::exact(b(p, j)))));
        }
    }
    y
}
