//! Random augmentations of images.

use std::ops::Range;

use super::{Augment, Changes};
use crate::kernels::samples::{Draw, Operand, Sample};
use crate::kernels::storage::Storage;

pub(super) fn augment(draw: &mut Draw) -> Sample {
    let shape = [1 + draw.below(3), 1 + draw.below(12), 1 + draw.below(12)];
    let (batch, rows, batches) = (1 + draw.below(6), 1 + draw.below(9), 1 + draw.below(3));
    let sometimes = |draw: &mut Draw, value: f32| if draw.one_in(2) { value.to_bits() } else { 0 };
    let changes = Changes {
        flip_horizontal: draw.one_in(2),
        flip_vertical: draw.one_in(2),
        shift: draw.below(4) as u32,
        rotation: sometimes(draw, 3.0),
        brightness: sometimes(draw, 0.5),
        contrast: sometimes(draw, 0.75),
        cutout: draw.below(6) as u32,
    };
    let noise = sometimes(draw, 0.25);
    let fill = (0..shape[0]).map(|c| (c as f32 - 0.5).to_bits()).collect();
    let values = shape.iter().product();
    let bytes = draw.one_in(2);
    let storage = if bytes { Storage::Bytes { plane: values / shape[0] } } else { Storage::Words };
    let start = draw.below(rows);
    let only = draw.one_in(3).then(|| start..start + 1 + draw.below(rows - start));
    let held = only.as_ref().map_or(rows, Range::len);
    let kernel = Augment { batch, shape, changes, fill, stream: 4, noise, noise_stream: 2, storage, only };
    let words = held * kernel.words();
    let mut reads = vec![draw.integers(batch * batches, rows)];
    match bytes {
        true => reads.extend([draw.words(words), draw.floats(storage.entries(values))]),
        false => reads.push(draw.floats(words)),
    }
    let first = draw.below(batches) * batch;
    let mut sample = draw.sample(kernel, reads, vec![Operand::unwritten(batch * values)]);
    sample.step.batch_start = first as u32;
    sample
}

pub(super) fn benchmarks() -> Vec<Augment> {
    vec![pictures(64, [1, 28, 28], 0.0), pictures(128, [3, 32, 32], 0.17)]
}

/// Images that are flipped, shifted, and rotated by up to `rotation` radians.
fn pictures(images: usize, shape: [usize; 3], rotation: f32) -> Augment {
    let changes =
        Changes { flip_horizontal: true, shift: 2, rotation: rotation.to_bits(), ..Changes::default() };
    let fill = vec![0; shape[0]];
    let (storage, only) = (Storage::Bytes { plane: shape[1] * shape[2] }, None);
    Augment { batch: images, shape, changes, fill, stream: 9, noise: 0, noise_stream: 8, storage, only }
}
