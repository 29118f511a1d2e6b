//! Samples and benchmarks of stored values.

use super::{Store, Stored};
use crate::kernels::samples::{Draw, Sample};

pub(super) fn store(draw: &mut Draw) -> Sample {
    let count = 1 + draw.below(3);
    let mut value = || Stored {
        words: draw.extent(),
        parts: if draw.below(2) == 0 { 1 } else { 1 + draw.below(9) },
        by_step: draw.below(2) == 0,
    };
    let values: Vec<Stored> = (0..count).map(|_| value()).collect();
    let slots = 1 + draw.below(4);
    let reads = values.iter().map(|stored| draw.floats(stored.read())).collect();
    let places = |stored: &Stored| if stored.by_step { slots * stored.words } else { stored.words };
    let writes = values.iter().map(|stored| draw.floats(places(stored))).collect();
    let slot = draw.below(slots) as u32;
    let mut sample = draw.sample(Store { values }, reads, writes);
    sample.step.slot = slot;
    sample
}

pub(super) fn benchmarks() -> Vec<Store> {
    let sum = |words, parts| Stored { words, parts, by_step: false };
    vec![
        Store { values: vec![Stored::result(1)] },
        Store { values: vec![sum(18_432, 8), sum(64, 8), Stored { parts: 32, ..Stored::result(1) }] },
    ]
}
