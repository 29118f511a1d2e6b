//! `+`, `-`, `*` and `/` between expressions and numbers. Rust needs an implementation for every combination
//! of owned and borrowed operands; a macro generates them.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::{Expression, Operand};
use crate::scalar::{BinaryFn, UnaryFn};

/// Implements an operator for expressions (owned and borrowed) on the left, or a number on the left.
macro_rules! operator {
    ($Trait:ident, $method:ident, $function:expr) => {
        impl<R: Into<Operand>> $Trait<R> for Expression {
            type Output = Expression;
            fn $method(self, right: R) -> Expression {
                self.binary($function, right)
            }
        }

        impl<R: Into<Operand>> $Trait<R> for &Expression {
            type Output = Expression;
            fn $method(self, right: R) -> Expression {
                self.binary($function, right)
            }
        }

        impl $Trait<Expression> for f64 {
            type Output = Expression;
            fn $method(self, right: Expression) -> Expression {
                right.workspace.scalar(self).binary($function, right)
            }
        }

        impl $Trait<&Expression> for f64 {
            type Output = Expression;
            fn $method(self, right: &Expression) -> Expression {
                right.workspace.scalar(self).binary($function, right)
            }
        }
    };
}

operator!(Add, add, BinaryFn::Add);
operator!(Sub, sub, BinaryFn::Sub);
operator!(Mul, mul, BinaryFn::Mul);
operator!(Div, div, BinaryFn::Div);

impl Neg for Expression {
    type Output = Expression;
    fn neg(self) -> Expression {
        self.unary(UnaryFn::Neg)
    }
}

impl Neg for &Expression {
    type Output = Expression;
    fn neg(self) -> Expression {
        self.unary(UnaryFn::Neg)
    }
}
