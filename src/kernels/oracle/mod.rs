//! What every kernel computes, in plain `f64` loops, with a bound on the rounding error that a device working in
//! `f32` may make: the measure for the native kernels and for the shaders.
//!
//! The bound follows the computation (running error analysis, Higham 2002, *Accuracy and Stability of Numerical
//! Algorithms*, 3.3): every operation adds its own rounding error to what its operands bring along. Sums of `n`
//! terms are allowed `4 sqrt(n)` roundings of the sum of magnitudes, in whatever order they are added.
#![allow(clippy::needless_range_loop, reason = "plain loops over indices are the point of the oracle")]

mod augment;
mod body;
mod pools;
mod recurrences;
mod rows;
mod sums;

use crate::base::rng;
use crate::base::rng::RandomKind;
use crate::base::step::StepRecord;
use crate::kernels::Kernel;
use crate::kernels::batch::Batch;
use crate::kernels::store::Store;

/// Unit roundoff of `f32`.
pub(crate) const ROUNDOFF: f64 = 1.0 / 16_777_216.0;
/// Relative error allowed to a transcendental function, in roundoffs.
pub(crate) const FUNCTION: f64 = 8.0 * ROUNDOFF;

/// A value and the error allowed to a device.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Approx {
    /// The value.
    pub value: f64,
    /// How far a device may be from it.
    pub error: f64,
}

impl Approx {
    /// A value without error.
    pub fn exact(value: f64) -> Self {
        Self { value, error: 0.0 }
    }

    /// Error of `found` in units of the allowed error; at most 1 is right. NaN and infinities must be met exactly.
    pub fn excess(&self, found: f64) -> f64 {
        let same = found == self.value || (found.is_nan() && self.value.is_nan());
        // Devices may flush subnormal numbers to zero.
        let allowed = self.error + 1e-37;
        // Near the largest f32 a device may overflow.
        let overflow = found.is_infinite() && self.value * found.signum() + allowed > f64::from(f32::MAX);
        match (same || overflow, found.is_finite() && self.value.is_finite()) {
            (true, _) => 0.0,
            (false, true) => (found - self.value).abs() / allowed,
            (false, false) => f64::INFINITY,
        }
    }

    /// Adds a relative rounding error.
    pub(crate) fn rounded(self, relative: f64) -> Self {
        Self { error: self.error + relative * self.value.abs(), ..self }
    }
}

/// The sum of `terms` as a device may compute it.
pub(crate) fn sum(terms: impl Iterator<Item = Approx>) -> Approx {
    let (mut total, mut magnitude, mut count) = (Approx::default(), 0.0, 0.0f64);
    for term in terms {
        total.value += term.value;
        total.error += term.error;
        magnitude += term.value.abs();
        count += 1.0;
    }
    if count > 1.0 {
        total.error += 4.0 * count.sqrt() * ROUNDOFF * magnitude;
    }
    total
}

/// What the operands of a kernel hold; integers as whole numbers.
pub struct Operands<'a> {
    /// Read operands.
    pub reads: &'a [Vec<f64>],
    /// Written operands before the kernel runs.
    pub previous: &'a [Vec<f64>],
    /// The step.
    pub step: &'a StepRecord,
}

/// The written operands of `kernel` after it has run. Elements it does not write are as before.
pub fn evaluate(kernel: &Kernel, operands: &Operands) -> Vec<Vec<Approx>> {
    let before = |v: &Vec<f64>| v.iter().map(|&x| Approx::exact(x)).collect();
    let mut writes: Vec<Vec<Approx>> = operands.previous.iter().map(before).collect();
    let step = operands.step;
    if let Some(k) = kernel.downcast::<Batch>() {
        for (block, column) in k.columns.iter().enumerate() {
            let deviation = f64::from(f32::from_bits(column.noise));
            let row = |r: usize| operands.reads[0][step.batch_start as usize + r] as usize;
            for (element, out) in writes[block].iter_mut().enumerate() {
                let (r, c) = (element / column.width, element % column.width);
                *out = Approx::exact(operands.reads[1 + block][row(r) * column.stride + column.offset + c]);
                if deviation != 0.0 {
                    let z = rng::element(
                        RandomKind::Normal,
                        step,
                        column.stream,
                        step.element(element, k.batch * column.width),
                    );
                    let noise = Approx::exact(deviation * f64::from(z)).rounded(ROUNDOFF);
                    *out = sum([*out, noise].into_iter());
                }
            }
        }
    } else if let Some(k) = kernel.downcast::<Store>() {
        for (i, &width) in k.widths.iter().enumerate() {
            for element in 0..width {
                let value = Approx::exact(operands.reads[i][element]);
                writes[i][step.slot as usize * width + element] = value;
            }
        }
    } else if let Some(k) = kernel.downcast() {
        augment::augment(k, operands, &mut writes);
    } else if let Some(k) = kernel.downcast() {
        sums::matmul(k, operands, &mut writes);
    } else if let Some(k) = kernel.downcast() {
        sums::reduce(k, operands, &mut writes);
    } else if let Some(k) = kernel.downcast() {
        sums::gather_grad(k, operands, &mut writes);
    } else if let Some(k) = kernel.downcast() {
        sums::gradient_norm(k, operands, &mut writes);
    } else if let Some(k) = kernel.downcast() {
        pools::pool(k, operands, &mut writes);
    } else if let Some(k) = kernel.downcast() {
        pools::pool_grad(k, operands, &mut writes);
    } else if let Some(k) = kernel.downcast() {
        recurrences::recurrence(k, operands, &mut writes);
    } else if let Some(k) = kernel.downcast() {
        recurrences::recurrence_grad(k, operands, &mut writes);
    } else if let Some(k) = kernel.downcast() {
        body::pointwise(k, operands, &mut writes);
    } else if let Some(k) = kernel.downcast() {
        body::optimizer(k, operands, &mut writes);
    } else if let Some(k) = kernel.downcast() {
        rows::gather(k, operands, &mut writes);
    } else if let Some(k) = kernel.downcast() {
        rows::softmax(k, operands, &mut writes);
    } else if let Some(k) = kernel.downcast() {
        rows::cross_entropy(k, operands, &mut writes);
    }
    writes
}
