//! Scalar bodies, element by element, with running error bounds.

use super::Pointwise;
use crate::base::rng;
use crate::base::tensor::elements;
use crate::kernels::oracle::Operands;
use crate::oracle::{Approx, Real};
use crate::scalar::{Body, Inst, Reg, View};

/// The index of element `linear` of `shape`.
fn index_of(shape: &[usize], linear: usize) -> Vec<usize> {
    let mut rest = linear;
    let mut index = vec![0; shape.len()];
    for d in (0..shape.len()).rev() {
        index[d] = rest % shape[d];
        rest /= shape[d];
    }
    index
}

/// All registers of `body` for element `linear` of `shape`; `load` gives element `view(index)` of an operand.
pub(in crate::kernels) fn registers(
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
            Inst::Random { kind, stream } => {
                let number = operands.step.element(linear, elements(shape));
                Approx::exact(f64::from(rng::element(*kind, operands.step, *stream, number)))
            }
            Inst::Unary(f, a) => of(a).unary(*f),
            Inst::Binary(f, a, b) => of(a).binary(*f, of(b)),
            Inst::Select(c, a, b) => of(c).select(of(a), of(b)),
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

/// Runs `body` over all of `shape` and stores.
pub(in crate::kernels) fn run(
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

impl Pointwise {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        run(&self.body, &self.shape, |_| Approx::exact(f64::NAN), operands, writes);
    }
}
