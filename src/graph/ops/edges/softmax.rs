//! Softmax over the edges of each row.

use super::super::{EvalContext, Lowering, OpDef};
use super::{Links, check_constants, leading, of_edges};
use crate::base::tensor::{Tensor, TensorType};
use crate::graph::samples::Collection;
use crate::graph::{Graph, GraphError, ValueId};
use crate::kernels::{Kernel, edges};
use crate::oracle::edges::softmax;

/// Edges of a row that one invocation of a shader can read three times.
const LONGEST: usize = 20_000;

/// `y[b, e, h] = e^x[b, e, h] / sum over the edges e' of the same row of e^x[b, e', h]` of `[B, edges, H]`, where edges
/// are numbered row by row; stable (the maximum of the row is subtracted first).
///
/// Gradient: `dx = y (dy - s)` with the sum `s` of `dy y` over the edges of the row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EdgeSoftmax {
    /// The edges.
    pub links: Links,
}

impl EdgeSoftmax {
    fn sizes(&self, inputs: &[&TensorType]) -> Result<edges::EdgeSoftmax, String> {
        let (ends, edges) = (&*self.links.by_row, self.links.edges());
        let floats = leading(inputs, 1)?;
        let [batch, _, heads] = of_edges(floats[0], edges)?;
        if ends.numbers.is_some() {
            return Err("expected edges that are numbered row by row".into());
        }
        if ends.longest > LONGEST {
            let longest = ends.longest;
            return Err(format!(
                "a node has {longest} incoming edges, and attention weighs at most {LONGEST}; leave some out, or use \
                 `graph_conv` or `graph_sage`"
            ));
        }
        let rows = self.links.extents()[0];
        check_constants(&inputs[1..], &[rows + 1])?;
        Ok(edges::EdgeSoftmax { batch, rows, edges, heads, longest: ends.longest, own: false })
    }
}

impl OpDef for EdgeSoftmax {
    fn name(&self) -> &'static str {
        "edge_softmax"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let sizes = self.sizes(inputs)?;
        Ok(TensorType::f32([sizes.batch, sizes.edges, sizes.heads]))
    }

    fn vjp(
        &self,
        g: &mut Graph,
        _: &[ValueId],
        y: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let of_rows = self.links.of_rows();
        let products = g.mul(dy, y)?;
        let sums = g.neighbour_sum(products, None, &of_rows)?;
        let sums = g.neighbour_sum(sums, None, &of_rows.flipped())?;
        let rest = g.sub(dy, sums)?;
        Ok(vec![Some(g.mul(y, rest)?), None])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        Tensor::new(ty.shape.clone(), softmax(&self.links.by_row.starts, &inputs[0].data, ty.shape[2]))
    }

    fn lower(&self, inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        // The shapes were checked when the node was made.
        let kernel = self.sizes(inputs).unwrap_or_else(|_| edges::EdgeSoftmax::nothing());
        Lowering::Kernel { kernel: Kernel::new(kernel), output: 0 }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        for (name, links) in super::samples() {
            if links.by_row.numbers.is_some() {
                continue;
            }
            for (batch, heads) in [(1, 1), (2, 3)] {
                all.add(format!("edge_softmax {name} [{batch}, {}, {heads}]", links.edges()), |g| {
                    let x = g.normal(&[batch, links.edges(), heads])?;
                    g.graph.edge_softmax(x, &links)
                })?;
            }
        }
        Ok(())
    }
}
