//! Counter-based random tensors: they have the same bits at every evaluation of a step, so they are never
//! stored.

use super::{EvalContext, Lowering, OpDef};
use crate::base::rng;
use crate::base::rng::RandomKind;
use crate::base::tensor::{Shape, Tensor, TensorType, elements};
use crate::graph::samples::Collection;
use crate::graph::{Graph, GraphError, ValueId};
use crate::scalar::{Inst, UnaryFn};

/// Random elements of one of the run's streams.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Random {
    /// Distribution.
    pub kind: RandomKind,
    /// Stream; different streams are independent.
    pub stream: u32,
    /// Shape of the result.
    pub shape: Shape,
}

impl OpDef for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn infer(&self, _inputs: &[&TensorType]) -> Result<TensorType, String> {
        Ok(TensorType::f32(self.shape.clone()))
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

    fn eval(&self, _inputs: &[&Tensor], ty: &TensorType, context: &EvalContext) -> Tensor {
        let step = &context.step;
        let count = elements(&ty.shape);
        let element = |i| f64::from(rng::element(self.kind, step, self.stream, step.element(i, count)));
        Tensor::new(ty.shape.clone(), (0..count).map(element).collect())
    }

    fn lower(&self, _inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        let (kind, stream) = (self.kind, self.stream);
        Lowering::Scalar(Box::new(move |_| Inst::Random { kind, stream }))
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        let kinds = [RandomKind::Uniform, RandomKind::Normal, RandomKind::Mask { threshold: 1 << 31 }];
        for kind in kinds {
            all.add(format!("random {kind:?}"), |g| {
                let x = g.normal(&[3, 17])?;
                let random = g.graph.random(kind, 3, &[3, 17])?;
                let product = g.graph.mul(x, random)?;
                g.graph.unary(UnaryFn::Tanh, product)
            })?;
        }
        Ok(())
    }
}
