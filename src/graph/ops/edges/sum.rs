//! The product of a sparse matrix and dense ones: sums over neighbours.

use super::super::{EvalContext, Lowering, OpDef};
use super::{Links, PIECE, check_constants, of_edges, of_nodes};
use crate::base::tensor::{Tensor, TensorType};
use crate::graph::samples::Collection;
use crate::graph::{Graph, GraphError, ValueId};
use crate::kernels::{Kernel, edges};
use crate::oracle::edges::{Sums, Weights};

/// `y[b, i, c] = sum over the edges e of row i of w[b, e, h] x[b, column of e, c]`, in the order of their numbers, with
/// `h = c / (C / H)`: values `[B, columns, C]`, weights `[B, edges, H]`, or `[1, edges, H]` for all of the batch, to
/// `[B, rows, C]`; all weights are 1 without that operand. A row without edges gets 0.
///
/// Gradients: of the values, the sum over the transposed edges; of the weights, [`super::EdgeDot`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NeighbourSum {
    /// The edges.
    pub links: Links,
    /// Whether there are weights.
    pub weighted: bool,
}

impl NeighbourSum {
    /// The number of the weight of each edge, if they are read in another order than edges lie in.
    pub fn numbers(&self) -> Option<&[u32]> {
        self.links.by_row.numbers.as_deref().filter(|_| self.weighted)
    }

    fn sizes(&self, inputs: &[&TensorType]) -> Result<edges::NeighbourSum, String> {
        let [rows, columns] = self.links.extents();
        let edges = self.links.edges();
        let numbered = self.numbers().is_some();
        let count = 3 + usize::from(self.weighted) + usize::from(numbered);
        if inputs.len() != count {
            return Err(format!("expected {count} operands, found {}", inputs.len()));
        }
        let [batch, _, width] = of_nodes(inputs[0], columns)?;
        let (mut heads, mut weights) = (1, edges::Weights::None);
        if self.weighted {
            let found = of_edges(inputs[3], edges)?;
            heads = found[2];
            weights = if found[0] == 1 { edges::Weights::Shared } else { edges::Weights::Each };
            if found[0] != 1 && found[0] != batch {
                return Err(format!("expected weights of 1 or {batch} graphs, found {}", found[0]));
            }
            if !width.is_multiple_of(heads) {
                return Err(format!("{heads} heads do not divide {width} values of a node"));
            }
        }
        check_constants(&inputs[1..3], &[rows + 1, edges])?;
        if numbered {
            check_constants(&inputs[4..], &[edges])?;
        }
        Ok(edges::NeighbourSum {
            batch,
            rows,
            columns,
            edges,
            width,
            heads,
            weights,
            numbered,
            longest: self.links.by_row.longest,
            own: None,
        })
    }
}

impl OpDef for NeighbourSum {
    fn name(&self) -> &'static str {
        "neighbour_sum"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let sizes = self.sizes(inputs)?;
        Ok(TensorType::f32([sizes.batch, sizes.rows, sizes.width]))
    }

    fn vjp(
        &self,
        g: &mut Graph,
        x: &[ValueId],
        _: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let weights = self.weighted.then(|| x[3]);
        let mut gradients = vec![Some(g.neighbour_sum(dy, weights, &self.links.flipped())?), None, None];
        if let Some(weights) = weights {
            let [shared, _, heads] = g.shape(weights)[..] else { return Ok(gradients) };
            let each = g.edge_dot(dy, x[0], heads, &self.links)?;
            let several = shared == 1 && g.shape(each)[0] > 1;
            gradients.push(Some(if several { g.sum(each, &[0], true)? } else { each }));
        }
        gradients.resize(x.len(), None);
        Ok(gradients)
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let ends = &*self.links.by_row;
        let weights = self.weighted.then(|| {
            let [shared, edges, heads] = [0, 1, 2].map(|axis| inputs[3].shape[axis]);
            Weights { data: &inputs[3].data, heads, edges, shared: shared == 1 }
        });
        let sums = Sums {
            starts: &ends.starts,
            others: &ends.others,
            number: &|at| ends.number(at),
            columns: self.links.extents()[1],
            width: ty.shape[2],
        };
        Tensor::new(ty.shape.clone(), sums.evaluate(ty.shape[0], &inputs[0].data, weights.as_ref()))
    }

    fn lower(&self, inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        // The shapes were checked when the node was made.
        let kernel = self.sizes(inputs).unwrap_or_else(|_| edges::NeighbourSum::nothing());
        Lowering::Kernel { kernel: Kernel::new(kernel), output: 0 }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        for (name, links) in super::samples() {
            for (batch, width, heads) in [(1, 1, 1), (2, 6, 3), (3, 17, 1)] {
                let [_, columns] = links.extents();
                all.add(format!("neighbour_sum {name} [{batch}, {columns}, {width}]"), |g| {
                    let x = g.normal(&[batch, columns, width])?;
                    let y = g.graph.neighbour_sum(x, None, &links)?;
                    g.graph.unary(crate::scalar::UnaryFn::Tanh, y)
                })?;
                for graphs in [1, batch] {
                    let shape = [graphs, links.edges(), heads];
                    all.add(format!("neighbour_sum {name} {shape:?} [{batch}, {columns}, {width}]"), |g| {
                        let (x, w) = (g.normal(&[batch, columns, width])?, g.normal(&shape)?);
                        g.graph.neighbour_sum(x, Some(w), &links)
                    })?;
                }
            }
        }
        // A hub, which is cut.
        let count = (2 * PIECE + 3) as u32;
        let hub = Links::new(
            (0..count).map(|e| u32::from(e == 9)).collect(),
            (0..count).map(|e| e % 5).collect(),
            [3, 5],
        );
        let Ok(hub) = hub else { return Ok(()) };
        all.add("neighbour_sum of a hub".into(), |g| {
            let (x, w) = (g.normal(&[1, 5, 2])?, g.normal(&[1, hub.edges(), 1])?);
            g.graph.neighbour_sum(x, Some(w), &hub)
        })
    }
}
