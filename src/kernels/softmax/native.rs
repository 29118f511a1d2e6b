//! Softmax on the CPU, row by row.
#![allow(unsafe_code, reason = "rows are written in parts")]

use super::Softmax;
use crate::base::step::StepRecord;
use crate::kernels::native::NativeRun;
use crate::native::operands::Operands;
use crate::native::parts::{part_range, parts_for};
use crate::native::pool::Pool;
use crate::scalar::exact::{exp, sub};
use crate::scalar::native::rows;

impl NativeRun for Softmax {
    fn run(&self, operands: &Operands, _step: &StepRecord, pool: &Pool) {
        let columns = self.columns;
        let parts = parts_for(self.rows * columns * 2, self.rows);
        pool.run(parts, |part| {
            let range = part_range(self.rows, parts, part);
            let logits = &operands.read(0)[range.start * columns..range.end * columns];
            // SAFETY: parts have disjoint rows.
            let out = unsafe { operands.write(0, range.start * columns, logits.len()) };
            for (x, y) in logits.chunks_exact(columns).zip(out.chunks_exact_mut(columns)) {
                let log_total = rows::shifted(x, y);
                if self.log {
                    rows::subtract(y, log_total);
                } else {
                    rows::exponential(y, log_total);
                }
            }
        });
    }
}

/// Softmax in exact mode: the shader's operations in the same order.
pub struct Exact(pub Softmax);

impl NativeRun for Exact {
    fn run(&self, operands: &Operands, _step: &StepRecord, pool: &Pool) {
        let Softmax { rows, columns, log } = self.0;
        let parts = parts_for(rows * columns * 10, rows);
        pool.run(parts, |part| {
            let range = part_range(rows, parts, part);
            let logits = &operands.read(0)[range.start * columns..range.end * columns];
            // SAFETY: parts have disjoint rows.
            let out = unsafe { operands.write(0, range.start * columns, logits.len()) };
            for (x, y) in logits.chunks_exact(columns).zip(out.chunks_exact_mut(columns)) {
                let (largest, total) = rows::exact_log_sum(x);
                for (x, y) in x.iter().zip(y) {
                    let log_p = sub(sub(*x, largest), total);
                    *y = if log { log_p } else { exp(log_p) };
                }
            }
        });
    }
}
