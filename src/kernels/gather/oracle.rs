//! Rows by index.

use super::{Gather, GatherGrad};
use crate::kernels::oracle::Operands;
use crate::oracle::{Approx, gather};

impl Gather {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let [table, indices] = [0, 1].map(|i| &operands.reads[i]);
        writes[0] = gather::gather(table, [self.vocabulary, self.width], indices);
    }
}

impl GatherGrad {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let [indices, dy] = [0, 1].map(|i| &operands.reads[i]);
        writes[0] = gather::gather_grad(indices, dy, [self.vocabulary, self.width]);
    }
}
