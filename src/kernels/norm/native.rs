//! Global gradient norm on the CPU.
#![allow(unsafe_code, reason = "writes its outputs")]

use super::GradientNorm;
use crate::base::step::StepRecord;
use crate::kernels::native::NativeRun;
use crate::native::operands::Operands;
use crate::native::pool::Pool;
use crate::scalar::BinaryFn;
use crate::scalar::exact::{add, div, multiply_add, sqrt};

impl NativeRun for GradientNorm {
    fn run(&self, operands: &Operands, _step: &StepRecord, _pool: &Pool) {
        let input = operands.read(0);
        if self.stage == 0 {
            // SAFETY: the output is taken once.
            let out = unsafe { operands.write(0, 0, self.partials()) };
            for (sum, part) in out.iter_mut().zip(input[..self.len].chunks(Self::CHUNK)) {
                let mut lanes = [0.0f32; 16];
                for group in part.chunks(16) {
                    for (lane, x) in lanes.iter_mut().zip(group) {
                        *lane += x * x;
                    }
                }
                *sum = lanes.iter().sum();
            }
        } else {
            // SAFETY: the output is taken once.
            let out = unsafe { operands.write(0, 0, 2) };
            let norm = input[..self.partials()].iter().sum::<f32>().sqrt();
            out[0] = norm;
            let factor = f32::from_bits(self.max_norm) / (norm + 1e-6);
            // A NaN norm stays NaN, so that the check of the parameters detects it.
            out[1] = if factor > 1.0 { 1.0 } else { factor };
        }
    }
}

/// The norm in exact mode: the shader's operations in the same order.
pub struct Exact(pub GradientNorm);

impl NativeRun for Exact {
    fn run(&self, operands: &Operands, _step: &StepRecord, _pool: &Pool) {
        let kernel = &self.0;
        let input = operands.read(0);
        if kernel.stage == 0 {
            // SAFETY: the output is taken once.
            let out = unsafe { operands.write(0, 0, kernel.partials()) };
            for (sum, part) in out.iter_mut().zip(input[..kernel.len].chunks(GradientNorm::CHUNK)) {
                *sum = part.iter().fold(0.0, |sum, &x| multiply_add(x, x, sum));
            }
        } else {
            // SAFETY: the output is taken once.
            let out = unsafe { operands.write(0, 0, 2) };
            let norm = sqrt(input[..kernel.partials()].iter().fold(0.0, |sum, &x| add(sum, x)));
            let factor = div(f32::from_bits(kernel.max_norm), add(norm, 1e-6));
            out[0] = norm;
            out[1] = if norm.is_nan() { norm } else { BinaryFn::Min.exact(factor, 1.0) };
        }
    }
}
