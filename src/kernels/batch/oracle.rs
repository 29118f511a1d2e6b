//! The rows of a batch, element by element.

use super::Batch;
use crate::base::rng;
use crate::base::rng::RandomKind;
use crate::kernels::oracle::Operands;
use crate::oracle::{Approx, Real};

impl Batch {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let step = operands.step;
        for (block, column) in self.columns.iter().enumerate() {
            let deviation = f64::from(f32::from_bits(column.noise));
            let row = |r: usize| operands.reads[0][step.batch_start as usize + r] as usize;
            for (element, out) in writes[block].iter_mut().enumerate() {
                let (r, c) = (element / column.width, element % column.width);
                *out = Approx::exact(operands.reads[1 + block][row(r) * column.stride + column.offset + c]);
                if deviation != 0.0 {
                    let number = step.element(element, self.batch * column.width);
                    let z = rng::element(RandomKind::Normal, step, column.stream, number);
                    *out = *out + Approx::exact(deviation) * Approx::exact(f64::from(z));
                }
            }
        }
    }
}
