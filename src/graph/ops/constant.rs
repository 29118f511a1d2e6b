//! Constant tensors and the scalars of a step.

use super::{EvalContext, Lowering, OpDef};
use crate::base::step::StepScalar;
use crate::base::tensor::{DType, Tensor, TensorType, elements};
use crate::graph::samples::Collection;
use crate::graph::{Graph, GraphError, ValueId};
use crate::scalar::{Inst, UnaryFn};

/// A constant: one word per element, or a single word shared by all elements.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Constant {
    /// Bits of the elements.
    pub data: Vec<u32>,
    /// Shape and type.
    pub ty: TensorType,
}

impl Constant {
    /// A scalar `f32`.
    pub fn scalar(value: f32) -> Self {
        Self { data: vec![value.to_bits()], ty: TensorType::f32([]) }
    }
}

impl OpDef for Constant {
    fn name(&self) -> &'static str {
        "constant"
    }

    fn infer(&self, _inputs: &[&TensorType]) -> Result<TensorType, String> {
        if self.data.len() != elements(&self.ty.shape) {
            return Err(format!("{} elements for {}", self.data.len(), self.ty));
        }
        Ok(self.ty.clone())
    }

    fn vjp(
        &self,
        _: &mut Graph,
        _: &[ValueId],
        _: ValueId,
        _: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        Ok(vec![])
    }

    fn eval(&self, _inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let value = |&bits: &u32| match ty.dtype {
            DType::F32 => f64::from(f32::from_bits(bits)),
            DType::U32 => f64::from(bits),
        };
        Tensor::new(ty.shape.clone(), self.data.iter().map(value).collect())
    }

    fn lower(&self, _inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        Lowering::Leaf
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        all.add("constant [2, 3]".into(), |g| {
            let x = g.normal(&[2, 3])?;
            let constant = g.graph.constant(&[2, 3], &[0.5, -1.0, 2.0, 0.25, 3.0, -0.125])?;
            let product = g.graph.mul(x, constant)?;
            g.graph.unary(UnaryFn::Tanh, product)
        })
    }
}

/// A scalar of the current step, such as the learning rate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StepScalarOp {
    /// Which one.
    pub scalar: StepScalar,
}

impl OpDef for StepScalarOp {
    fn name(&self) -> &'static str {
        "step_scalar"
    }

    fn infer(&self, _inputs: &[&TensorType]) -> Result<TensorType, String> {
        Ok(TensorType::f32([]))
    }

    fn vjp(
        &self,
        _: &mut Graph,
        _: &[ValueId],
        _: ValueId,
        _: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        Ok(vec![])
    }

    fn eval(&self, _inputs: &[&Tensor], _ty: &TensorType, context: &EvalContext) -> Tensor {
        Tensor::scalar(f64::from(context.step.scalar(self.scalar)))
    }

    fn lower(&self, _inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        let scalar = self.scalar;
        Lowering::Scalar(Box::new(move |_| Inst::Step(scalar)))
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        all.add("step_scalar".into(), |g| {
            let x = g.normal(&[5])?;
            let rate = g.graph.step_scalar(StepScalar::LearningRate)?;
            let scaled = g.graph.mul(x, rate)?;
            g.graph.exp(scaled)
        })
    }
}
