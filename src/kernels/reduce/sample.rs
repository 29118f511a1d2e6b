//! Samples and benchmarks of reductions.

use super::Reduce;
use crate::base::tensor::elements;
use crate::kernels::samples::{Draw, Sample};
use crate::scalar::{Body, Inst, ReduceKind};
use crate::scalar::{UnaryFn, View};

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

/// Sizes from small tables to large networks.
pub(super) fn benchmarks() -> Vec<Reduce> {
    let mut kernels = vec![];
    for kind in [ReduceKind::Sum, ReduceKind::Max] {
        kernels.extend([rows(kind, 32, 128, None), rows(kind, 4096, 512, None)]);
    }
    kernels.push(rows(ReduceKind::Sum, 1, 1 << 20, Some(1024)));
    kernels.extend([columns(32, 128), columns(4096, 512)]);
    kernels
}

/// The sum of squares or the maximum over the last axis of `[kept, reduced]`.
fn rows(kind: ReduceKind, kept: usize, reduced: usize, chunk: Option<usize>) -> Reduce {
    let shape = [kept, reduced];
    let mut prologue = Body::default();
    let x = prologue.push(Inst::Load { operand: 0, view: View::contiguous(&shape) });
    let value = match kind {
        ReduceKind::Sum => prologue.push(Inst::Unary(UnaryFn::Square, x)),
        ReduceKind::Max => x,
    };
    let mut epilogue = Body::default();
    let total = epilogue.push(Inst::Accumulator);
    epilogue.stores.push((total, 0));
    Reduce { kind, kept: vec![kept], reduced: vec![reduced], prologue, value, chunk, epilogue }
}

/// The sum over rows of `[rows, columns]`: the gradient of a bias.
fn columns(rows: usize, columns: usize) -> Reduce {
    let mut prologue = Body::default();
    let view = View { offset: 0, strides: vec![1, columns as isize], guards: vec![] };
    let value = prologue.push(Inst::Load { operand: 0, view });
    let mut epilogue = Body::default();
    let total = epilogue.push(Inst::Accumulator);
    epilogue.stores.push((total, 0));
    let (kept, reduced) = (vec![columns], vec![rows]);
    Reduce { kind: ReduceKind::Sum, kept, reduced, prologue, value, chunk: None, epilogue }
}
