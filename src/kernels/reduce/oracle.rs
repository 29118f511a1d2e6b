//! Reductions of a fused body.

use super::Reduce;
use crate::kernels::oracle::Operands;
use crate::kernels::pointwise::oracle::{registers, run};
use crate::oracle::{Approx, Real, reduce};

impl Reduce {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let (shape, reduced, chunks) = (self.input_shape(), self.reduced_len(), self.chunks());
        let chunk = self.chunk.unwrap_or(reduced).max(1);
        let combined = |linear: usize| {
            let (kept, part) = (linear / chunks, linear % chunks);
            let range = part * chunk..((part + 1) * chunk).min(reduced);
            let terms = range.map(|r| {
                let nothing = Approx::exact(f64::NAN);
                registers(&self.prologue, &shape, kept * reduced + r, nothing, operands)[self.value as usize]
            });
            reduce::reduce(self.kind, terms)
        };
        run(&self.epilogue, &self.output_shape(), combined, operands, writes);
    }
}
