//! Values bound from outside: batches, parameters, running statistics.

use super::{EvalContext, Lowering, OpDef};
use crate::base::tensor::{Tensor, TensorType};
use crate::graph::samples::Collection;
use crate::graph::{Graph, GraphError, Source, ValueId};

/// A value bound from outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourceOp {
    /// Where it comes from.
    pub source: Source,
    /// Its type.
    pub ty: TensorType,
}

impl OpDef for SourceOp {
    fn name(&self) -> &'static str {
        "source"
    }

    fn infer(&self, _inputs: &[&TensorType]) -> Result<TensorType, String> {
        Ok(self.ty.clone())
    }

    fn vjp(
        &self,
        _graph: &mut Graph,
        _inputs: &[ValueId],
        _y: ValueId,
        _dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        Ok(vec![])
    }

    fn eval(&self, _inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        // The reference substitutes bound values before evaluating; an unbound source reads as NaN.
        Tensor::full(ty.shape.clone(), f64::NAN)
    }

    fn lower(&self, _inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        Lowering::Leaf
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        all.add("source [3, 2]".into(), |g| g.normal(&[3, 2]))
    }
}
