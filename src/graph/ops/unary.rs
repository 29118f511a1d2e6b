//! Functions of one scalar, element by element.

use super::{EvalContext, Lowering, OpDef, check_f32, operands};
use crate::base::tensor::{Tensor, TensorType};
use crate::graph::{Graph, GraphError, ValueId};
use crate::scalar::{Inst, UnaryFn};

/// `y = f(x)`, same shape. Definitions as in PyTorch; the formula of each function is at [`UnaryFn`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unary(pub UnaryFn);

impl Unary {
    /// Name in messages and plans.
    pub fn label(&self) -> &'static str {
        match self.0 {
            UnaryFn::Neg => "neg",
            UnaryFn::Abs => "abs",
            UnaryFn::Sign => "sign",
            UnaryFn::Exp => "exp",
            UnaryFn::ExpM1 => "expm1",
            UnaryFn::Log => "log",
            UnaryFn::Log1p => "log1p",
            UnaryFn::Sqrt => "sqrt",
            UnaryFn::Reciprocal => "reciprocal",
            UnaryFn::Square => "square",
            UnaryFn::Tanh => "tanh",
            UnaryFn::Sigmoid => "sigmoid",
            UnaryFn::Relu => "relu",
            UnaryFn::Gelu => "gelu",
            UnaryFn::Silu => "silu",
            UnaryFn::Softplus => "softplus",
            UnaryFn::Erf => "erf",
        }
    }
}

impl OpDef for Unary {
    fn name(&self) -> &'static str {
        self.label()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [x] = operands(inputs)?;
        check_f32(&[x])?;
        Ok(x.clone())
    }

    /// Written from the result `y` where that is enough (relu, tanh, sigmoid, exp, sqrt), so that the
    /// argument need not be kept until the backward pass.
    fn vjp(
        &self,
        g: &mut Graph,
        inputs: &[ValueId],
        y: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let x = inputs[0];
        let dx = match self.0 {
            UnaryFn::Neg => g.neg(dy)?,
            UnaryFn::Abs => {
                let sign = g.unary(UnaryFn::Sign, x)?;
                g.mul(dy, sign)?
            }
            UnaryFn::Sign => return Ok(vec![None]),
            UnaryFn::Exp => g.mul(dy, y)?,
            UnaryFn::ExpM1 => {
                let e = g.add_scalar(y, 1.0)?;
                g.mul(dy, e)?
            }
            UnaryFn::Log => g.div(dy, x)?,
            UnaryFn::Log1p => {
                let d = g.add_scalar(x, 1.0)?;
                g.div(dy, d)?
            }
            UnaryFn::Sqrt => {
                let d = g.mul_scalar(y, 2.0)?;
                g.div(dy, d)?
            }
            UnaryFn::Reciprocal => {
                let y2 = g.unary(UnaryFn::Square, y)?;
                let d = g.mul(dy, y2)?;
                g.neg(d)?
            }
            UnaryFn::Square => {
                let d = g.mul_scalar(x, 2.0)?;
                g.mul(dy, d)?
            }
            UnaryFn::Tanh => {
                let y2 = g.unary(UnaryFn::Square, y)?;
                let d = g.rsub_scalar(1.0, y2)?;
                g.mul(dy, d)?
            }
            UnaryFn::Sigmoid => {
                let d = g.sigmoid_slope(y)?;
                g.mul(dy, d)?
            }
            UnaryFn::Relu => {
                // `y <= 0` rather than `0 < y`: as in PyTorch, NaN passes the gradient on.
                let zero = g.scalar(0.0)?;
                let closed = g.less_equal(y, zero)?;
                g.select(closed, zero, dy)?
            }
            UnaryFn::Gelu => {
                // d/dx x Phi(x) = Phi(x) + x phi(x)
                let scaled = g.mul_scalar(x, std::f64::consts::FRAC_1_SQRT_2)?;
                let erf = g.unary(UnaryFn::Erf, scaled)?;
                let phi = g.add_scalar(erf, 1.0)?;
                let cumulative = g.mul_scalar(phi, 0.5)?;
                let density = g.normal_density(x)?;
                let xd = g.mul(x, density)?;
                let d = g.add(cumulative, xd)?;
                g.mul(dy, d)?
            }
            UnaryFn::Silu => {
                // d/dx x s = s + x s (1 - s)
                let s = g.unary(UnaryFn::Sigmoid, x)?;
                let slope = g.sigmoid_slope(s)?;
                let xs = g.mul(x, slope)?;
                let d = g.add(s, xs)?;
                g.mul(dy, d)?
            }
            UnaryFn::Softplus => {
                let s = g.unary(UnaryFn::Sigmoid, x)?;
                g.mul(dy, s)?
            }
            UnaryFn::Erf => {
                // d/dx erf(x) = 2 / sqrt(pi) e^(-x^2)
                let x2 = g.unary(UnaryFn::Square, x)?;
                let n = g.neg(x2)?;
                let e = g.unary(UnaryFn::Exp, n)?;
                let d = g.mul_scalar(e, std::f64::consts::FRAC_2_SQRT_PI)?;
                g.mul(dy, d)?
            }
        };
        Ok(vec![Some(dx)])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        Tensor::new(ty.shape.clone(), inputs[0].data.iter().map(|&x| self.0.eval(x)).collect())
    }

    fn lower(&self, _inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        let f = self.0;
        Lowering::Scalar(Box::new(move |r| Inst::Unary(f, r[0])))
    }
}
