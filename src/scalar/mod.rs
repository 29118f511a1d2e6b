//! Scalar functions and fused scalar bodies: the single definition of elementwise arithmetic.
//!
//! A [`Body`] is a short straight-line program over scalar registers. Every fused elementwise kernel, matmul
//! epilogue, reduction prologue and optimizer update is a `Body`. The reference evaluates the same functions
//! in `f64`, the CPU backend interprets a `Body` over chunks of elements, and the GPU backend prints it as
//! WGSL.

mod eval;
pub mod exact;
pub(crate) mod functions;
pub mod native;

pub use functions::UnaryFn;

use crate::base::rng::RandomKind;
use crate::base::step::StepScalar;

/// A function of two scalars. Comparisons return 1 or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BinaryFn {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a * b`
    Mul,
    /// `a / b`
    Div,
    /// the smaller, NaN if either is NaN
    Min,
    /// the larger, NaN if either is NaN
    Max,
    /// `1` if `a < b`, else `0`
    Less,
    /// `1` if `a <= b`, else `0`
    LessEqual,
    /// `1` if `a == b`, else `0`
    Equal,
}

/// A reduction. The order is fixed, so results are reproducible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReduceKind {
    /// Sum; 0 over no elements.
    Sum,
    /// Maximum, NaN if any element is NaN.
    Max,
}

/// Register of a [`Body`]: the number of the instruction that defines it.
pub type Reg = u32;

/// Maps the index of the element being computed to an element of an operand.
///
/// The operand's element is `offset + sum(index[d] * strides[d])`, with one stride per dimension of the
/// iteration shape; stride 0 broadcasts. Where a guard fails, the value is 0 and nothing is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// The operand's element at index 0 (may be negative before guarded dimensions are added).
    pub offset: isize,
    /// One stride per dimension of the iteration shape, in elements.
    pub strides: Vec<isize>,
    /// `(dimension, first, end)`: the load is valid only where `first <= index[dimension] < end`.
    pub guards: Vec<(usize, usize, usize)>,
}

impl View {
    /// Row-major view of a tensor that has exactly the iteration shape.
    pub fn contiguous(shape: &[usize]) -> Self {
        let strides =
            crate::base::tensor::contiguous_strides(shape).into_iter().map(|s| s as isize).collect();
        Self { offset: 0, strides, guards: vec![] }
    }

    /// Whether this view reads element `i` at linear index `i` of `shape`.
    pub fn is_contiguous(&self, shape: &[usize]) -> bool {
        if self.offset != 0 || !self.guards.is_empty() {
            return false;
        }
        let expected = crate::base::tensor::contiguous_strides(shape);
        (0..shape.len()).all(|d| shape[d] == 1 || self.strides[d] == expected[d] as isize)
    }
}

/// One instruction; its number is the register it defines.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Inst {
    /// An element of read operand `operand`, through a view over the iteration shape.
    Load {
        /// Position in [`crate::plan::Dispatch::reads`].
        operand: usize,
        /// Location of the element.
        view: View,
    },
    /// The value the kernel itself produced for this element: a matmul's accumulator or a reduction's total.
    Accumulator,
    /// The previous value of this element in the kernel's output `output`, for in-place updates.
    Previous {
        /// Position in [`crate::plan::Dispatch::writes`].
        output: usize,
    },
    /// A constant, as bits.
    Const(u32),
    /// A value of the [`StepRecord`](crate::base::step::StepRecord).
    Step(StepScalar),
    /// Random element; the element number is the linear index in the iteration shape, counted over all
    /// micro-batches of the step.
    Random {
        /// Distribution.
        kind: RandomKind,
        /// The random stream.
        stream: u32,
    },
    /// Function of one register.
    Unary(UnaryFn, Reg),
    /// Function of two registers.
    Binary(BinaryFn, Reg, Reg),
    /// `if condition != 0 { a } else { b }`: (condition, a, b).
    Select(Reg, Reg, Reg),
}

/// A straight-line scalar program in SSA form: each instruction uses earlier registers only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Body {
    /// Instructions in order.
    pub insts: Vec<Inst>,
    /// Stored values as `(register, position in writes)`; each element goes to its linear index in the
    /// iteration shape.
    pub stores: Vec<(Reg, usize)>,
}

impl Body {
    /// Appends an instruction unless an equal one exists, and returns its register.
    pub fn push(&mut self, inst: Inst) -> Reg {
        if let Some(at) = self.insts.iter().position(|i| *i == inst) {
            return at as Reg;
        }
        self.insts.push(inst);
        (self.insts.len() - 1) as Reg
    }

    /// Appends a constant.
    pub fn constant(&mut self, value: f32) -> Reg {
        self.push(Inst::Const(value.to_bits()))
    }

    /// Floating-point operations per element, for cost reports (a transcendental counts as one).
    pub fn flops(&self) -> u64 {
        let is_work = |i: &&Inst| matches!(i, Inst::Unary(..) | Inst::Binary(..) | Inst::Select(..));
        self.insts.iter().filter(is_work).count() as u64
    }
}
