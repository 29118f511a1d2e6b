//! Softmax and log-softmax over the last axis.

use super::{EvalContext, Lowering, OpDef, check_f32, operands};
use crate::base::tensor::{Tensor, TensorType};
use crate::graph::samples::Collection;
use crate::graph::{Graph, GraphError, ValueId};
use crate::kernels::{Kernel, softmax};
use crate::oracle;

/// `y = e^x / sum e^x` over the last axis, or its logarithm; stable (the maximum is subtracted first).
///
/// Gradient: `dx = y (dy - sum(dy y))`; of the logarithm `dx = dy - e^y sum(dy)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Softmax {
    /// Give the logarithm.
    pub log: bool,
}

impl OpDef for Softmax {
    fn name(&self) -> &'static str {
        if self.log { "log_softmax" } else { "softmax" }
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [x] = operands(inputs)?;
        check_f32(&[x])?;
        if x.shape.is_empty() {
            return Err("expected at least one axis".into());
        }
        Ok(x.clone())
    }

    fn vjp(
        &self,
        g: &mut Graph,
        _: &[ValueId],
        y: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let last = [g.shape(y).len() - 1];
        let dx = g.formula([y, dy], |[y, dy]| match self.log {
            true => &dy - y.exp() * dy.sum_keep(&last),
            false => &y * (&dy - (&dy * &y).sum_keep(&last)),
        })?;
        Ok(vec![Some(dx)])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let columns = ty.shape[ty.shape.len() - 1].max(1);
        let of_row = if self.log { oracle::softmax::log_softmax } else { oracle::softmax::softmax };
        Tensor::new(ty.shape.clone(), inputs[0].data.chunks(columns).flat_map(of_row).collect())
    }

    fn lower(&self, _inputs: &[&TensorType], ty: &TensorType) -> Lowering {
        let columns = ty.shape[ty.shape.len() - 1];
        let rows = ty.elements() / columns.max(1);
        Lowering::Kernel { kernel: Kernel::new(softmax::Softmax { rows, columns, log: self.log }), output: 0 }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        for shape in [&[1, 1][..], &[5], &[3, 17], &[2, 3, 65]] {
            all.add(format!("softmax {shape:?}"), |g| {
                let x = g.normal(shape)?;
                g.graph.softmax(x)
            })?;
            all.add(format!("log_softmax {shape:?}"), |g| {
                let x = g.normal(shape)?;
                g.graph.log_softmax(x)
            })?;
            all.add(format!("log_softmax {shape:?} over axis 0"), |g| {
                let x = g.normal(shape)?;
                g.graph.log_softmax_over(x, 0)
            })?;
            all.add(format!("softmax {shape:?} over axis 0"), |g| {
                let x = g.normal(shape)?;
                g.graph.softmax_over(x, 0)
            })?;
        }
        Ok(())
    }
}
