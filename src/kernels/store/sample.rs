//! Samples and benchmarks of stored results.

use super::Store;
use crate::kernels::samples::{Draw, Sample};

pub(super) fn store(draw: &mut Draw) -> Sample {
    let widths: Vec<usize> = (0..1 + draw.below(3)).map(|_| draw.extent()).collect();
    let slots = 1 + draw.below(4);
    let reads = widths.iter().map(|&w| draw.floats(w)).collect();
    let writes = widths.iter().map(|&w| draw.floats(slots * w)).collect();
    let slot = draw.below(slots) as u32;
    let mut sample = draw.sample(Store { widths }, reads, writes);
    sample.step.slot = slot;
    sample
}

pub(super) fn benchmarks() -> Vec<Store> {
    vec![Store { widths: vec![1] }]
}
