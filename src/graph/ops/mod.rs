//! Operators: one file each, with the shape rule, the gradient rule written as more graph, the reference
//! evaluation in plain loops, and how it is lowered to kernels. The list at the end is the only list.

use super::samples::{Collection, Sample};
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
    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, context: &EvalContext) -> Tensor
    where
        Self: Sized;

    /// How the planner computes it.
    fn lower(&self, inputs: &[&TensorType], ty: &TensorType) -> Lowering;

    /// Small graphs with this operator: with extents such as 1, 3, 17, 63, 65 and 257, and every attribute.
    ///
    /// # Errors
    /// If a sample is ill-shaped, which is a bug in the sample.
    fn samples(all: &mut Collection) -> Result<(), GraphError>
    where
        Self: Sized;
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
    /// Matrix product whose left operand is windows of the first operand `[N, H, W, C]`; the second is
    /// contiguous, its last axis the columns of all groups.
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

mod attention;
mod binary;
mod concat;
mod constant;
mod conv;
mod cross_entropy;
mod edges;
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

pub use attention::{Attended, Attending};
pub use conv::ConvAxis;
pub use edges::Links;
pub use pool::PoolKind;
pub use recurrence::{Of, States};

/// Samples of one operator.
pub struct OperatorSamples {
    /// Its variant of [`Op`].
    pub operator: &'static str,
    /// Whether a node is this operator.
    pub is: fn(&Op) -> bool,
    /// The samples.
    pub samples: Vec<Sample>,
}

/// Makes everything that names all operators from one list: what each is, and the type that defines it.
macro_rules! operators {
    ($($(#[$doc:meta])* $variant:ident($module:ident::$definition:ident)),* $(,)?) => {
        $(pub use $module::$definition;)*

        /// An operator with its attributes.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Op {
            $($(#[$doc])* $variant($definition)),*
        }

        impl Op {
            /// The operator's definition.
            pub fn def(&self) -> &dyn OpDef {
                match self {
                    $(Op::$variant(op) => op),*
                }
            }

            /// [`OpDef::eval`] of any operator. It is not in [`Op::def`], so that a program without the reference holds none
            /// of it.
            pub fn eval(&self, inputs: &[&Tensor], ty: &TensorType, context: &EvalContext) -> Tensor {
                match self {
                    $(Op::$variant(op) => op.eval(inputs, ty, context)),*
                }
            }
        }

        /// The samples of every operator.
        ///
        /// # Errors
        /// If a sample is ill-shaped, which is a bug in the sample.
        pub fn samples() -> Result<Vec<OperatorSamples>, GraphError> {
            let mut all = vec![];
            $({
                let (mut collection, operator) = (Collection::default(), stringify!($variant));
                $definition::samples(&mut collection)?;
                let is = |op: &Op| matches!(op, Op::$variant(_));
                all.push(OperatorSamples { operator, is, samples: collection.0 });
            })*
            Ok(all)
        }
    };
}

operators! {
    /// Value bound from outside.
    Source(source::SourceOp),
    /// Constant tensor.
    Constant(constant::Constant),
    /// Scalar of the step.
    StepScalar(constant::StepScalarOp),
    /// Random tensor.
    Random(random::Random),
    /// Function of one scalar.
    Unary(unary::Unary),
    /// Function of two scalars.
    Binary(binary::Binary),
    /// Choice between two scalars.
    Select(binary::Select),
    /// Another shape.
    Reshape(views::Reshape),
    /// Axes in another order.
    Permute(views::Permute),
    /// Repetition.
    Broadcast(views::Broadcast),
    /// Part.
    Slice(views::Slice),
    /// Zeros around.
    Pad(views::Pad),
    /// One after the other.
    Concat(concat::Concat),
    /// Sum or maximum over axes.
    Reduce(reduce::Reduce),
    /// Matrix product.
    MatMul(matmul::MatMul),
    /// Convolution.
    Conv(conv::Conv),
    /// Gradient of its weights.
    ConvWeight(conv::ConvWeight),
    /// Normalisation, computed by others, with its gradient.
    Normalise(normalise::Normalise),
    /// Pooling.
    Pool(pool::Pool),
    /// Gradient of pooling.
    PoolGrad(pool::PoolGrad),
    /// A recurrent layer over all steps.
    Recurrence(recurrence::Recurrence),
    /// Its gradient.
    RecurrenceGrad(recurrence::RecurrenceGrad),
    /// Attention.
    Attention(attention::Attention),
    /// Its gradient.
    AttentionGrad(attention::AttentionGrad),
    /// Softmax or log-softmax.
    Softmax(softmax::Softmax),
    /// Loss of integer labels.
    CrossEntropy(cross_entropy::CrossEntropy),
    /// Its gradient.
    CrossEntropyDelta(cross_entropy::CrossEntropyDelta),
    /// Rows by index.
    Gather(gather::Gather),
    /// Gradient of rows by index.
    GatherGrad(gather::GatherGrad),
    /// Sums over neighbours.
    NeighbourSum(edges::NeighbourSum),
    /// Products of the two ends of each edge.
    EdgeDot(edges::EdgeDot),
    /// Softmax over the edges of each row.
    EdgeSoftmax(edges::EdgeSoftmax),
    /// Sums over neighbours in each graph of a batch.
    OwnNeighbourSum(edges::OwnNeighbourSum),
    /// Products of the two ends of each edge of each graph of a batch.
    OwnEdgeDot(edges::OwnEdgeDot),
    /// Softmax over the edges of each node of each graph of a batch.
    OwnEdgeSoftmax(edges::OwnEdgeSoftmax),
}
