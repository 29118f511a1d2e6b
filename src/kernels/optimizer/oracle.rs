//! The update of all parameters, element by element.

use super::Optimizer;
use crate::kernels::oracle::Operands;
use crate::kernels::pointwise::oracle::run;
use crate::oracle::{Approx, Real};
use crate::scalar::{Inst, View};

impl Optimizer {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let mut body = self.grouped_body();
        for inst in &mut body.insts {
            if let Inst::Load { view, .. } = inst {
                *view = View { offset: 0, strides: vec![1, 0], guards: vec![] };
            }
        }
        let shape = [self.len / Self::BLOCK, Self::BLOCK];
        let gradient = |i: usize| {
            let g = Approx::exact(operands.reads[0][i]);
            if self.clipped { g * Approx::exact(operands.reads[2][1]) } else { g }
        };
        run(&body, &shape, gradient, operands, writes);
    }
}
