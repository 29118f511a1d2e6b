//! The gradient of normalisation with only two sums.

use super::{EvalContext, Lowering, OpDef, ViewChange, check_f32, operands};
use crate::base::tensor::{Tensor, TensorType};
use crate::graph::samples::Collection;
use crate::graph::{Graph, GraphError, ValueId};

/// `y = (x - mean) / deviation * weight + bias`, computed by other operators, with a gradient that
/// differentiating those one by one would reach only with twice as many sums. Operands: `y` itself, `x`, the
/// normalised values `n = (x - mean) / deviation`, `1 / deviation`, `weight` and `bias`; the last two have
/// `x`'s rank, with extent 1 where they broadcast.
///
/// Gradient (Ioffe and Szegedy 2015, arXiv:1502.03167, section 3): for `g = dy weight` and means over `axes`,
/// `dx = (g - mean(g) - n mean(g n)) / deviation`. It is built as graph, so it can be differentiated again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Normalise {
    /// Axes of the mean and the deviation.
    pub axes: Vec<usize>,
}

/// Sums `x` to the extents of `to`, which has the same rank.
fn sum_to(g: &mut Graph, x: ValueId, to: ValueId) -> Result<ValueId, GraphError> {
    let (from, to) = (g.shape(x).clone(), g.shape(to).clone());
    let axes: Vec<usize> = (0..from.len()).filter(|&d| from[d] != to[d]).collect();
    g.sum(x, &axes, true)
}

impl OpDef for Normalise {
    fn name(&self) -> &'static str {
        "normalise"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let all: [&TensorType; 6] = operands(inputs)?;
        check_f32(&all)?;
        let [y, x, normal, ..] = all;
        if y != x || x != normal {
            return Err(format!("expected three values of one shape, found {y}, {x}, {normal}"));
        }
        let fits = |t: &TensorType| {
            t.shape.len() == x.shape.len() && t.shape.iter().zip(&x.shape).all(|(a, b)| *a == 1 || a == b)
        };
        match all[3..].iter().find(|t| !fits(t)) {
            Some(t) => Err(format!("{t} does not broadcast to {x} axis by axis")),
            None => Ok(y.clone()),
        }
    }

    fn vjp(
        &self,
        g: &mut Graph,
        inputs: &[ValueId],
        _y: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let (normal, inverse, weight, bias) = (inputs[2], inputs[3], inputs[4], inputs[5]);
        let count: usize = self.axes.iter().map(|&d| g.shape(normal)[d]).product();
        let products = g.mul(dy, normal)?;
        let (d_weight, d_bias) = (sum_to(g, products, weight)?, sum_to(g, dy, bias)?);
        // If the weight is constant along `axes`, the sums above are sufficient.
        let constant = self.axes.iter().all(|&d| g.shape(weight)[d] == 1);
        let mean = |g: &mut Graph, of: ValueId| {
            let sum = match constant {
                true => {
                    let sum = g.sum(of, &self.axes, true)?;
                    g.mul(sum, weight)?
                }
                false => {
                    let scaled = g.mul(of, weight)?;
                    g.sum(scaled, &self.axes, true)?
                }
            };
            g.mul_scalar(sum, 1.0 / count as f64)
        };
        let (mean_gradient, mean_product) = (mean(g, dy)?, mean(g, products)?);
        let scaled = g.mul(dy, weight)?;
        let centred = g.sub(scaled, mean_gradient)?;
        let along = g.mul(normal, mean_product)?;
        let difference = g.sub(centred, along)?;
        let dx = g.mul(difference, inverse)?;
        Ok(vec![None, Some(dx), None, None, Some(d_weight), Some(d_bias)])
    }

    fn eval(&self, inputs: &[&Tensor], _ty: &TensorType, _context: &EvalContext) -> Tensor {
        inputs[0].clone()
    }

    fn lower(&self, _inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        Lowering::View(ViewChange::Reshape)
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        let cases: [(&[usize], &[usize], &[usize]); 5] = [
            (&[17, 5], &[0], &[1, 5]),
            (&[3, 33], &[1], &[1, 33]),
            (&[3, 4, 5, 6], &[0, 1, 2], &[1, 1, 1, 6]),
            (&[2, 9, 2, 3], &[1, 3], &[1, 1, 2, 3]),
            (&[4, 1, 3, 8], &[0, 1, 2], &[1, 1, 1, 8]),
        ];
        for (shape, axes, weight) in cases {
            all.add(format!("normalise {shape:?} over {axes:?}"), |g| {
                let (x, w, b) = (g.normal(shape)?, g.normal(weight)?, g.normal(weight)?);
                Ok(g.graph.normalise(x, axes, 1e-5, w, b)?.y)
            })?;
        }
        Ok(())
    }
}
