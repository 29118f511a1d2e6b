//! What attention and its gradient compute.

use super::{Attention, AttentionGrad, Form};
use crate::base::step::StepRecord;
use crate::kernels::oracle::Operands;
use crate::oracle::Approx;
use crate::oracle::attention::Given;

impl Form {
    /// The formulas' operands, with queries, keys and values from read operand `first` on.
    fn given<'a>(&self, reads: &'a [Vec<f64>], first: usize, factor: &'a dyn Fn(usize) -> f64) -> Given<'a> {
        let [q, k, v] = self.operands(first).map(|at| reads[at].as_slice());
        let lengths = self.lengths.then(|| reads[reads.len() - 1].as_slice());
        Given { sizes: self.sizes, scale: f64::from(self.scale()), q, k, v, lengths, factor }
    }

    /// The factor that dropout gives a pair, by its element in `[B, H, T, S]`.
    fn factor(&self, step: &StepRecord) -> impl Fn(usize) -> f64 {
        let (form, step) = (*self, *step);
        move |pair| f64::from(form.dropout.map_or(1.0, |dropout| dropout.of_pair(&form.sizes, &step, pair)))
    }
}

/// Puts results where they are wanted.
fn put(outputs: [Option<usize>; 2], results: [Vec<Approx>; 2], writes: &mut [Vec<Approx>]) {
    for (output, result) in outputs.into_iter().zip(results) {
        if let Some(output) = output {
            writes[output] = result;
        }
    }
}

impl Attention {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let factor = self.form.factor(operands.step);
        let given = self.form.given(operands.reads, 0, &factor);
        put(self.outputs, given.attention(), writes);
    }
}

impl AttentionGrad {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let factor = self.form.factor(operands.step);
        let given = self.form.given(operands.reads, 1, &factor);
        let next = 1 + self.form.words().len();
        let [dy, log_sums, products] = [0, next, next + 1].map(|at| operands.reads[at].as_slice());
        put(self.outputs, given.gradient(dy, log_sums, products), writes);
    }
}
