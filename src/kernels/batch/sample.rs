//! Samples and benchmarks of batch assembly.

use std::ops::Range;

use super::{Batch, BatchColumn};
use crate::kernels::samples::{Draw, Operand, Sample};
use crate::kernels::storage::Storage;

pub(super) fn batch(draw: &mut Draw) -> Sample {
    let (rows, batch) = (draw.extent(), draw.extent());
    let batches = 1 + draw.below(3);
    let mut reads = vec![draw.integers(batch * batches, rows)];
    let mut tables = vec![];
    let mut columns = vec![];
    let mut writes = vec![];
    for stream in 0..1 + draw.below(3) as u32 {
        let width = draw.extent();
        let noise = if draw.one_in(2) { 0.25f32.to_bits() } else { 0 };
        let storage = match draw.one_in(2) {
            true => Storage::Bytes { plane: 1 + draw.below(width + 1) },
            false => Storage::Words,
        };
        // Overlapping windows, or plain rows.
        let (stride, offset) = match draw.one_in(2) {
            true => (draw.extent(), draw.below(9)),
            false => (storage.words(width), 0),
        };
        let first = draw.below(rows);
        let only = draw.one_in(3).then(|| first..first + 1 + draw.below(rows - first));
        let held = only.as_ref().map_or(rows, Range::len);
        let column = BatchColumn { width, stride, offset, noise, stream, storage, only };
        let words = column.words(held);
        match storage {
            Storage::Words => reads.push(draw.floats(words)),
            Storage::Bytes { .. } => {
                reads.push(draw.words(words));
                tables.push(draw.floats(storage.entries(width)));
            }
        }
        columns.push(column);
        writes.push(Operand::unwritten(batch * width));
    }
    reads.extend(tables);
    let first = draw.below(batches) * batch;
    let mut sample = draw.sample(Batch { batch, columns }, reads, writes);
    sample.step.batch_start = first as u32;
    sample
}

pub(super) fn benchmarks() -> Vec<Batch> {
    let pictures = |images, width, plane| {
        let block = BatchColumn::bytes(width, plane);
        Batch { batch: images, columns: vec![block, BatchColumn::rows(1)] }
    };
    vec![
        table(32, 64, 0.0),
        table(32, 64, 0.05),
        table(1024, 64, 0.05),
        pictures(64, 784, 784),
        pictures(128, 3072, 1024),
    ]
}

/// Rows of a block of features, with noise if `noise` is not 0, and of a target.
fn table(rows: usize, features: usize, noise: f32) -> Batch {
    let block =
        |width, noise: f32| BatchColumn { noise: noise.to_bits(), stream: 9, ..BatchColumn::rows(width) };
    Batch { batch: rows, columns: vec![block(features, noise), block(1, 0.0)] }
}
