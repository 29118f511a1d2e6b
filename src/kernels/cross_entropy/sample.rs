//! Samples and benchmarks of cross-entropy; some labels are out of range.

use super::CrossEntropy;
use crate::kernels::samples::{Draw, Operand, Sample};

pub(super) fn cross_entropy(draw: &mut Draw) -> Sample {
    let (rows, classes) = (draw.extent(), draw.extent());
    let smoothing = draw.choice(&[0.0f32, 0.1]).to_bits();
    let weights = draw.normals(classes).iter().map(|w| 0.5 + w.abs()).collect();
    // Some labels are out of range.
    let labels = if draw.one_in(4) { classes + 1 } else { classes };
    let reads = vec![draw.floats(rows * classes), draw.integers(rows, labels), Operand::Floats(weights)];
    let (loss, delta) = draw.choice(&[(Some(0), Some(1)), (Some(0), None), (None, Some(0))]);
    let mut writes = vec![];
    if loss.is_some() {
        writes.push(Operand::unwritten(rows));
    }
    if delta.is_some() {
        writes.push(Operand::unwritten(rows * classes));
    }
    let kernel = CrossEntropy { rows, classes, smoothing, loss, delta };
    draw.sample(kernel, reads, writes)
}

pub(super) fn benchmarks() -> Vec<CrossEntropy> {
    let (smoothing, loss, delta) = (0, Some(0), Some(1));
    let kernel = |(rows, classes)| CrossEntropy { rows, classes, smoothing, loss, delta };
    [(32, 10), (1024, 1000)].map(kernel).to_vec()
}
