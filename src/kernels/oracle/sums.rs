//! Kernels that add: matrix products, reductions, gradients of gathered rows, norms.

use super::body::{registers, run};
use super::{Approx, FUNCTION, Operands, ROUNDOFF, sum};
use crate::kernels::gather::GatherGrad;
use crate::kernels::matmul::MatMul;
use crate::kernels::norm::GradientNorm;
use crate::kernels::reduce::Reduce;
use crate::scalar::ReduceKind;

pub(super) fn matmul(kernel: &MatMul, operands: &Operands, writes: &mut [Vec<Approx>]) {
    let MatMul { batch, m, n, k, a, b, .. } = *kernel;
    let (left, right) = (&operands.reads[0], &operands.reads[1]);
    let len = kernel.split_len();
    let depth = |split: usize| (split * len).min(k)..((split + 1) * len).min(k);
    let product = |split: usize, linear: usize| {
        let (z, row, col) = (linear / (m * n), linear / n % m, linear % n);
        let term = |i| {
            // Padding adds nothing.
            let x = a.element(z, row, i).map_or(0.0, |at| left[at]);
            let y = right[b.offset + z * b.batch + i * b.row + col * b.col];
            Approx::exact(x * y).rounded(ROUNDOFF)
        };
        sum(depth(split).map(term))
    };
    if kernel.splits > 1 {
        for split in 0..kernel.splits {
            for linear in 0..batch * m * n {
                writes[0][split * batch * m * n + linear] = product(split, linear);
            }
        }
    } else {
        run(&kernel.epilogue, &[batch, m, n], |linear| product(0, linear), operands, writes);
    }
    if let Some(output) = kernel.row_sums {
        for split in 0..kernel.splits.max(1) {
            for row in 0..m {
                let terms =
                    depth(split).map(|i| Approx::exact(a.element(0, row, i).map_or(0.0, |at| left[at])));
                writes[output][split * m + row] = sum(terms);
            }
        }
    }
}

pub(super) fn reduce(kernel: &Reduce, operands: &Operands, writes: &mut [Vec<Approx>]) {
    let (shape, reduced, chunks) = (kernel.input_shape(), kernel.reduced_len(), kernel.chunks());
    let chunk = kernel.chunk.unwrap_or(reduced).max(1);
    let combined = |linear: usize| {
        let (kept, part) = (linear / chunks, linear % chunks);
        let range = part * chunk..((part + 1) * chunk).min(reduced);
        let terms = range.map(|r| {
            let element = kept * reduced + r;
            let nothing = Approx::exact(f64::NAN);
            registers(&kernel.prologue, &shape, element, nothing, operands)[kernel.value as usize]
        });
        match kernel.kind {
            ReduceKind::Sum => sum(terms),
            ReduceKind::Max => terms.fold(Approx::exact(f64::NEG_INFINITY), larger),
        }
    };
    run(&kernel.epilogue, &kernel.output_shape(), combined, operands, writes);
}

/// The larger of two values, which is as uncertain as the less certain one; NaN if either is NaN.
fn larger(a: Approx, b: Approx) -> Approx {
    let value = if a.value > b.value || a.value.is_nan() { a.value } else { b.value };
    Approx { value, error: a.error.max(b.error) }
}

pub(super) fn gather_grad(kernel: &GatherGrad, operands: &Operands, writes: &mut [Vec<Approx>]) {
    for (element, out) in writes[0].iter_mut().enumerate() {
        let (row, column) = (element / kernel.width, element % kernel.width);
        let named = (0..kernel.count).filter(|&i| operands.reads[0][i] as usize == row);
        *out = sum(named.map(|i| Approx::exact(operands.reads[1][i * kernel.width + column])));
    }
}

pub(super) fn gradient_norm(kernel: &GradientNorm, operands: &Operands, writes: &mut [Vec<Approx>]) {
    let input = &operands.reads[0];
    if kernel.stage == 0 {
        let parts = input[..kernel.len].chunks(GradientNorm::CHUNK);
        for (out, part) in writes[0].iter_mut().zip(parts) {
            *out = sum(part.iter().map(|x| Approx::exact(x * x).rounded(ROUNDOFF)));
        }
        return;
    }
    let squares = sum(input[..kernel.partials()].iter().map(|&x| Approx::exact(x)));
    let value = squares.value.sqrt();
    let norm = Approx { value, error: squares.error / value.max(1e-30) }.rounded(FUNCTION);
    let relative = norm.error / value.max(1e-30) + FUNCTION;
    let factor = f64::from(f32::from_bits(kernel.max_norm)) / (value + 1e-6);
    let factor = if factor > 1.0 { 1.0 } else { factor };
    writes[0][0] = norm;
    writes[0][1] = Approx::exact(factor).rounded(relative);
}
