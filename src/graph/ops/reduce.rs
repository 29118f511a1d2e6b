//! Sums and maxima over axes.

use super::views::for_each_index;
use super::{EvalContext, Lowering, OpDef, check_f32, operands};
use crate::base::tensor::{DType, Tensor, TensorType, contiguous_strides};
use crate::graph::samples::{Collection, Draw};
use crate::graph::{Graph, GraphError, ValueId};
use crate::oracle;
use crate::scalar::{ReduceKind, UnaryFn};

/// Combines the elements along `axes`, which stay with extent 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reduce {
    /// Sum or maximum.
    pub kind: ReduceKind,
    /// Axes, ascending.
    pub axes: Vec<usize>,
}

impl OpDef for Reduce {
    fn name(&self) -> &'static str {
        match self.kind {
            ReduceKind::Sum => "sum",
            ReduceKind::Max => "max",
        }
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [x] = operands(inputs)?;
        check_f32(&[x])?;
        let ascending = self.axes.windows(2).all(|w| w[0] < w[1]);
        if !ascending || self.axes.iter().any(|&a| a >= x.shape.len()) {
            return Err(format!(
                "axes {:?} are not ascending axes of a tensor of rank {}",
                self.axes,
                x.shape.len()
            ));
        }
        let shape = (0..x.shape.len()).map(|d| if self.axes.contains(&d) { 1 } else { x.shape[d] }).collect();
        Ok(TensorType { shape, dtype: DType::F32 })
    }

    /// The gradient of a maximum goes to the largest elements in equal parts, as PyTorch's `amax`.
    fn vjp(
        &self,
        g: &mut Graph,
        inputs: &[ValueId],
        y: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let shape = g.shape(inputs[0]).clone();
        let wide = g.broadcast(dy, &shape)?;
        let dx = match self.kind {
            ReduceKind::Sum => wide,
            ReduceKind::Max => {
                let largest = g.equal(inputs[0], y)?;
                let count = g.sum(largest, &self.axes, true)?;
                let share = g.div(largest, count)?;
                g.mul(wide, share)?
            }
        };
        Ok(vec![Some(dx)])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let mut terms = vec![vec![]; ty.elements()];
        let strides = contiguous_strides(&ty.shape);
        for_each_index(&inputs[0].shape, |linear, index| {
            let kept = (0..index.len()).filter(|d| !self.axes.contains(d));
            let at: usize = kept.map(|d| index[d] * strides[d]).sum();
            terms[at].push(inputs[0].data[linear]);
        });
        let reduced = |terms: Vec<f64>| oracle::reduce::reduce(self.kind, terms.into_iter());
        Tensor::new(ty.shape.clone(), terms.into_iter().map(reduced).collect())
    }

    fn lower(&self, _inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        Lowering::Reduce { kind: self.kind, axes: self.axes.clone() }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        let shapes: [(&[usize], &[usize]); 9] = [
            (&[1], &[0]),
            (&[65], &[0]),
            (&[3, 17], &[0]),
            (&[3, 17], &[1]),
            (&[2, 3, 5], &[1]),
            (&[2, 3, 5], &[0, 2]),
            (&[2, 3, 5], &[0, 1, 2]),
            (&[257, 3], &[0]),
            (&[3, 257], &[1]),
        ];
        for (shape, axes) in shapes {
            for keep in [false, true] {
                all.add(format!("sum {shape:?} over {axes:?}"), |g| {
                    let x = g.normal(shape)?;
                    let square = g.graph.unary(UnaryFn::Square, x)?;
                    g.graph.sum(square, axes, keep)
                })?;
            }
            all.add(format!("mean {shape:?} over {axes:?}"), |g| {
                let x = g.normal(shape)?;
                let mean = g.graph.mean(x, axes, false)?;
                g.graph.unary(UnaryFn::Tanh, mean)
            })?;
            all.add(format!("max {shape:?} over {axes:?}"), |g| {
                let x = g.draw(shape, Draw::Lattice { shift: 0.0 })?;
                let max = g.graph.max(x, axes, false)?;
                g.graph.unary(UnaryFn::Square, max)
            })?;
        }
        Ok(())
    }
}
