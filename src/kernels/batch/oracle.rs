//! The rows of a batch, element by element.

use super::Batch;
use crate::base::rng;
use crate::base::rng::RandomKind;
use crate::kernels::oracle::Operands;
use crate::kernels::storage::place;
use crate::oracle::{Approx, Real};

impl Batch {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let step = operands.step;
        for (block, column) in self.columns.iter().enumerate() {
            let deviation = f64::from(f32::from_bits(column.noise));
            let row = |r: usize| operands.reads[0][step.batch_start as usize + r] as u32;
            let table = self.table(block).map_or(&[][..], |operand| &operands.reads[operand]);
            for (element, out) in writes[block].iter_mut().enumerate() {
                let (r, c) = (element / column.width, element % column.width);
                let Some(row) = place(column.only.as_ref(), row(r)) else { continue };
                let words = &operands.reads[1 + block][row * column.stride + column.offset..];
                *out = Approx::exact(column.storage.value(words, table, c));
                if deviation != 0.0 {
                    let number = step.element(element, self.batch * column.width);
                    let z = rng::element(RandomKind::Normal, step, column.stream, number);
                    *out = *out + Approx::exact(deviation) * Approx::exact(f64::from(z));
                }
            }
        }
    }
}
