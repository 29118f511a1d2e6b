//! Cross-entropy, row by row.

use super::CrossEntropy;
use crate::kernels::oracle::Operands;
use crate::oracle::Approx;
use crate::oracle::cross_entropy::Row;

impl CrossEntropy {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let [logits, labels, weights] = [0, 1, 2].map(|i| &operands.reads[i]);
        let smoothing = f64::from(f32::from_bits(self.smoothing));
        let rows = || {
            let rows = logits.chunks(self.classes).zip(labels);
            rows.map(|(logits, &label)| Row { logits, label: label as usize, weights, smoothing })
        };
        if let Some(output) = self.loss {
            writes[output] = rows().map(|row| row.loss()).collect();
        }
        if let Some(output) = self.delta {
            writes[output] = rows().flat_map(|row| row.gradient()).collect();
        }
    }
}
