//! Softmax, row by row.

use super::Softmax;
use crate::kernels::oracle::Operands;
use crate::oracle::Approx;
use crate::oracle::softmax::{log_softmax, softmax};

impl Softmax {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let of_row = if self.log { log_softmax } else { softmax };
        writes[0] = operands.reads[0].chunks(self.columns).flat_map(of_row).collect();
    }
}
