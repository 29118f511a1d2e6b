//! Scalar bodies, element by element, with running error bounds.
#![allow(clippy::needless_range_loop, reason = "plain loops over indices are the point of the oracle")]

use super::{Approx, FUNCTION, Operands, ROUNDOFF};
use crate::base::rng;
use crate::base::tensor::elements;
use crate::kernels::optimizer::Optimizer;
use crate::kernels::pointwise::Pointwise;
use crate::scalar::{BinaryFn, Body, Inst, Reg, UnaryFn, View};

/// The index of element `linear` of `shape`.
pub(super) fn index_of(shape: &[usize], linear: usize) -> Vec<usize> {
    let mut rest = linear;
    let mut index = vec![0; shape.len()];
    for d in (0..shape.len()).rev() {
        index[d] = rest % shape[d];
        rest /= shape[d];
    }
    index
}

/// All registers of `body` for element `linear` of `shape`; `load` gives element `view(index)` of an operand.
pub(super) fn registers(
    body: &Body,
    shape: &[usize],
    linear: usize,
    accumulator: Approx,
    operands: &Operands,
) -> Vec<Approx> {
    let index = index_of(shape, linear);
    let mut values: Vec<Approx> = vec![];
    for inst in &body.insts {
        let of = |register: &Reg| values[*register as usize];
        let value = match inst {
            Inst::Load { operand, view } => load(&operands.reads[*operand], view, &index),
            Inst::Accumulator => accumulator,
            Inst::Previous { output } => Approx::exact(operands.previous[*output][linear]),
            Inst::Const(bits) => Approx::exact(f64::from(f32::from_bits(*bits))),
            Inst::Step(scalar) => Approx::exact(f64::from(operands.step.scalar(*scalar))),
            Inst::Random { kind, stream } => Approx::exact(f64::from(rng::element(
                *kind,
                operands.step,
                *stream,
                operands.step.element(linear, elements(shape)),
            ))),
            Inst::Unary(f, a) => unary(*f, of(a)),
            Inst::Binary(f, a, b) => binary(*f, of(a), of(b)),
            Inst::Select(c, a, b) => select(of(c), of(a), of(b)),
        };
        values.push(value);
    }
    values
}

fn load(operand: &[f64], view: &View, index: &[usize]) -> Approx {
    if view.guards.iter().any(|&(d, first, end)| !(first..end).contains(&index[d])) {
        return Approx::default();
    }
    let strides = index.iter().zip(&view.strides).map(|(&i, &s)| i as isize * s);
    Approx::exact(operand[(view.offset + strides.sum::<isize>()) as usize])
}

/// `f(x)`: the operand's error is carried over by evaluating at both of its ends.
fn unary(f: UnaryFn, x: Approx) -> Approx {
    let value = f.eval(x.value);
    let ends = [x.value - x.error, x.value + x.error];
    let carried = ends.map(|end| difference(f.eval(end), value));
    let own = match f {
        UnaryFn::Neg | UnaryFn::Abs | UnaryFn::Sign | UnaryFn::Relu => 0.0,
        // Half of it is lost where the distribution function comes from 1 + erf.
        UnaryFn::Gelu => FUNCTION * (value.abs() + x.value.abs()),
        _ => FUNCTION * value.abs(),
    };
    Approx { value, error: carried[0].max(carried[1]) + own }
}

fn binary(f: BinaryFn, a: Approx, b: Approx) -> Approx {
    let value = f.eval(a.value, b.value);
    let mut carried = 0.0f64;
    for x in [a.value - a.error, a.value + a.error] {
        for y in [b.value - b.error, b.value + b.error] {
            carried = carried.max(difference(f.eval(x, y), value));
        }
    }
    let comparison = matches!(f, BinaryFn::Less | BinaryFn::LessEqual | BinaryFn::Equal);
    if comparison && a.error + b.error > 0.0 && (a.value - b.value).abs() <= a.error + b.error {
        carried = 1.0;
    }
    let own = match f {
        BinaryFn::Add | BinaryFn::Sub | BinaryFn::Mul => ROUNDOFF,
        BinaryFn::Div => 4.0 * ROUNDOFF,
        _ => 0.0,
    };
    Approx { value, error: carried }.rounded(own)
}

fn select(condition: Approx, a: Approx, b: Approx) -> Approx {
    let chosen = if condition.value != 0.0 { a } else { b };
    let uncertain = condition.error > 0.0 && condition.value.abs() <= condition.error;
    let error = if uncertain { a.error + b.error + (a.value - b.value).abs() } else { chosen.error };
    Approx { error, ..chosen }
}

/// `|a - b|`; two equal infinities or NaNs do not differ.
fn difference(a: f64, b: f64) -> f64 {
    if a == b || (a.is_nan() && b.is_nan()) { 0.0 } else { (a - b).abs() }
}

/// Runs `body` over all of `shape` and stores.
pub(super) fn run(
    body: &Body,
    shape: &[usize],
    accumulator: impl Fn(usize) -> Approx,
    operands: &Operands,
    writes: &mut [Vec<Approx>],
) {
    let all = 0..elements(shape);
    for (linear, accumulator) in all.map(|linear| (linear, accumulator(linear))) {
        let values = registers(body, shape, linear, accumulator, operands);
        for &(register, output) in &body.stores {
            writes[output][linear] = values[register as usize];
        }
    }
}

pub(super) fn pointwise(kernel: &Pointwise, operands: &Operands, writes: &mut [Vec<Approx>]) {
    run(&kernel.body, &kernel.shape, |_| Approx::exact(f64::NAN), operands, writes);
}

pub(super) fn optimizer(kernel: &Optimizer, operands: &Operands, writes: &mut [Vec<Approx>]) {
    let mut body = kernel.body.clone();
    for inst in &mut body.insts {
        if let Inst::Load { view, .. } = inst {
            *view = View { offset: 0, strides: vec![1, 0], guards: vec![] };
        }
    }
    let shape = [kernel.len / Optimizer::BLOCK, Optimizer::BLOCK];
    let gradient = |i: usize| {
        let g = Approx::exact(operands.reads[0][i]);
        if kernel.clipped { binary(BinaryFn::Mul, g, Approx::exact(operands.reads[2][1])) } else { g }
    };
    run(&body, &shape, gradient, operands, writes);
}
