//! Result slots on the CPU.
#![allow(unsafe_code, reason = "writes its outputs")]

use super::Store;
use crate::base::step::StepRecord;
use crate::kernels::native::NativeRun;
use crate::native::operands::Operands;
use crate::native::pool::Pool;

impl NativeRun for Store {
    fn run(&self, operands: &Operands, step: &StepRecord, _pool: &Pool) {
        for (i, &width) in self.widths.iter().enumerate() {
            // SAFETY: each output is taken once.
            let slot = unsafe { operands.write(i, step.slot as usize * width, width) };
            slot.copy_from_slice(&operands.read(i)[..width]);
        }
    }
}
