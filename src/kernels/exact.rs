//! Kernels of the CPU in exact mode that have no body to carry it: plain loops with the operations and the order
//! of the shaders in `shaders/`.
#![allow(unsafe_code, reason = "writes its outputs")]

use super::batch::Batch;
use super::cross_entropy::CrossEntropy;
use super::gather::GatherGrad;
use super::native::NativeRun;
use super::norm::GradientNorm;
use super::softmax::Softmax;
use crate::base::rng;
use crate::base::rng::RandomKind;
use crate::base::step::StepRecord;
use crate::native::operands::Operands;
use crate::native::pool::{Pool, part_range, parts_for};
use crate::scalar::BinaryFn;
use crate::scalar::exact::{add, div, exp, log, mul, multiply_add, sqrt, sub};

/// A kernel in exact mode.
pub struct Exact<K>(pub K);

/// Below every finite number but the last.
const LOWEST: f32 = -3.402_823_4e38;

impl NativeRun for Exact<Batch> {
    fn run(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        let quiet = |c: &super::batch::BatchColumn| super::batch::BatchColumn { noise: 0, ..c.clone() };
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

/// The largest of `x`, and the logarithm of the sum of `e^(x - largest)`.
fn log_sum(x: &[f32]) -> (f32, f32) {
    let largest = x.iter().fold(LOWEST, |a, &b| BinaryFn::Max.exact(a, b));
    (largest, log(x.iter().fold(0.0, |total, &x| add(total, exp(sub(x, largest))))))
}

impl NativeRun for Exact<Softmax> {
    fn run(&self, operands: &Operands, _step: &StepRecord, pool: &Pool) {
        let Softmax { rows, columns, log } = self.0;
        let parts = parts_for(rows * columns * 10, rows);
        pool.run(parts, |part| {
            let range = part_range(rows, parts, part);
            let logits = &operands.read(0)[range.start * columns..range.end * columns];
            // SAFETY: parts have disjoint rows.
            let out = unsafe { operands.write(0, range.start * columns, logits.len()) };
            for (x, y) in logits.chunks_exact(columns).zip(out.chunks_exact_mut(columns)) {
                let (largest, total) = log_sum(x);
                for (x, y) in x.iter().zip(y) {
                    let log_p = sub(sub(*x, largest), total);
                    *y = if log { log_p } else { exp(log_p) };
                }
            }
        });
    }
}

impl NativeRun for Exact<CrossEntropy> {
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
            let (largest, log_total) = log_sum(x);
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

impl NativeRun for Exact<GatherGrad> {
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

impl NativeRun for Exact<GradientNorm> {
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
