//! The mathematics of everything that has a kernel, in plain loops over indices, written once.
//!
//! Every function is generic over [`Real`], the numbers it computes with. With `f64` it is an operator's
//! reference; with [`Approx`], a value that carries a bound on its rounding error, it is the measure for the
//! kernels. Operands are contiguous, row-major and exact: what a device is given. Sizes and attributes are
//! plain numbers, for nothing here may depend on how a kernel sees its work.

mod approx;
pub mod attention;
pub mod conv;
pub mod cross_entropy;
pub mod edges;
pub mod gather;
pub mod graphs;
pub mod matmul;
pub mod pool;
pub mod recurrence;
pub mod reduce;
pub mod softmax;
pub mod window;

pub use approx::Approx;

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::scalar::{BinaryFn, UnaryFn};

/// A number of the mathematics: `f64`, or [`Approx`].
pub trait Real:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
where
    Self: Neg<Output = Self>,
{
    /// A number that is given, without error.
    fn exact(value: f64) -> Self;

    /// The sum of `terms`, which a device may add in any order.
    fn sum(terms: impl Iterator<Item = Self>) -> Self;

    /// `f(self)`
    fn unary(self, f: UnaryFn) -> Self;

    /// `f(self, other)`
    fn binary(self, f: BinaryFn, other: Self) -> Self;

    /// The same number where a device may round `roundings` times more often than the formula.
    fn rounded(self, roundings: f64) -> Self;

    /// `e^self`
    fn exp(self) -> Self {
        self.unary(UnaryFn::Exp)
    }

    /// Natural logarithm.
    fn ln(self) -> Self {
        self.unary(UnaryFn::Log)
    }

    /// Hyperbolic tangent.
    fn tanh(self) -> Self {
        self.unary(UnaryFn::Tanh)
    }

    /// `1 / (1 + e^-self)`
    fn sigmoid(self) -> Self {
        self.unary(UnaryFn::Sigmoid)
    }
}

impl Real for f64 {
    fn exact(value: f64) -> Self {
        value
    }

    fn sum(terms: impl Iterator<Item = Self>) -> Self {
        // From 0, not the -0 of `Iterator::sum`.
        terms.fold(0.0, |total, x| total + x)
    }

    fn unary(self, f: UnaryFn) -> Self {
        f.eval(self)
    }

    fn binary(self, f: BinaryFn, other: Self) -> Self {
        f.eval(self, other)
    }

    fn rounded(self, _roundings: f64) -> Self {
        self
    }
}
