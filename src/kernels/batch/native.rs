//! Batch assembly on the CPU.
#![allow(unsafe_code, reason = "writes its outputs in parts")]

use std::ops::Range;

use super::{Batch, BatchColumn};
use crate::base::rng;
use crate::base::rng::RandomKind;
use crate::base::step::StepRecord;
use crate::kernels::native::NativeRun;
use crate::kernels::storage::{Storage, place};
use crate::native::operands::Operands;
use crate::native::parts::{part_range, parts_for};
use crate::native::pool::Pool;
use crate::scalar::exact::{add, mul};

/// Elements whose noise is drawn at once.
const DRAWN: usize = 256;

impl NativeRun for Batch {
    fn run(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        self.assemble(operands, step, pool, |x, deviation, z| x + deviation * z);
    }
}

/// Batch assembly in exact mode: the shader's operations in the same order.
pub struct Exact(pub Batch);

impl NativeRun for Exact {
    fn run(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        self.0.assemble(operands, step, pool, |x, deviation, z| add(x, mul(deviation, z)));
    }
}

impl Batch {
    /// Copies the rows; `disturbed` is an element, the deviation of its noise and a normal number as one.
    fn assemble(
        &self,
        operands: &Operands,
        step: &StepRecord,
        pool: &Pool,
        disturbed: impl Fn(f32, f32, f32) -> f32,
    ) {
        let first = step.batch_start as usize;
        let order = &operands.read_words(0)[first..first + self.batch];
        for (block, column) in self.columns.iter().enumerate() {
            let source = operands.read_words(1 + block);
            let table = self.table(block).map_or(&[][..], |operand| operands.read(operand));
            let values = self.batch * column.width;
            let parts = match column.storage {
                // Copied at once, but each thread is to have the rows in its caches that it computes with.
                Storage::Words => (values >> 14).clamp(1, 16).min(self.batch.max(1)),
                Storage::Bytes { .. } => parts_for(values, self.batch),
            };
            pool.run(parts, |part| {
                for at in part_range(self.batch, parts, part) {
                    let Some(row) = place(column.only.as_ref(), order[at]) else { continue };
                    let words = &source[row * column.stride + column.offset..][..column.row_words()];
                    // SAFETY: each row is written by exactly one part.
                    let out = unsafe { operands.write(block, at * column.width, column.width) };
                    column.storage.read(words, table, out);
                }
            });
            let deviation = f32::from_bits(column.noise);
            if deviation == 0.0 {
                continue;
            }
            let count = self.batch * column.width;
            let mut noise = [0.0; DRAWN];
            for rows in there(column, order) {
                let start = rows.start * column.width;
                // SAFETY: the rows are written, and each is in one range.
                let out = unsafe { operands.write(block, start, rows.len() * column.width) };
                for (part, out) in out.chunks_mut(DRAWN).enumerate() {
                    let noise = &mut noise[..out.len()];
                    let number = step.element(start + DRAWN * part, count);
                    rng::fill(RandomKind::Normal, step, column.stream, number, noise);
                    out.iter_mut().zip(noise).for_each(|(x, z)| *x = disturbed(*x, deviation, *z));
                }
            }
        }
    }
}

/// The ranges of rows of the batch that the operand holds.
fn there(column: &BatchColumn, order: &[u32]) -> Vec<Range<usize>> {
    match &column.only {
        None => std::iter::once(0..order.len()).collect(),
        Some(rows) => {
            let held = (0..order.len()).filter(|&at| place(Some(rows), order[at]).is_some());
            held.map(|at| at..at + 1).collect()
        }
    }
}
