//! What every kernel computes, with a bound on the rounding error that a device working in `f32` may make:
//! the measure for the native kernels and for the shaders. `oracle.rs` beside each kernel says how it sees
//! the mathematics of [`crate::oracle`]; what no operator asks for (fused bodies, batches, the optimizer)
//! stands there in plain loops.

use super::Kernel;
use crate::base::step::StepRecord;
use crate::oracle::{Approx, Real};

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
    super::measure(&**kernel, operands, &mut writes);
    writes
}
