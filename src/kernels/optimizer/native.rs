//! Parameter update on the CPU: the rule's body over the flat region.
#![allow(unsafe_code, reason = "parts of the parameter region are written in place")]

use super::Optimizer;
use crate::device::cpu::memory::Operands;
use crate::device::cpu::pool::{Pool, part_range, parts_for};
use crate::kernels::native::NativeRun;
use crate::scalar::native::{Inputs, NativeBody};
use crate::scalar::{BinaryFn, Body, Inst, Reg, StepRecord, View};

/// A prepared update.
pub struct NativeOptimizer {
    body: NativeBody,
    kernel: Optimizer,
    parts: usize,
}

impl NativeOptimizer {
    /// Prepares `kernel`.
    pub fn new(kernel: &Optimizer) -> Self {
        // The decay mask has one element per block: a view over [blocks, BLOCK].
        let shape = [kernel.len / Optimizer::BLOCK, Optimizer::BLOCK];
        let body = update_body(kernel);
        let cost = kernel.len * body.insts.len() / 6;
        let parts = parts_for(cost, kernel.len / 1024);
        Self { body: NativeBody::new(&body, &shape), kernel: kernel.clone(), parts }
    }
}

impl NativeRun for NativeOptimizer {
    fn run(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        pool.run(self.parts, |part| {
            let range = part_range(self.kernel.len, self.parts, part);
            let gradients = &operands.read(0)[range.clone()];
            let factor = if self.kernel.clipped { operands.read(2) } else { &[] };
            let reads = [operands.read(0), operands.read(1), factor];
            let mut outputs: [&mut [f32]; 8] = std::array::from_fn(|_| Default::default());
            let count = self.kernel.slots + 1;
            for (output, slot) in outputs[..count].iter_mut().enumerate() {
                // SAFETY: parts have disjoint ranges of the region.
                *slot = unsafe { operands.write(output, range.start, range.len()) };
            }
            let inputs = Inputs { reads: &reads, step, accumulator: gradients };
            Pool::with_scratch(|scratch| {
                self.body.run(&inputs, range.start, range.len(), &mut outputs[..count], scratch);
            });
        });
    }
}

/// The rule over `[blocks, BLOCK]`, with the clipping factor applied to the gradient.
fn update_body(kernel: &Optimizer) -> Body {
    let mut body = Body::default();
    let mut gradient = body.push(Inst::Accumulator);
    if kernel.clipped {
        let view = View { offset: 1, strides: vec![0, 0], guards: vec![] };
        let factor = body.push(Inst::Load { operand: 2, view });
        gradient = body.push(Inst::Binary(BinaryFn::Mul, gradient, factor));
    }
    let mut registers: Vec<Reg> = vec![];
    for inst in &kernel.body.insts {
        let of = |register: &Reg| registers[*register as usize];
        let register = match inst {
            Inst::Accumulator => gradient,
            Inst::Load { operand, .. } => {
                let view = View { offset: 0, strides: vec![1, 0], guards: vec![] };
                body.push(Inst::Load { operand: *operand, view })
            }
            Inst::Unary(f, a) => body.push(Inst::Unary(*f, of(a))),
            Inst::Binary(f, a, b) => body.push(Inst::Binary(*f, of(a), of(b))),
            Inst::Select(c, a, b) => body.push(Inst::Select(of(c), of(a), of(b))),
            other => body.push(other.clone()),
        };
        registers.push(register);
    }
    body.stores = kernel.body.stores.iter().map(|&(r, output)| (registers[r as usize], output)).collect();
    body
}
