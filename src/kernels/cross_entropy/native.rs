//! Softmax cross-entropy on the CPU, row by row.
#![allow(unsafe_code, reason = "rows are written in parts")]

use super::CrossEntropy;
use crate::base::step::StepRecord;
use crate::kernels::native::NativeRun;
use crate::native::operands::Operands;
use crate::native::parts::{part_range, parts_for};
use crate::native::pool::{Pool, grown};
use crate::scalar::exact::{add, div, exp, mul, sub};
use crate::scalar::native::rows;

impl NativeRun for CrossEntropy {
    fn run(&self, operands: &Operands, _step: &StepRecord, pool: &Pool) {
        let parts = parts_for(self.rows * self.classes * 4, self.rows);
        pool.run(parts, |part| {
            let [mut buffer] = Pool::take_buffers();
            let log_p = grown(&mut buffer, self.classes);
            for row in part_range(self.rows, parts, part) {
                self.row(operands, row, log_p);
            }
            Pool::return_buffers([buffer]);
        });
    }
}

impl CrossEntropy {
    fn row(&self, operands: &Operands, row: usize, log_p: &mut [f32]) {
        let classes = self.classes;
        let logits = &operands.read(0)[row * classes..(row + 1) * classes];
        let label = operands.read_words(1)[row] as usize;
        let weights = operands.read(2);
        let log_total = rows::shifted(logits, log_p);
        rows::subtract(log_p, log_total);
        let smoothing = f32::from_bits(self.smoothing);
        let spread = smoothing / classes as f32;
        let target = |c: usize| {
            let hit = if c == label { 1.0 - smoothing } else { 0.0 };
            weights[c] * (hit + spread)
        };
        let known = label < classes;
        if let Some(output) = self.loss {
            // SAFETY: each row is computed by one part.
            let loss = unsafe { operands.write(output, row, 1) };
            let sum = log_p.iter().enumerate().map(|(c, l)| -l * target(c)).sum();
            loss[0] = if known { sum } else { f32::NAN };
        }
        if let Some(output) = self.delta {
            let total: f32 = (0..classes).map(target).sum();
            // SAFETY: each row is computed by one part.
            let delta = unsafe { operands.write(output, row * classes, classes) };
            rows::exponential(log_p, 0.0);
            for (c, (d, p)) in delta.iter_mut().zip(log_p.iter()).enumerate() {
                *d = if known { p * total - target(c) } else { f32::NAN };
            }
        }
    }
}

/// Cross-entropy in exact mode: the shader's operations in the same order.
pub struct Exact(pub CrossEntropy);

impl NativeRun for Exact {
    fn run(&self, operands: &Operands, _step: &StepRecord, _pool: &Pool) {
        let CrossEntropy { rows, classes, smoothing, loss, delta } = self.0;
        let smoothing = f32::from_bits(smoothing);
        let spread = div(smoothing, classes as f32);
        let weights = operands.read(2);
        for row in 0..rows {
            let x = &operands.read(0)[row * classes..(row + 1) * classes];
            let label = operands.read_words(1)[row] as usize;
            let wanted = |c: usize| {
                let hit = if c == label { 1.0 - smoothing } else { 0.0 };
                mul(weights[c], add(hit, spread))
            };
            let (largest, log_total) = rows::exact_log_sum(x);
            let log_p = |c: usize| sub(sub(x[c], largest), log_total);
            let sum = (0..classes).fold(0.0, |sum, c| sub(sum, mul(wanted(c), log_p(c))));
            let weight = (0..classes).fold(0.0, |sum, c| add(sum, wanted(c)));
            let known = label < classes;
            if let Some(output) = loss {
                // SAFETY: each row is written once.
                let loss = unsafe { operands.write(output, row, 1) };
                loss[0] = if known { sum } else { f32::NAN };
            }
            if let Some(output) = delta {
                // SAFETY: each row is written once.
                let delta = unsafe { operands.write(output, row * classes, classes) };
                for (c, d) in delta.iter_mut().enumerate() {
                    *d = if known { sub(mul(exp(log_p(c)), weight), wanted(c)) } else { f32::NAN };
                }
            }
        }
    }
}
