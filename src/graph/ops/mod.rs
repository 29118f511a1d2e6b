//! Operators: one file each, with the shape rule, the gradient rule written as more graph, the reference
//! evaluation in plain loops, and how it is lowered to kernels. The list below is the only list.

use super::{Graph, GraphError, ValueId};
use crate::base::tensor::{DType, Tensor, TensorType};
use crate::kernels::Kernel;
use crate::kernels::matmul::Windows;
use crate::scalar::ReduceKind;
use crate::scalar::{Inst, Reg};

/// What an operator owes. One implementation per operator, beside its mathematics.
pub trait OpDef {
    /// Name in messages and plans, in snake case.
    fn name(&self) -> &'static str;

    /// Shape rule: the result type, or what is wrong with the operands and what was expected.
    ///
    /// # Errors
    /// A sentence without the operator's name or operand types ([`Graph::push`] adds those).
    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String>;

    /// Gradient rule: appends nodes that compute the cotangent of each input from the cotangent `dy` of the
    /// result `y`; `None` for inputs without a gradient (integers, comparisons).
    ///
    /// # Errors
    /// Only if a rule builds an ill-shaped node, which is a bug in the rule.
    fn vjp(
        &self,
        graph: &mut Graph,
        inputs: &[ValueId],
        y: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError>;

    /// Reference: plain loops in `f64`, obviously right.
    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, context: &EvalContext) -> Tensor;

    /// How the planner computes it.
    fn lower(&self, inputs: &[&TensorType], ty: &TensorType) -> Lowering;
}

/// What the reference needs to know besides the operands.
#[derive(Clone, Copy, Debug, Default)]
pub struct EvalContext {
    /// The step whose random numbers and scalars are used.
    pub step: crate::base::step::StepRecord,
}

/// Makes the instruction of a scalar operator from its operands' registers.
pub type MakeInst = Box<dyn Fn(&[Reg]) -> Inst>;

/// How an operator becomes kernels. The planner knows these forms and no operator.
pub enum Lowering {
    /// Bound from outside or a constant: nothing runs.
    Leaf,
    /// One scalar instruction per element of the result; operands have the result's shape and arrive in the
    /// given registers.
    Scalar(MakeInst),
    /// The same elements read through another index map: nothing runs.
    View(ViewChange),
    /// The operands side by side along an axis: guarded loads in the consumer.
    Concat {
        /// Axis along which the operands follow one another.
        axis: usize,
    },
    /// Batched matrix product; bias, activation and other scalar consumers join its epilogue.
    MatMul {
        /// Whether the last two axes of the left operand are swapped.
        transpose_a: bool,
        /// Whether the last two axes of the right operand are swapped.
        transpose_b: bool,
    },
    /// Matrix product whose left operand is windows of the first operand `[N, H, W, C]`; the second is contiguous,
    /// its last axis the columns of all groups.
    Conv {
        /// The windows, for a contiguous first operand.
        windows: Windows,
        /// Groups, each a matrix of the batch.
        groups: usize,
        /// Columns of all groups.
        outputs: usize,
    },
    /// Reduction over axes; scalar producers join as prologue, scalar consumers as epilogue.
    Reduce {
        /// Sum or maximum.
        kind: ReduceKind,
        /// Reduced axes, ascending; they stay in the result with extent 1.
        axes: Vec<usize>,
    },
    /// A kernel of its own over contiguous operands and one contiguous result. Kernels that are equal but
    /// for `output` and have the same operands are merged into one dispatch (`output` is the position in
    /// its `writes`; the kernel writes only what is bound).
    Kernel {
        /// The kernel.
        kernel: Kernel,
        /// Which of the kernel's results this operator is.
        output: usize,
    },
}

/// A change of index map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewChange {
    /// Same elements in row-major order, another shape.
    Reshape,
    /// Result axis `i` is operand axis `permutation[i]`.
    Permute(Vec<usize>),
    /// Extents of 1 (and missing leading axes) repeat.
    Broadcast,
    /// Part of the operand: first index per axis.
    Slice(Vec<usize>),
    /// Zeros around the operand: how many before it, per axis.
    Pad(Vec<usize>),
}

/// The operands, if there are exactly `N`.
///
/// # Errors
/// A sentence with the number of operands that was expected.
fn operands<'a, const N: usize>(inputs: &[&'a TensorType]) -> Result<[&'a TensorType; N], String> {
    inputs.try_into().map_err(|_| format!("expected {N} operands, found {}", inputs.len()))
}

/// Checks that every one of `inputs` is `f32`.
///
/// # Errors
/// A sentence that says so.
fn check_f32(inputs: &[&TensorType]) -> Result<(), String> {
    if inputs.iter().any(|t| t.dtype != DType::F32) {
        return Err("expected f32 operands".into());
    }
    Ok(())
}

mod binary;
mod constant;
mod conv;
mod cross_entropy;
mod gather;
mod matmul;
mod normalise;
mod pool;
mod random;
mod recurrence;
mod reduce;
mod softmax;
mod source;
mod unary;
mod views;

pub use binary::{Binary, Select};
pub use constant::{Constant, StepScalarOp};
pub use conv::{Conv, ConvAxis, ConvWeight};
pub use cross_entropy::{CrossEntropy, CrossEntropyDelta};
pub use gather::{Gather, GatherGrad};
pub use matmul::MatMul;
pub use normalise::Normalise;
pub use pool::{Pool, PoolGrad, PoolKind};
pub use random::Random;
pub use recurrence::{Of, Recurrence, RecurrenceGrad, States};
pub use reduce::Reduce;
pub use softmax::Softmax;
pub use source::SourceOp;
pub use unary::Unary;
pub use views::{Broadcast, Concat, Pad, Permute, Reshape, Slice};

/// An operator with its attributes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Value bound from outside.
    Source(SourceOp),
    /// Constant tensor.
    Constant(Constant),
    /// Scalar of the step.
    StepScalar(StepScalarOp),
    /// Random tensor.
    Random(Random),
    /// Function of one scalar.
    Unary(Unary),
    /// Function of two scalars.
    Binary(Binary),
    /// Choice between two scalars.
    Select(Select),
    /// Another shape.
    Reshape(Reshape),
    /// Axes in another order.
    Permute(Permute),
    /// Repetition.
    Broadcast(Broadcast),
    /// Part.
    Slice(Slice),
    /// Zeros around.
    Pad(Pad),
    /// One after the other.
    Concat(Concat),
    /// Sum or maximum over axes.
    Reduce(Reduce),
    /// Matrix product.
    MatMul(MatMul),
    /// Convolution.
    Conv(Conv),
    /// Gradient of its weights.
    ConvWeight(ConvWeight),
    /// Normalisation, computed by others, with its gradient.
    Normalise(Normalise),
    /// Pooling.
    Pool(Pool),
    /// Gradient of pooling.
    PoolGrad(PoolGrad),
    /// A recurrent layer over all steps.
    Recurrence(Recurrence),
    /// Its gradient.
    RecurrenceGrad(RecurrenceGrad),
    /// Softmax or log-softmax.
    Softmax(Softmax),
    /// Loss of integer labels.
    CrossEntropy(CrossEntropy),
    /// Its gradient.
    CrossEntropyDelta(CrossEntropyDelta),
    /// Rows by index.
    Gather(Gather),
    /// Gradient of rows by index.
    GatherGrad(GatherGrad),
}

impl Op {
    /// The operator's definition.
    pub fn def(&self) -> &dyn OpDef {
        match self {
            Op::Source(op) => op,
            Op::Constant(op) => op,
            Op::StepScalar(op) => op,
            Op::Random(op) => op,
            Op::Unary(op) => op,
            Op::Binary(op) => op,
            Op::Select(op) => op,
            Op::Reshape(op) => op,
            Op::Permute(op) => op,
            Op::Broadcast(op) => op,
            Op::Slice(op) => op,
            Op::Pad(op) => op,
            Op::Concat(op) => op,
            Op::Reduce(op) => op,
            Op::MatMul(op) => op,
            Op::Conv(op) => op,
            Op::ConvWeight(op) => op,
            Op::Normalise(op) => op,
            Op::Pool(op) => op,
            Op::PoolGrad(op) => op,
            Op::Recurrence(op) => op,
            Op::RecurrenceGrad(op) => op,
            Op::Softmax(op) => op,
            Op::CrossEntropy(op) => op,
            Op::CrossEntropyDelta(op) => op,
            Op::Gather(op) => op,
            Op::GatherGrad(op) => op,
        }
    }
}
