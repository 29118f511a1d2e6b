//! Sums of parts, in place.

use super::Store;
use crate::kernels::oracle::Operands;
use crate::oracle::{Approx, Real};

impl Store {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        for (i, stored) in self.values.iter().enumerate() {
            let start = if stored.by_step { operands.step.slot as usize * stored.words } else { 0 };
            for word in 0..stored.words {
                let parts = (0..stored.parts).map(|part| operands.reads[i][part * stored.words + word]);
                let sum = parts.map(Approx::exact).reduce(|sum, part| sum + part);
                writes[i][start + word] = sum.unwrap_or(Approx::exact(0.0));
            }
        }
    }
}
