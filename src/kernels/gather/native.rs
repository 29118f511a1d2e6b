//! Gathering rows on the CPU.
#![allow(unsafe_code, reason = "writes its outputs")]

use super::{Gather, GatherGrad};
use crate::base::step::StepRecord;
use crate::kernels::native::NativeRun;
use crate::native::operands::Operands;
use crate::native::pool::Pool;
use crate::scalar::exact::add;

impl NativeRun for Gather {
    fn run(&self, operands: &Operands, _step: &StepRecord, _pool: &Pool) {
        let (table, indices) = (operands.read(0), operands.read_words(1));
        // SAFETY: the output is taken once.
        let out = unsafe { operands.write(0, 0, self.count * self.width) };
        for (row, &index) in out.chunks_exact_mut(self.width.max(1)).zip(indices) {
            let index = index as usize;
            if index < self.vocabulary {
                row.copy_from_slice(&table[index * self.width..(index + 1) * self.width]);
            } else {
                row.fill(f32::NAN);
            }
        }
    }
}

impl NativeRun for GatherGrad {
    fn run(&self, operands: &Operands, _step: &StepRecord, _pool: &Pool) {
        let (indices, gradients) = (operands.read_words(0), operands.read(1));
        // SAFETY: the output is taken once.
        let out = unsafe { operands.write(0, 0, self.vocabulary * self.width) };
        out.fill(0.0);
        for (row, &index) in gradients.chunks_exact(self.width.max(1)).zip(&indices[..self.count]) {
            let index = index as usize;
            if index < self.vocabulary {
                let sums = &mut out[index * self.width..(index + 1) * self.width];
                for (sum, x) in sums.iter_mut().zip(row) {
                    *sum += x;
                }
            }
        }
    }
}

/// The gradient of gathering in exact mode: the shader's operations in the same order.
pub struct Exact(pub GatherGrad);

impl NativeRun for Exact {
    fn run(&self, operands: &Operands, _step: &StepRecord, _pool: &Pool) {
        let GatherGrad { vocabulary, width, count } = self.0;
        let (indices, gradients) = (operands.read_words(0), operands.read(1));
        // SAFETY: the output is taken once.
        let out = unsafe { operands.write(0, 0, vocabulary * width) };
        out.fill(0.0);
        for (row, &index) in gradients.chunks_exact(width.max(1)).zip(&indices[..count]) {
            let index = index as usize;
            if index < vocabulary {
                for (sum, x) in out[index * width..(index + 1) * width].iter_mut().zip(row) {
                    *sum = add(*sum, *x);
                }
            }
        }
    }
}
