//! Functions of one scalar, element by element.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use super::{EvalContext, Lowering, OpDef, check_f32, operands};
use crate::base::tensor::{Tensor, TensorType};
use crate::graph::expression::Expression;
use crate::graph::samples::{Collection, Draw};
use crate::graph::{Graph, GraphError, ValueId};
use crate::scalar::{Inst, UnaryFn};

/// `y = f(x)`, same shape. Definitions as in PyTorch; the formula of each function is at [`UnaryFn`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unary(pub UnaryFn);

/// The cotangent of `x` from `x`, `y = f(x)` and the cotangent `dy` of `y`.
type GradientRule = fn(&Expression, &Expression, &Expression) -> Expression;

impl Unary {
    /// The gradient rule; `None` for a function whose gradient is zero.
    fn gradient(&self) -> Option<GradientRule> {
        Some(match self.0 {
            UnaryFn::Neg => |_, _, dy| -dy,
            UnaryFn::Abs => |x, _, dy| dy * x.sign(),
            UnaryFn::Sign | UnaryFn::Floor | UnaryFn::StopGradient => return None,
            UnaryFn::Exp => |_, y, dy| dy * y,
            UnaryFn::ExpM1 => |_, y, dy| dy * (y + 1.0),
            UnaryFn::Log => |x, _, dy| dy / x,
            UnaryFn::Log1p => |x, _, dy| dy / (x + 1.0),
            UnaryFn::Sqrt => |_, y, dy| dy / (y * 2.0),
            UnaryFn::Reciprocal => |_, y, dy| -(dy * y.square()),
            UnaryFn::Square => |x, _, dy| dy * (x * 2.0),
            UnaryFn::Sin => |x, _, dy| dy * x.cos(),
            UnaryFn::Cos => |x, _, dy| -(dy * x.sin()),
            UnaryFn::Tanh => |_, y, dy| dy * (1.0 - y.square()),
            UnaryFn::Sigmoid => |_, y, dy| dy * (y * (1.0 - y)),
            // `y <= 0` rather than `0 < y`: as in PyTorch, NaN passes the gradient on.
            UnaryFn::Relu => |_, y, dy| y.less_equal(0.0).select(0.0, dy),
            // d/dx x Phi(x) = Phi(x) + x phi(x)
            UnaryFn::Gelu => |x, _, dy| {
                let cumulative = ((x * FRAC_1_SQRT_2).erf() + 1.0) * 0.5;
                let density = (x.square() * -0.5).exp() * 0.398_942_280_401_432_7;
                dy * (cumulative + x * density)
            },
            // d/dx x s = s + x s (1 - s)
            UnaryFn::Silu => |x, _, dy| {
                let s = x.sigmoid();
                dy * (&s + x * (&s * (1.0 - &s)))
            },
            UnaryFn::Softplus => |x, _, dy| dy * x.sigmoid(),
            // d/dx erf(x) = 2 / sqrt(pi) e^(-x^2)
            UnaryFn::Erf => |x, _, dy| dy * ((-x.square()).exp() * FRAC_2_SQRT_PI),
        })
    }

    /// Whether the gradient rule reads the result alone, for functions that stand before pooling.
    fn is_differentiated_by_result(&self) -> bool {
        matches!(self.0, UnaryFn::Relu | UnaryFn::Tanh | UnaryFn::Sigmoid)
    }
}

impl OpDef for Unary {
    fn name(&self) -> &'static str {
        self.0.name()
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
        let Some(rule) = self.gradient() else { return Ok(vec![None]) };
        // The largest of a window is all that has a gradient, so that is scaled before it is sent: there are
        // fewer of them, and `y` itself is not needed any more.
        if self.is_differentiated_by_result()
            && let Some(pool) = g.sent_by_max_pool(y, dy)
        {
            let scaled = g.formula([inputs[0], pool.maximum, pool.sent], |[x, y, dy]| rule(&x, &y, &dy))?;
            return Ok(vec![Some(g.push(pool.back, &[pool.taps, scaled])?)]);
        }
        Ok(vec![Some(g.formula([inputs[0], y, dy], |[x, y, dy]| rule(&x, &y, &dy))?)])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        Tensor::new(ty.shape.clone(), inputs[0].data.iter().map(|&x| self.0.eval(x)).collect())
    }

    fn lower(&self, _inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        let f = self.0;
        Lowering::Scalar(Box::new(move |r| Inst::Unary(f, r[0])))
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        // Its gradient is zero by definition, not by what it computes.
        for &f in UnaryFn::ALL.iter().filter(|f| **f != UnaryFn::StopGradient) {
            let draw = match f {
                UnaryFn::Log | UnaryFn::Sqrt | UnaryFn::Reciprocal => Draw::Between(0.5, 3.0),
                UnaryFn::Log1p => Draw::Between(-0.5, 3.0),
                UnaryFn::Abs | UnaryFn::Sign | UnaryFn::Relu => Draw::AwayFromZero,
                UnaryFn::Floor => Draw::Between(0.1, 0.9),
                _ => Draw::Normal,
            };
            for shape in [&[1][..], &[3, 17], &[257]] {
                all.add(format!("{} {shape:?}", f.name()), |g| {
                    let x = g.draw(shape, draw)?;
                    g.graph.unary(f, x)
                })?;
            }
        }
        Ok(())
    }
}
