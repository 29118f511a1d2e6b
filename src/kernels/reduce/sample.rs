//! Samples of reductions.

use super::Reduce;
use crate::base::tensor::elements;
use crate::kernels::samples::{Draw, Sample};
use crate::scalar::{Body, Inst, ReduceKind};

pub(super) fn reduce(draw: &mut Draw) -> Sample {
    let kept_rank = draw.below(3);
    let kept = draw.shape(kept_rank, 2000);
    let reduced_rank = 1 + draw.below(2);
    let reduced = draw.shape(reduced_rank, (Draw::LIMIT / elements(&kept)).max(1));
    let kind = draw.choice(&[ReduceKind::Sum, ReduceKind::Sum, ReduceKind::Max]);
    let chunk = draw.one_in(4).then(|| draw.extent());
    let shape: Vec<usize> = kept.iter().chain(&reduced).copied().collect();
    let mut reads = vec![];
    let (prologue, value) = draw.body(&shape, &[], &mut reads);
    let mut kernel = Reduce { kind, kept, reduced, prologue, value, chunk, epilogue: Body::default() };
    let output_shape = kernel.output_shape();
    let mut start = vec![Inst::Accumulator];
    let writes = vec![draw.output(elements(&output_shape), &mut start)];
    let (mut epilogue, last) = draw.body(&output_shape, &start, &mut reads);
    epilogue.stores.push((last, 0));
    kernel.epilogue = epilogue;
    draw.sample(kernel, reads, writes)
}
