//! The norm of the gradient.

use super::GradientNorm;
use crate::kernels::oracle::Operands;
use crate::oracle::{Approx, Real};
use crate::scalar::{BinaryFn, UnaryFn};

impl GradientNorm {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let input: Vec<Approx> = operands.reads[0].iter().map(|&x| Approx::exact(x)).collect();
        if self.stage == 0 {
            let parts = input[..self.len].chunks(Self::CHUNK);
            writes[0] = parts.map(|part| Approx::sum(part.iter().map(|&x| x * x))).collect();
            return;
        }
        let norm = Approx::sum(input[..self.partials()].iter().copied()).unary(UnaryFn::Sqrt);
        let factor = Approx::exact(f64::from(f32::from_bits(self.max_norm))) / (norm + Approx::exact(1e-6));
        writes[0] = vec![norm, factor.binary(BinaryFn::Min, Approx::exact(1.0))];
    }
}
