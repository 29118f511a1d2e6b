//! The CPU implementations of the kernels, each in its own `native.rs`.

use super::Kernel;
use super::exact::Exact;
use super::matmul::Left;
use crate::base::step::StepRecord;
use crate::native::operands::Operands;
use crate::native::pool::Pool;

/// A kernel prepared for the CPU.
pub trait NativeRun: Send + Sync {
    /// Runs the kernel on its operands.
    fn run(&self, operands: &Operands, step: &StepRecord, pool: &Pool);
}

/// A kernel prepared for the CPU, of any family.
pub struct NativeKernel(Box<dyn NativeRun>);

impl NativeKernel {
    /// Prepares `kernel`: bodies compiled, loop order chosen; with the same bits as every other device if `exact`.
    pub fn new(kernel: &Kernel, exact: bool) -> Self {
        Self(match kernel {
            Kernel::Batch(k) if exact => Box::new(Exact(k.clone())),
            Kernel::Softmax(k) if exact => Box::new(Exact(k.clone())),
            Kernel::CrossEntropy(k) if exact => Box::new(Exact(k.clone())),
            Kernel::GatherGrad(k) if exact => Box::new(Exact(k.clone())),
            Kernel::GradientNorm(k) if exact => Box::new(Exact(k.clone())),
            Kernel::Batch(k) => Box::new(k.clone()),
            Kernel::Augment(k) => Box::new(super::augment::native::NativeAugment::new(k.clone(), exact)),
            Kernel::MatMul(k) => match &k.a {
                Left::Matrix(a) => Box::new(super::matmul::native::NativeMatMul::new(k, *a, exact)),
                Left::Windows(w) => Box::new(super::matmul::convolution::NativeConvolution::new(k, w, exact)),
            },
            Kernel::Pointwise(k) => Box::new(super::pointwise::native::NativePointwise::new(k, exact)),
            Kernel::Reduce(k) => Box::new(super::reduce::native::NativeReduce::new(k, exact)),
            Kernel::Softmax(k) => Box::new(k.clone()),
            Kernel::CrossEntropy(k) => Box::new(k.clone()),
            Kernel::Gather(k) => Box::new(k.clone()),
            Kernel::GatherGrad(k) => Box::new(k.clone()),
            Kernel::Pool(k) => Box::new(super::pool::native::NativePool::new(k.clone(), exact)),
            Kernel::PoolGrad(k) => Box::new(super::pool::native::NativePool::new(k.clone(), exact)),
            Kernel::Recurrence(k) => {
                Box::new(super::recurrence::native::NativeRecurrence::new(k.clone(), exact))
            }
            Kernel::RecurrenceGrad(k) => {
                Box::new(super::recurrence::native::NativeRecurrence::new(k.clone(), exact))
            }
            Kernel::GradientNorm(k) => Box::new(k.clone()),
            Kernel::Optimizer(k) => Box::new(super::optimizer::native::NativeOptimizer::new(k, exact)),
            Kernel::Store(k) => Box::new(k.clone()),
        })
    }

    /// Runs it.
    pub fn run(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        self.0.run(operands, step, pool);
    }
}
