//! Values put in place on the CPU.
#![allow(unsafe_code, reason = "values are written in parts")]

use super::{Store, Stored};
use crate::base::step::StepRecord;
use crate::kernels::native::NativeRun;
use crate::native::operands::Operands;
use crate::native::parts::{part_range, parts_for};
use crate::native::pool::Pool;
use crate::scalar::exact::add;

/// A prepared kernel.
pub struct NativeStore {
    values: Vec<Stored>,
    exact: bool,
}

impl NativeStore {
    /// Prepares `kernel`.
    pub fn new(kernel: &Store, exact: bool) -> Self {
        Self { values: kernel.values.clone(), exact }
    }
}

impl NativeRun for NativeStore {
    fn run(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        for (i, stored) in self.values.iter().enumerate() {
            let start = if stored.by_step { step.slot as usize * stored.words } else { 0 };
            let threads = parts_for(stored.read(), stored.words);
            pool.run(threads, |thread| {
                let range = part_range(stored.words, threads, thread);
                // SAFETY: each word belongs to one thread's range.
                let sums = unsafe { operands.write(i, start + range.start, range.len()) };
                let mut parts =
                    operands.read(i).chunks_exact(stored.words.max(1)).map(|part| &part[range.clone()]);
                if let Some(first) = parts.next() {
                    sums.copy_from_slice(first);
                }
                for part in parts.take(stored.parts - 1) {
                    for (sum, &value) in sums.iter_mut().zip(part) {
                        *sum = if self.exact { add(*sum, value) } else { *sum + value };
                    }
                }
            });
        }
    }
}
