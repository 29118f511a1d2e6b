//! Kernels: what devices run. Each is plain data (geometry, operands, fused scalar body) that knows its cost;
//! `native.rs` beside it is the CPU implementation, `shader/` the choice of WGSL file and specialisation.
//!
//! Operands are positions in the dispatch's `reads` and `writes`; all are contiguous row-major buffers of
//! 32-bit words. A kernel's `Body` says how loads and stores map onto them.

pub mod augment;
pub mod batch;
pub mod cross_entropy;
mod exact;
pub mod gather;
pub mod matmul;
pub mod native;
pub mod norm;
pub mod optimizer;
pub mod oracle;
pub mod pointwise;
pub mod pool;
pub mod recurrence;
pub mod reduce;
pub mod samples;
pub mod shader;
pub mod softmax;
pub mod store;

/// What a kernel costs at least: for reports and for splitting work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations.
    pub flops: u64,
    /// Bytes that must cross the memory interface if every operand is moved once.
    pub bytes: u64,
}

/// One dispatch as data.
#[derive(Clone, Debug, PartialEq)]
pub enum Kernel {
    /// Picks the rows of a batch from the resident data set.
    Batch(batch::Batch),
    /// Picks the images of a batch and changes each at random.
    Augment(augment::Augment),
    /// Matrix product with epilogue.
    MatMul(matmul::MatMul),
    /// Fused elementwise body.
    Pointwise(pointwise::Pointwise),
    /// Ordered reduction with prologue and epilogue.
    Reduce(reduce::Reduce),
    /// Softmax or log-softmax of rows.
    Softmax(softmax::Softmax),
    /// Softmax cross-entropy: loss per row and its gradient.
    CrossEntropy(cross_entropy::CrossEntropy),
    /// Rows by index.
    Gather(gather::Gather),
    /// Gradient of rows by index, added in index order.
    GatherGrad(gather::GatherGrad),
    /// Pooling of images.
    Pool(pool::Pool),
    /// Gradient of pooling, collected by each element.
    PoolGrad(pool::PoolGrad),
    /// A recurrent layer over all steps.
    Recurrence(recurrence::Recurrence),
    /// Its gradient.
    RecurrenceGrad(recurrence::RecurrenceGrad),
    /// Sum of squares of the whole gradient region, as partial sums then the clipping factor.
    GradientNorm(norm::GradientNorm),
    /// Update of all parameters.
    Optimizer(optimizer::Optimizer),
    /// Copies per-step results to the slot of the step.
    Store(store::Store),
}

impl Kernel {
    /// Family name, as shown by `plan`, `verify` and `bench`.
    pub fn name(&self) -> &'static str {
        match self {
            Kernel::Batch(_) => "batch",
            Kernel::Augment(_) => "augment",
            Kernel::MatMul(k) if k.is_convolution() => "conv",
            Kernel::MatMul(_) => "matmul",
            Kernel::Pointwise(_) => "pointwise",
            Kernel::Reduce(_) => "reduce",
            Kernel::Softmax(_) => "softmax",
            Kernel::CrossEntropy(_) => "cross_entropy",
            Kernel::Gather(_) => "gather",
            Kernel::GatherGrad(_) => "gather_grad",
            Kernel::Pool(_) => "pool",
            Kernel::PoolGrad(_) => "pool_grad",
            Kernel::Recurrence(_) => "recurrence",
            Kernel::RecurrenceGrad(_) => "recurrence_grad",
            Kernel::GradientNorm(_) => "gradient_norm",
            Kernel::Optimizer(_) => "optimizer",
            Kernel::Store(_) => "store",
        }
    }

    /// Sizes, for people: `32x128x64 NT +bias relu`.
    pub fn shape(&self) -> String {
        match self {
            Kernel::Batch(k) => k.shape(),
            Kernel::Augment(k) => k.shape(),
            Kernel::MatMul(k) => k.shape(),
            Kernel::Pointwise(k) => k.shape(),
            Kernel::Reduce(k) => k.shape(),
            Kernel::Softmax(k) => k.shape(),
            Kernel::CrossEntropy(k) => k.shape(),
            Kernel::Gather(k) => k.shape(),
            Kernel::GatherGrad(k) => k.shape(),
            Kernel::Pool(k) => k.shape(),
            Kernel::PoolGrad(k) => k.shape(),
            Kernel::Recurrence(k) => k.shape(),
            Kernel::RecurrenceGrad(k) => k.shape(),
            Kernel::GradientNorm(k) => k.shape(),
            Kernel::Optimizer(k) => k.shape(),
            Kernel::Store(k) => k.shape(),
        }
    }

    /// The scalar bodies this kernel runs.
    pub fn bodies(&self) -> Vec<&crate::scalar::Body> {
        match self {
            Kernel::MatMul(k) => vec![&k.epilogue],
            Kernel::Pointwise(k) => vec![&k.body],
            Kernel::Reduce(k) => vec![&k.prologue, &k.epilogue],
            // The optimizer's body has its own conventions for operands.
            _ => vec![],
        }
    }

    /// The same kernel writing only the given outputs (ascending), which become its writes in that order.
    pub fn keep_outputs(self, outputs: &[usize]) -> Self {
        match self {
            Kernel::CrossEntropy(k) => {
                let at = |output: usize| outputs.iter().position(|&o| o == output);
                Kernel::CrossEntropy(cross_entropy::CrossEntropy { loss: at(0), delta: at(1), ..k })
            }
            Kernel::Pool(k) => Kernel::Pool(k.keep_outputs(outputs)),
            Kernel::Recurrence(k) => Kernel::Recurrence(k.keep_outputs(outputs)),
            Kernel::RecurrenceGrad(k) => Kernel::RecurrenceGrad(k.keep_outputs(outputs)),
            other => other,
        }
    }

    /// Floating-point operations and least bytes.
    pub fn cost(&self) -> Cost {
        match self {
            Kernel::Batch(k) => k.cost(),
            Kernel::Augment(k) => k.cost(),
            Kernel::MatMul(k) => k.cost(),
            Kernel::Pointwise(k) => k.cost(),
            Kernel::Reduce(k) => k.cost(),
            Kernel::Softmax(k) => k.cost(),
            Kernel::CrossEntropy(k) => k.cost(),
            Kernel::Gather(k) => k.cost(),
            Kernel::GatherGrad(k) => k.cost(),
            Kernel::Pool(k) => k.cost(),
            Kernel::PoolGrad(k) => k.cost(),
            Kernel::Recurrence(k) => k.cost(),
            Kernel::RecurrenceGrad(k) => k.cost(),
            Kernel::GradientNorm(k) => k.cost(),
            Kernel::Optimizer(k) => k.cost(),
            Kernel::Store(k) => k.cost(),
        }
    }
}

/// Bytes moved by a fused body over `elements`: each store once and each load at its own footprint.
pub(crate) fn body_bytes(body: &crate::scalar::Body, shape: &[usize]) -> u64 {
    use crate::scalar::Inst;
    let footprint = |strides: &[isize]| -> u64 {
        (0..shape.len()).filter(|&d| strides[d] != 0).map(|d| shape[d] as u64).product()
    };
    let loads: u64 = body
        .insts
        .iter()
        .map(|inst| match inst {
            Inst::Load { view, .. } => footprint(&view.strides),
            Inst::Previous { .. } => shape.iter().map(|&s| s as u64).product(),
            _ => 0,
        })
        .sum();
    let elements: u64 = shape.iter().map(|&s| s as u64).product();
    4 * (loads + elements * body.stores.len() as u64)
}
