//! The products of what the two ends of each edge have.

use super::super::{EvalContext, Lowering, OpDef};
use super::{Links, check_constants, leading, of_nodes};
use crate::base::tensor::{Tensor, TensorType};
use crate::graph::samples::Collection;
use crate::graph::{Graph, GraphError, ValueId};
use crate::kernels::{Kernel, edges};
use crate::oracle::edges::dots;

/// `y[b, e, h] = sum over the C / H columns c of head h of a[b, row of e, c] a'[b, column of e, c]`: values of the rows
/// `[B, rows, C]` and of the columns `[B, columns, C]` to `[B, edges, H]`.
///
/// Gradients are sums over neighbours ([`super::NeighbourSum`]) with `dy` as weights.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EdgeDot {
    /// The edges.
    pub links: Links,
    /// Parts of the columns that are added up by themselves.
    pub heads: usize,
}

impl EdgeDot {
    fn sizes(&self, inputs: &[&TensorType]) -> Result<edges::EdgeDot, String> {
        let [rows, columns] = self.links.extents();
        let floats = leading(inputs, 2)?;
        let [batch, _, width] = of_nodes(floats[0], rows)?;
        let other = of_nodes(floats[1], columns)?;
        if other != [batch, columns, width] {
            return Err(format!(
                "expected values of the columns f32[{batch}, {columns}, {width}], found {}",
                floats[1]
            ));
        }
        if self.heads == 0 || !width.is_multiple_of(self.heads) {
            return Err(format!("{} heads do not divide {width} values of a node", self.heads));
        }
        let edges = self.links.edges();
        check_constants(&inputs[2..], &[edges, edges])?;
        Ok(edges::EdgeDot { batch, rows, columns, edges, width, heads: self.heads, own: false })
    }
}

impl OpDef for EdgeDot {
    fn name(&self) -> &'static str {
        "edge_dot"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let sizes = self.sizes(inputs)?;
        Ok(TensorType::f32([sizes.batch, sizes.edges, sizes.heads]))
    }

    fn vjp(
        &self,
        g: &mut Graph,
        x: &[ValueId],
        _: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let of_rows = g.neighbour_sum(x[1], Some(dy), &self.links)?;
        let of_columns = g.neighbour_sum(x[0], Some(dy), &self.links.flipped())?;
        Ok(vec![Some(of_rows), Some(of_columns), None, None])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let ends = [&self.links.rows[..], &self.links.columns[..]];
        let sides = [&inputs[0].data[..], &inputs[1].data[..]];
        let width = inputs[0].shape[2];
        Tensor::new(
            ty.shape.clone(),
            dots(ty.shape[0], ends, sides, self.links.extents(), [width, self.heads]),
        )
    }

    fn lower(&self, inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        // The shapes were checked when the node was made.
        let kernel = self.sizes(inputs).unwrap_or_else(|_| edges::EdgeDot::nothing());
        Lowering::Kernel { kernel: Kernel::new(kernel), output: 0 }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        for (name, links) in super::samples() {
            for (batch, width, heads) in [(1, 1, 1), (2, 6, 3), (3, 17, 1)] {
                let [rows, columns] = links.extents();
                all.add(format!("edge_dot {name} [{batch}, {rows}, {width}] {heads} heads"), |g| {
                    let (a, b) = (g.normal(&[batch, rows, width])?, g.normal(&[batch, columns, width])?);
                    g.graph.edge_dot(a, b, heads, &links)
                })?;
            }
        }
        Ok(())
    }
}
