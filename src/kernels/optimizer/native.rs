//! Parameter update on the CPU: the rule's body over the flat region.
#![allow(unsafe_code, reason = "parts of the parameter region are written in place")]

use super::Optimizer;
use crate::device::cpu::memory::Operands;
use crate::device::cpu::pool::{Pool, part_range, parts_for};
use crate::kernels::native::NativeRun;
use crate::scalar::native::{Inputs, NativeBody};
use crate::scalar::{Body, Inst, StepRecord, View};

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
        let mut body: Body = kernel.body.clone();
        for inst in &mut body.insts {
            if let Inst::Load { view, .. } = inst {
                *view = View { offset: 0, strides: vec![1, 0], guards: vec![] };
            }
        }
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
            let scale = if self.kernel.clipped { operands.read(2)[1] } else { 1.0 };
            let reads = [operands.read(0), operands.read(1)];
            let mut outputs: [&mut [f32]; 8] = std::array::from_fn(|_| Default::default());
            let count = self.kernel.slots + 1;
            for (output, slot) in outputs[..count].iter_mut().enumerate() {
                // SAFETY: parts have disjoint ranges of the region.
                *slot = unsafe { operands.write(output, range.start, range.len()) };
            }
            let inputs = Inputs { reads: &reads, step, accumulator: gradients, scale };
            Pool::with_scratch(|scratch, _| {
                self.body.run(&inputs, range.start, range.len(), &mut outputs[..count], scratch);
            });
        });
    }
}
