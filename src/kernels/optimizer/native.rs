//! Parameter updates on the CPU: the rule's body over the flat region, or a loop of its own.
#![allow(unsafe_code, reason = "parts of the parameter region are written in place")]

use std::ops::Range;

use super::Optimizer;
use super::moments::Moments;
use crate::base::step::StepRecord;
use crate::kernels::native::NativeRun;
use crate::native::operands::Operands;
use crate::native::parts::{part_range, parts_for};
use crate::native::pool::Pool;
use crate::scalar::native::{Inputs, NativeBody};

/// A prepared update.
pub struct NativeOptimizer {
    body: NativeBody,
    /// The body as one loop.
    moments: Option<Moments>,
    kernel: Optimizer,
    parts: usize,
}

impl NativeOptimizer {
    /// Prepares `kernel`.
    pub fn new(kernel: &Optimizer, exact: bool) -> Self {
        // The decay mask has one element per block: a view over [blocks, BLOCK].
        let shape = [kernel.len / Optimizer::BLOCK, Optimizer::BLOCK];
        let body = kernel.whole_body();
        let moments = if exact { None } else { Moments::of(kernel) };
        // Nanoseconds.
        let cost = if moments.is_some() { kernel.len / 3 } else { kernel.len * body.insts.len() / 6 };
        let parts = parts_for(cost, kernel.len / 1024);
        Self { body: NativeBody::new(&body, &shape).exact(exact), moments, kernel: kernel.clone(), parts }
    }
}

impl NativeOptimizer {
    /// The blocks of a part: as much of each range between cuts.
    fn blocks(&self, part: usize) -> impl Iterator<Item = Range<usize>> {
        let all = self.kernel.len / Optimizer::BLOCK;
        let cuts = self.kernel.cuts.iter().map(|cut| cut / Optimizer::BLOCK);
        let (starts, ends) = (std::iter::once(0).chain(cuts.clone()), cuts.chain([all]));
        starts.zip(ends).map(move |(start, end)| {
            let own = part_range(end - start, self.parts, part);
            start + own.start..start + own.end
        })
    }

    fn update(&self, operands: &Operands, step: &StepRecord, blocks: Range<usize>) {
        let range = blocks.start * Optimizer::BLOCK..blocks.end * Optimizer::BLOCK;
        let gradients = &operands.read(0)[range.clone()];
        let count = 2 + usize::from(self.kernel.clipped) + usize::from(self.kernel.grouped);
        let reads: [&[f32]; 4] =
            std::array::from_fn(|at| if at < count { operands.read(at) } else { Default::default() });
        let mut outputs: [&mut [f32]; 8] = std::array::from_fn(|_| Default::default());
        let count = self.kernel.slots + 1;
        for (output, slot) in outputs[..count].iter_mut().enumerate() {
            // SAFETY: parts have disjoint ranges of the region.
            *slot = unsafe { operands.write(output, range.start, range.len()) };
        }
        if let (Some(moments), [parameters, means, squares, ..]) = (&self.moments, &mut outputs) {
            let factor = self.kernel.clipped.then(|| reads[2][1]);
            moments.run(step, gradients, &reads[1][blocks], factor, [parameters, means, squares]);
            return;
        }
        let inputs = Inputs { reads: &reads, step, accumulator: gradients };
        Pool::with_scratch(|scratch| {
            self.body.run(&inputs, range.start, range.len(), &mut outputs[..count], scratch);
        });
        // Subnormal numbers take processors many times as long, and running means of gradients that have become zero
        // would stay subnormal for good.
        for state in &mut outputs[1..count] {
            state.iter_mut().for_each(|x| *x = if x.abs() < f32::MIN_POSITIVE { 0.0 } else { *x });
        }
    }
}

impl NativeRun for NativeOptimizer {
    fn run(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        pool.run(self.parts, |part| {
            for blocks in self.blocks(part).filter(|blocks| !blocks.is_empty()) {
                self.update(operands, step, blocks);
            }
        });
    }
}
