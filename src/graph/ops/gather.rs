//! Rows of a table by index (embedding) and the gradient of the table.

use super::{EvalContext, Lowering, Op, OpDef, operands};
use crate::base::tensor::{DType, Tensor, TensorType};
use crate::graph::samples::{Collection, Draw};
use crate::graph::{Graph, GraphError, ValueId};
use crate::kernels::{Kernel, gather};
use crate::oracle;
use crate::scalar::UnaryFn;

/// Table `[V, D]`, indices `u32[..]` -> `[.., D]`. An index outside the table gives NaN.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gather;

/// Indices `u32[..]`, row gradients `[.., D]` -> `[V, D]`: each row the sum of the gradients that name it, in
/// ascending position.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatherGrad {
    /// Rows of the table.
    pub vocabulary: usize,
}

impl OpDef for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [table, indices] = operands(inputs)?;
        if table.dtype != DType::F32 || table.shape.len() != 2 || indices.dtype != DType::U32 {
            return Err("expected a table f32[V, D] and indices u32[..]".into());
        }
        let mut shape = indices.shape.clone();
        shape.push(table.shape[1]);
        Ok(TensorType::f32(shape))
    }

    fn vjp(
        &self,
        g: &mut Graph,
        x: &[ValueId],
        _: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let vocabulary = g.shape(x[0])[0];
        Ok(vec![Some(g.push(Op::GatherGrad(GatherGrad { vocabulary }), &[x[1], dy])?), None])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let (table, sizes) = (&inputs[0].data, [inputs[0].shape[0], inputs[0].shape[1]]);
        Tensor::new(ty.shape.clone(), oracle::gather::gather(table, sizes, &inputs[1].data))
    }

    fn lower(&self, inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        let (vocabulary, width) = (inputs[0].shape[0], inputs[0].shape[1]);
        let kernel = Kernel::new(gather::Gather { vocabulary, width, count: inputs[1].elements() });
        Lowering::Kernel { kernel, output: 0 }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        for (vocabulary, width, indices) in SAMPLES {
            all.add(format!("gather [{vocabulary}, {width}] by {indices:?}"), |g| {
                let table = g.normal(&[vocabulary, width])?;
                let indices = g.draw(indices, Draw::Index(vocabulary))?;
                let rows = g.graph.gather(table, indices)?;
                g.graph.unary(UnaryFn::Square, rows)
            })?;
        }
        Ok(())
    }
}

impl OpDef for GatherGrad {
    fn name(&self) -> &'static str {
        "gather_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [indices, dy] = operands(inputs)?;
        let mut expected = indices.shape.clone();
        expected.push(*dy.shape.last().unwrap_or(&0));
        if indices.dtype != DType::U32 || dy.dtype != DType::F32 || dy.shape != expected {
            return Err("expected indices u32[..] and gradients f32[.., D]".into());
        }
        Ok(TensorType::f32([self.vocabulary, expected[expected.len() - 1]]))
    }

    fn vjp(
        &self,
        g: &mut Graph,
        x: &[ValueId],
        _: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        Ok(vec![None, Some(g.gather(dy, x[0])?)])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let (indices, dy) = (&inputs[0].data, &inputs[1].data);
        Tensor::new(ty.shape.clone(), oracle::gather::gather_grad(indices, dy, [ty.shape[0], ty.shape[1]]))
    }

    fn lower(&self, inputs: &[&TensorType], ty: &TensorType) -> Lowering {
        let (vocabulary, width) = (ty.shape[0], ty.shape[1]);
        let kernel = Kernel::new(gather::GatherGrad { vocabulary, width, count: inputs[0].elements() });
        Lowering::Kernel { kernel, output: 0 }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        for (vocabulary, width, indices) in SAMPLES {
            all.add(format!("gather_grad [{vocabulary}, {width}] by {indices:?}"), |g| {
                let rows = g.normal(&[indices, &[width]].concat())?;
                let indices = g.draw(indices, Draw::Index(vocabulary))?;
                g.graph.push(Op::GatherGrad(GatherGrad { vocabulary }), &[indices, rows])
            })?;
        }
        Ok(())
    }
}

/// Rows of the table, their width, and the shape of the indices of samples.
const SAMPLES: [(usize, usize, &[usize]); 4] = [(1, 1, &[1]), (7, 4, &[17]), (3, 1, &[2, 3]), (65, 3, &[5])];
