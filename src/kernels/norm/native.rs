//! Global gradient norm on the CPU.
#![allow(unsafe_code, reason = "writes its outputs")]

use super::GradientNorm;
use crate::base::step::StepRecord;
use crate::kernels::native::NativeRun;
use crate::native::operands::Operands;
use crate::native::pool::Pool;

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
            // A NaN norm stays NaN and so reaches the parameters' check.
            out[1] = if factor > 1.0 { 1.0 } else { factor };
        }
    }
}
