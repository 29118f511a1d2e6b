//! Samples and benchmarks of batch assembly.

use super::{Batch, BatchColumn};
use crate::kernels::samples::{Draw, Operand, Sample};

pub(super) fn batch(draw: &mut Draw) -> Sample {
    let (rows, batch) = (draw.extent(), draw.extent());
    let batches = 1 + draw.below(3);
    let mut reads = vec![draw.integers(batch * batches, rows)];
    let mut columns = vec![];
    let mut writes = vec![];
    for stream in 0..1 + draw.below(3) as u32 {
        let width = draw.extent();
        let noise = if draw.one_in(2) { 0.25f32.to_bits() } else { 0 };
        // Overlapping windows, or plain rows.
        let (stride, offset) = if draw.one_in(2) { (draw.extent(), draw.below(9)) } else { (width, 0) };
        let column = BatchColumn { width, stride, offset, noise, stream };
        reads.push(draw.floats(column.words(rows)));
        columns.push(column);
        writes.push(Operand::unwritten(batch * width));
    }
    let first = draw.below(batches) * batch;
    let mut sample = draw.sample(Batch { batch, columns }, reads, writes);
    sample.step.batch_start = first as u32;
    sample
}

pub(super) fn benchmarks() -> Vec<Batch> {
    vec![table(32, 64, 0.0), table(32, 64, 0.05), table(1024, 64, 0.05)]
}

/// Rows of a block of features, with noise if `noise` is not 0, and of a target.
fn table(rows: usize, features: usize, noise: f32) -> Batch {
    let block =
        |width, noise: f32| BatchColumn { noise: noise.to_bits(), stream: 9, ..BatchColumn::rows(width) };
    Batch { batch: rows, columns: vec![block(features, noise), block(1, 0.0)] }
}
