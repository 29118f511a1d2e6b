//! Kernels that work row by row: gather, softmax, cross-entropy.

use super::{Approx, FUNCTION, Operands, ROUNDOFF, sum};
use crate::kernels::cross_entropy::CrossEntropy;
use crate::kernels::gather::Gather;
use crate::kernels::softmax::Softmax;

pub(super) fn gather(kernel: &Gather, operands: &Operands, writes: &mut [Vec<Approx>]) {
    for (element, out) in writes[0].iter_mut().enumerate() {
        let (row, column) = (element / kernel.width, element % kernel.width);
        let index = operands.reads[1][row] as usize;
        let inside = index < kernel.vocabulary;
        *out =
            Approx::exact(if inside { operands.reads[0][index * kernel.width + column] } else { f64::NAN });
    }
}

/// `x - logsumexp(x)`, as a device computes it: relative to the largest element.
fn log_softmax(row: &[f64]) -> Vec<Approx> {
    let nan = row.iter().any(|x| x.is_nan());
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = row.iter().map(|x| (x - largest).exp()).sum();
    let log_total = if nan { f64::NAN } else { total.ln() };
    // The exponent's rounding error becomes a relative error of each term of the sum.
    let worst = row.iter().map(|x| (x - largest).abs() * (x - largest).exp()).sum::<f64>() / total;
    let of_total = ROUNDOFF * (worst + 4.0 * (row.len() as f64).sqrt()) + FUNCTION * (1.0 + log_total.abs());
    let element = |x: &f64| {
        let shifted = x - largest;
        let value = shifted - log_total;
        Approx { value, error: ROUNDOFF * (shifted.abs() + value.abs()) + of_total }
    };
    row.iter().map(element).collect()
}

/// `e^x` for a logarithm with a small error.
fn exponential(x: Approx) -> Approx {
    let value = x.value.exp();
    Approx { value, error: value * (x.error + FUNCTION) }
}

pub(super) fn softmax(kernel: &Softmax, operands: &Operands, writes: &mut [Vec<Approx>]) {
    for (row, out) in operands.reads[0].chunks(kernel.columns).zip(writes[0].chunks_mut(kernel.columns)) {
        for (out, log_p) in out.iter_mut().zip(log_softmax(row)) {
            *out = if kernel.log { log_p } else { exponential(log_p) };
        }
    }
}

pub(super) fn cross_entropy(kernel: &CrossEntropy, operands: &Operands, writes: &mut [Vec<Approx>]) {
    let classes = kernel.classes;
    let smoothing = f64::from(f32::from_bits(kernel.smoothing));
    for row in 0..kernel.rows {
        let label = operands.reads[1][row] as usize;
        let known = label < classes;
        let log_p = log_softmax(&operands.reads[0][row * classes..(row + 1) * classes]);
        let target = |c: usize| {
            let hit = if c == label { 1.0 - smoothing } else { 0.0 };
            Approx::exact(operands.reads[2][c] * (hit + smoothing / classes as f64)).rounded(4.0 * ROUNDOFF)
        };
        let product = |a: Approx, b: Approx| {
            let error = a.value.abs() * b.error + b.value.abs() * a.error;
            Approx { value: a.value * b.value, error }.rounded(ROUNDOFF)
        };
        if let Some(output) = kernel.loss {
            let loss = sum((0..classes).map(|c| product(target(c), log_p[c])));
            writes[output][row] =
                if known { Approx { value: -loss.value, ..loss } } else { Approx::exact(f64::NAN) };
        }
        if let Some(output) = kernel.delta {
            let total = sum((0..classes).map(target));
            for c in 0..classes {
                let (p, q) = (product(exponential(log_p[c]), total), target(c));
                let delta = sum([p, Approx { value: -q.value, ..q }].into_iter());
                writes[output][row * classes + c] = if known { delta } else { Approx::exact(f64::NAN) };
            }
        }
    }
}
