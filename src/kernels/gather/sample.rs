//! Samples and benchmarks of gathering rows; some indices are out of range.

use super::{Gather, GatherGrad};
use crate::kernels::samples::{Draw, Operand, Sample};

pub(super) fn gather(draw: &mut Draw) -> Sample {
    let (vocabulary, width, count) = (draw.extent(), draw.extent(), draw.extent());
    // Some indices are out of range.
    let limit = if draw.one_in(4) { vocabulary + 1 } else { vocabulary };
    let reads = vec![draw.floats(vocabulary * width), draw.integers(count, limit)];
    let writes = vec![Operand::unwritten(count * width)];
    draw.sample(Gather { vocabulary, width, count }, reads, writes)
}

pub(super) fn gather_grad(draw: &mut Draw) -> Sample {
    let (vocabulary, width, count) = (draw.extent(), draw.extent(), draw.extent());
    let limit = if draw.one_in(4) { vocabulary + 1 } else { vocabulary };
    let reads = vec![draw.integers(count, limit), draw.floats(count * width)];
    let writes = vec![Operand::unwritten(vocabulary * width)];
    draw.sample(GatherGrad { vocabulary, width, count }, reads, writes)
}

pub(super) fn benchmarks() -> Vec<Gather> {
    vec![Gather { vocabulary: 10_000, width: 64, count: 4096 }]
}

pub(super) fn gradient_benchmarks() -> Vec<GatherGrad> {
    vec![
        GatherGrad { vocabulary: 7, width: 4, count: 64 },
        GatherGrad { vocabulary: 1000, width: 64, count: 256 },
        GatherGrad { vocabulary: 100, width: 64, count: 6400 },
    ]
}
