//! Elementwise functions of one and two operands.

use super::{Expression, Operand};
use crate::scalar::{BinaryFn, UnaryFn};

impl Expression {
    /// `e^x`
    pub fn exp(&self) -> Self {
        self.unary(UnaryFn::Exp)
    }

    /// `e^x - 1`, accurate near 0.
    pub fn exp_m1(&self) -> Self {
        self.unary(UnaryFn::ExpM1)
    }

    /// Natural logarithm.
    pub fn ln(&self) -> Self {
        self.unary(UnaryFn::Log)
    }

    /// `ln(1 + x)`, accurate near 0.
    pub fn ln_1p(&self) -> Self {
        self.unary(UnaryFn::Log1p)
    }

    /// Square root.
    pub fn sqrt(&self) -> Self {
        self.unary(UnaryFn::Sqrt)
    }

    /// `x * x`
    pub fn square(&self) -> Self {
        self.unary(UnaryFn::Square)
    }

    /// `1 / x`
    pub fn recip(&self) -> Self {
        self.unary(UnaryFn::Reciprocal)
    }

    /// `|x|`
    pub fn abs(&self) -> Self {
        self.unary(UnaryFn::Abs)
    }

    /// -1, 0 or 1 (0 at 0).
    pub fn sign(&self) -> Self {
        self.unary(UnaryFn::Sign)
    }

    /// Sine.
    pub fn sin(&self) -> Self {
        self.unary(UnaryFn::Sin)
    }

    /// Cosine.
    pub fn cos(&self) -> Self {
        self.unary(UnaryFn::Cos)
    }

    /// Hyperbolic tangent.
    pub fn tanh(&self) -> Self {
        self.unary(UnaryFn::Tanh)
    }

    /// `1 / (1 + e^-x)`
    pub fn sigmoid(&self) -> Self {
        self.unary(UnaryFn::Sigmoid)
    }

    /// `ln(1 + e^x)`
    pub fn softplus(&self) -> Self {
        self.unary(UnaryFn::Softplus)
    }

    /// `max(x, 0)`
    pub fn relu(&self) -> Self {
        self.unary(UnaryFn::Relu)
    }

    /// `x Phi(x)` with the exact normal distribution function.
    pub fn gelu(&self) -> Self {
        self.unary(UnaryFn::Gelu)
    }

    /// `x sigmoid(x)`
    pub fn silu(&self) -> Self {
        self.unary(UnaryFn::Silu)
    }

    /// Error function.
    pub fn erf(&self) -> Self {
        self.unary(UnaryFn::Erf)
    }

    /// Elementwise minimum.
    pub fn minimum(&self, other: impl Into<Operand>) -> Self {
        self.binary(BinaryFn::Min, other)
    }

    /// Elementwise maximum.
    pub fn maximum(&self, other: impl Into<Operand>) -> Self {
        self.binary(BinaryFn::Max, other)
    }

    /// 1 where `0 < x`, else 0.
    pub fn is_positive(&self) -> Self {
        self.workspace.scalar(0.0).less(self)
    }

    /// 1 where this is less than `other`, else 0.
    pub fn less(&self, other: impl Into<Operand>) -> Self {
        self.binary(BinaryFn::Less, other)
    }

    /// 1 where this is at most `other`, else 0.
    pub fn less_equal(&self, other: impl Into<Operand>) -> Self {
        self.binary(BinaryFn::LessEqual, other)
    }

    /// 1 where this equals `other`, else 0.
    pub fn equal(&self, other: impl Into<Operand>) -> Self {
        self.binary(BinaryFn::Equal, other)
    }
}
