//! Elementwise functions of two operands, and selection. Shapes are equal; the builders broadcast.

use super::{EvalContext, Lowering, OpDef, check_f32, operands};
use crate::base::tensor::{Tensor, TensorType};
use crate::graph::samples::{Collection, Draw};
use crate::graph::{Graph, GraphError, ValueId};
use crate::scalar::{BinaryFn, Inst};

/// `y = f(a, b)`; comparisons return 1 or 0 and have no gradient.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Binary(pub BinaryFn);

impl Binary {
    /// Name in messages and plans.
    pub fn label(&self) -> &'static str {
        match self.0 {
            BinaryFn::Add => "add",
            BinaryFn::Sub => "sub",
            BinaryFn::Mul => "mul",
            BinaryFn::Div => "div",
            BinaryFn::Min => "min",
            BinaryFn::Max => "max",
            BinaryFn::Less => "less",
            BinaryFn::LessEqual => "less_equal",
            BinaryFn::Equal => "equal",
        }
    }
}

impl OpDef for Binary {
    fn name(&self) -> &'static str {
        self.label()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        same_f32(operands::<2>(inputs)?)
    }

    fn vjp(
        &self,
        g: &mut Graph,
        inputs: &[ValueId],
        y: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let (a, b) = (inputs[0], inputs[1]);
        let (da, db) = match self.0 {
            BinaryFn::Add => (dy, dy),
            BinaryFn::Sub => (dy, g.neg(dy)?),
            BinaryFn::Mul => (g.mul(dy, b)?, g.mul(dy, a)?),
            BinaryFn::Div => {
                let da = g.div(dy, b)?;
                (da, g.formula([da, y], |[da, y]| -(da * y))?)
            }
            BinaryFn::Min | BinaryFn::Max => {
                let (first, second) = if self.0 == BinaryFn::Max { (b, a) } else { (a, b) };
                // As in PyTorch, equal elements share the gradient.
                let da = g.formula([first, second, dy], |[first, second, dy]| {
                    dy * (first.less(&second) + first.equal(&second) * 0.5)
                })?;
                (da, g.sub(dy, da)?)
            }
            BinaryFn::Less | BinaryFn::LessEqual | BinaryFn::Equal => return Ok(vec![None, None]),
        };
        Ok(vec![Some(da), Some(db)])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let pairs = inputs[0].data.iter().zip(&inputs[1].data);
        Tensor::new(ty.shape.clone(), pairs.map(|(&a, &b)| self.0.eval(a, b)).collect())
    }

    fn lower(&self, _inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        let f = self.0;
        Lowering::Scalar(Box::new(move |r| Inst::Binary(f, r[0], r[1])))
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        let shapes: [(&[usize], &[usize]); 6] = [
            (&[1], &[1]),
            (&[3, 17], &[17]),
            (&[5, 1], &[1, 7]),
            (&[], &[2, 3]),
            (&[63], &[63]),
            (&[65, 3], &[1]),
        ];
        for f in BinaryFn::ALL {
            let (left, right) = match f {
                BinaryFn::Add | BinaryFn::Sub | BinaryFn::Mul => (Draw::Normal, Draw::Normal),
                BinaryFn::Div => (Draw::Normal, Draw::AwayFromZero),
                _ => (Draw::Lattice { shift: 0.0 }, Draw::Lattice { shift: 0.5 }),
            };
            for (a, b) in shapes {
                all.add(format!("{} {a:?} {b:?}", Binary(f).label()), |g| {
                    let (a, b) = (g.draw(a, left)?, g.draw(b, right)?);
                    g.graph.binary(f, a, b)
                })?;
            }
        }
        Ok(())
    }
}

/// `y = if condition != 0 { a } else { b }`; no gradient for the condition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Select;

impl OpDef for Select {
    fn name(&self) -> &'static str {
        "select"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        same_f32(operands::<3>(inputs)?)
    }

    fn vjp(
        &self,
        g: &mut Graph,
        inputs: &[ValueId],
        _y: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let zero = g.scalar(0.0)?;
        let da = g.select(inputs[0], dy, zero)?;
        let db = g.select(inputs[0], zero, dy)?;
        Ok(vec![None, Some(da), Some(db)])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let pick = |i: usize| if inputs[0].data[i] != 0.0 { inputs[1].data[i] } else { inputs[2].data[i] };
        Tensor::new(ty.shape.clone(), (0..inputs[0].data.len()).map(pick).collect())
    }

    fn lower(&self, _inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        Lowering::Scalar(Box::new(|r| Inst::Select(r[0], r[1], r[2])))
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        for shape in [&[1][..], &[3, 17], &[257]] {
            all.add(format!("select {shape:?}"), |g| {
                let sign = g.draw(shape, Draw::AwayFromZero)?;
                let zero = g.graph.scalar(0.0)?;
                let condition = g.graph.less(zero, sign)?;
                let (a, b) = (g.normal(shape)?, g.normal(&[1])?);
                g.graph.select(condition, a, b)
            })?;
        }
        Ok(())
    }
}

/// The common type of all operands.
fn same_f32<const N: usize>(inputs: [&TensorType; N]) -> Result<TensorType, String> {
    check_f32(&inputs)?;
    if inputs.iter().any(|t| t.shape != inputs[0].shape) {
        return Err("the shapes differ and do not broadcast to a common one".into());
    }
    Ok(inputs[0].clone())
}
