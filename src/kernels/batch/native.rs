//! Batch assembly on the CPU.
#![allow(unsafe_code, reason = "writes its outputs")]

use super::{Batch, BatchColumn};
use crate::base::rng;
use crate::base::rng::RandomKind;
use crate::base::step::StepRecord;
use crate::kernels::native::NativeRun;
use crate::native::operands::Operands;
use crate::native::pool::Pool;
use crate::scalar::exact::{add, mul};

impl NativeRun for Batch {
    fn run(&self, operands: &Operands, step: &StepRecord, _pool: &Pool) {
        let first = step.batch_start as usize;
        let order = &operands.read_words(0)[first..first + self.batch];
        for (block, column) in self.columns.iter().enumerate() {
            let source = operands.read(1 + block);
            // SAFETY: each output is taken once.
            let out = unsafe { operands.write(block, 0, self.batch * column.width) };
            for (to, &row) in out.chunks_exact_mut(column.width.max(1)).zip(order) {
                let from = row as usize * column.stride + column.offset;
                to.copy_from_slice(&source[from..from + column.width]);
            }
            let deviation = f32::from_bits(column.noise);
            if deviation != 0.0 {
                let mut noise = [0.0; 256];
                let count = self.batch * column.width;
                for (part, out) in out.chunks_mut(noise.len()).enumerate() {
                    let noise = &mut noise[..out.len()];
                    rng::fill(
                        RandomKind::Normal,
                        step,
                        column.stream,
                        step.element(256 * part, count),
                        noise,
                    );
                    for (x, z) in out.iter_mut().zip(noise) {
                        *x += deviation * *z;
                    }
                }
            }
        }
    }
}

/// Batch assembly in exact mode: the shader's operations in the same order.
pub struct Exact(pub Batch);

impl NativeRun for Exact {
    fn run(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        let quiet = |c: &BatchColumn| BatchColumn { noise: 0, ..c.clone() };
        let copied = Batch { batch: self.0.batch, columns: self.0.columns.iter().map(quiet).collect() };
        copied.run(operands, step, pool);
        for (block, column) in self.0.columns.iter().enumerate().filter(|(_, c)| c.noise != 0) {
            // SAFETY: each output is taken once.
            let out = unsafe { operands.write(block, 0, self.0.batch * column.width) };
            let mut noise = vec![0.0; out.len()];
            rng::fill(RandomKind::Normal, step, column.stream, step.element(0, noise.len()), &mut noise);
            for (x, z) in out.iter_mut().zip(noise) {
                *x = add(*x, mul(f32::from_bits(column.noise), z));
            }
        }
    }
}
