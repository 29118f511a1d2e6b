//! Results at the slot of the step.

use super::Store;
use crate::kernels::oracle::Operands;
use crate::oracle::{Approx, Real};

impl Store {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        for (i, &width) in self.widths.iter().enumerate() {
            for element in 0..width {
                let value = Approx::exact(operands.reads[i][element]);
                writes[i][operands.step.slot as usize * width + element] = value;
            }
        }
    }
}
