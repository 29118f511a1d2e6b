//! Concatenation along an axis.

use super::views::for_each_index;
use super::{EvalContext, Lowering, OpDef, check_f32};
use crate::base::tensor::{Tensor, TensorType, contiguous_strides};
use crate::graph::samples::Collection;
use crate::graph::{Graph, GraphError, ValueId};
use crate::scalar::UnaryFn;

/// The operands concatenated along `axis`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Concat {
    /// Axis.
    pub axis: usize,
}

impl OpDef for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let first = inputs.first().ok_or("expected at least one operand")?;
        check_f32(inputs)?;
        if self.axis >= first.shape.len() {
            return Err(format!("there is no axis {}", self.axis));
        }
        let agrees = |t: &&&TensorType| {
            t.shape.len() == first.shape.len()
                && (0..first.shape.len()).all(|d| d == self.axis || t.shape[d] == first.shape[d])
        };
        if !inputs.iter().all(|t| agrees(&t)) {
            return Err(format!("expected shapes that differ on axis {} only", self.axis));
        }
        let mut shape = first.shape.clone();
        shape[self.axis] = inputs.iter().map(|t| t.shape[self.axis]).sum();
        Ok(TensorType::f32(shape))
    }

    fn vjp(
        &self,
        g: &mut Graph,
        x: &[ValueId],
        y: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let mut starts = vec![0; g.shape(y).len()];
        let mut gradients = vec![];
        for &part in x {
            let extents = g.shape(part).clone();
            gradients.push(Some(g.slice(dy, &starts, &extents)?));
            starts[self.axis] += extents[self.axis];
        }
        Ok(gradients)
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let mut out = Tensor::full(ty.shape.clone(), 0.0);
        let strides = contiguous_strides(&ty.shape);
        let mut start = 0;
        for part in inputs {
            for_each_index(&part.shape, |linear, index| {
                let offset = start * strides[self.axis];
                let at: usize = index.iter().zip(&strides).map(|(i, s)| i * s).sum();
                out.data[offset + at] = part.data[linear];
            });
            start += part.shape[self.axis];
        }
        out
    }

    fn lower(&self, _inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        Lowering::Concat { axis: self.axis }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        for parts in [1, 2, 3, 9] {
            all.add(format!("concat of {parts}"), |g| {
                let parts: Result<Vec<_>, _> = (0..parts).map(|i| g.normal(&[2, 1 + i, 3])).collect();
                let joined = g.graph.concat(&parts?, 1)?;
                g.graph.unary(UnaryFn::Square, joined)
            })?;
        }
        all.add("concat of a product and its operand".into(), |g| {
            let (a, b) = (g.normal(&[3, 5])?, g.normal(&[5, 4])?);
            let product = g.graph.matmul(a, b)?;
            let joined = g.graph.concat(&[product, a], 1)?;
            g.graph.unary(UnaryFn::Sigmoid, joined)
        })
    }
}
