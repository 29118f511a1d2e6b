//! Samples and benchmarks of elementwise bodies.

use super::Pointwise;
use crate::base::tensor::elements;
use crate::kernels::samples::{Draw, Operand, Sample};
use crate::scalar::{BinaryFn, Body, Inst, UnaryFn, View};

pub(super) fn pointwise(draw: &mut Draw) -> Sample {
    let rank = draw.below(5);
    let shape = draw.shape(rank, Draw::LIMIT);
    let mut start = vec![];
    let mut reads = vec![];
    let mut writes = vec![draw.output(elements(&shape), &mut start)];
    let (mut body, last) = draw.body(&shape, &start, &mut reads);
    body.stores.push((last, 0));
    if draw.one_in(2) {
        let other = draw.below(body.insts.len());
        body.stores.push((other as u32, 1));
        writes.push(Operand::unwritten(elements(&shape)));
    }
    draw.sample(Pointwise { shape, body }, reads, writes)
}

/// Sizes from small tables to large networks.
pub(super) fn benchmarks() -> Vec<Pointwise> {
    let mut kernels = vec![];
    for elements in [1 << 12, 1 << 20] {
        kernels.extend([UnaryFn::Relu, UnaryFn::Tanh, UnaryFn::Gelu].map(|f| unary(f, elements)));
    }
    kernels.extend([scale_and_shift(32, 128), scale_and_shift(4096, 512)]);
    kernels
}

/// `f(x)`, elementwise.
fn unary(f: UnaryFn, elements: usize) -> Pointwise {
    let shape = vec![elements];
    let mut body = Body::default();
    let load = Inst::Load { operand: 0, view: View::contiguous(&shape) };
    let x = body.push(load);
    let y = body.push(Inst::Unary(f, x));
    body.stores.push((y, 0));
    Pointwise { shape, body }
}

/// `relu(x * gain + bias)` with `gain` and `bias` of one row.
fn scale_and_shift(rows: usize, columns: usize) -> Pointwise {
    let shape = vec![rows, columns];
    let mut body = Body::default();
    let row = View { offset: 0, strides: vec![0, 1], guards: vec![] };
    let x = body.push(Inst::Load { operand: 0, view: View::contiguous(&shape) });
    let gain = body.push(Inst::Load { operand: 1, view: row.clone() });
    let bias = body.push(Inst::Load { operand: 2, view: row });
    let scaled = body.push(Inst::Binary(BinaryFn::Mul, x, gain));
    let shifted = body.push(Inst::Binary(BinaryFn::Add, scaled, bias));
    let y = body.push(Inst::Unary(UnaryFn::Relu, shifted));
    body.stores.push((y, 0));
    Pointwise { shape, body }
}
