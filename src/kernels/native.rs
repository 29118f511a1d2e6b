//! Common parts of the kernels' CPU implementations; each kernel has its own `native.rs`.

use crate::base::step::StepRecord;
use crate::native::operands::Operands;
use crate::native::pool::Pool;

/// A kernel prepared for the CPU.
pub trait NativeRun: Send + Sync {
    /// Runs the kernel on its operands.
    fn run(&self, operands: &Operands, step: &StepRecord, pool: &Pool);
}
