//! The operators on edges for batches of graphs, each with edges of its own, whose words are [`Packed`] `u32[B, words]`:
//! the second operand, which is repeated for each of the operands that kernels of fixed graphs read of edges.

use super::super::{EvalContext, Lowering, OpDef};
use super::{of_edges, of_nodes};
use crate::base::packed::Packed;
use crate::base::tensor::{DType, Tensor, TensorType};
use crate::graph::edges::Own;
use crate::graph::samples::Collection;
use crate::graph::{Graph, GraphError, ValueId};
use crate::kernels::edges::End;
use crate::kernels::{Kernel, edges};
use crate::oracle::graphs;

/// Edges that one invocation of a shader may read.
const MOST: usize = 60_000;

/// [`super::NeighbourSum`] in each graph: values `[B, N, C]`, and weights `[B, E, H]` unless all are 1, to `[B, N, C]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnNeighbourSum {
    /// The sizes of graphs.
    pub packed: Packed,
    /// Whether edges lead from their targets to their sources.
    pub flipped: bool,
    /// Whether there are weights.
    pub weighted: bool,
}

/// [`super::EdgeDot`] in each graph: values of targets `[B, N, C]` and of sources `[B, N, C]` to `[B, E, H]`, 0 for edges
/// that a graph lacks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnEdgeDot {
    /// The sizes of graphs.
    pub packed: Packed,
    /// Parts of the values that are added up by themselves.
    pub heads: usize,
}

/// [`super::EdgeSoftmax`] over the edges to each node of each graph: `[B, E, H]`, 0 for edges that a graph lacks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnEdgeSoftmax {
    /// The sizes of graphs.
    pub packed: Packed,
}

/// Checks the operands that hold edges, at these places of `count`.
fn check_words(inputs: &[&TensorType], places: &[usize], packed: Packed, batch: usize) -> Result<(), String> {
    let words = [batch, packed.words()];
    for &at in places {
        let found = inputs.get(at).ok_or("an operand with edges is missing")?;
        if found.dtype != DType::U32 || found.shape != words {
            return Err(format!("expected edges u32{words:?}, found {found}"));
        }
    }
    Ok(())
}

/// The type of an operand.
fn operand<'a>(inputs: &[&'a TensorType], at: usize) -> Result<&'a TensorType, String> {
    inputs.get(at).copied().ok_or_else(|| format!("operand {at} is missing"))
}

impl OwnNeighbourSum {
    fn sizes(&self, inputs: &[&TensorType]) -> Result<edges::NeighbourSum, String> {
        let Packed { nodes, edges, longest } = self.packed;
        let [batch, _, width] = of_nodes(operand(inputs, 0)?, nodes)?;
        let numbered = self.weighted && self.flipped;
        check_words(inputs, if numbered { &[1, 2, 4] } else { &[1, 2] }, self.packed, batch)?;
        let (mut heads, mut weights) = (1, edges::Weights::None);
        if self.weighted {
            let found = of_edges(operand(inputs, 3)?, edges)?;
            (heads, weights) = (found[2], edges::Weights::Each);
            if found[0] != batch || !width.is_multiple_of(heads) {
                return Err(format!(
                    "expected weights of {batch} graphs whose heads divide {width}, found {found:?}"
                ));
            }
        }
        if longest > MOST {
            return Err(format!(
                "a node has {longest} edges, and one of many graphs has at most {MOST}; leave some out"
            ));
        }
        let own = Some(if self.flipped { End::Source } else { End::Target });
        let (rows, columns) = (nodes, nodes);
        Ok(edges::NeighbourSum { batch, rows, columns, edges, width, heads, weights, numbered, longest, own })
    }
}

impl OpDef for OwnNeighbourSum {
    fn name(&self) -> &'static str {
        "own_neighbour_sum"
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
        let own = Own { packed: self.packed, words: x[1], flipped: self.flipped };
        let weights = self.weighted.then(|| x[3]);
        let mut gradients = vec![Some(g.own_neighbour_sum(dy, weights, own.back())?), None, None];
        if let Some(weights) = weights {
            let heads = g.shape(weights)[2];
            let (targets, sources) = if self.flipped { (x[0], dy) } else { (dy, x[0]) };
            gradients.push(Some(g.own_edge_dot(targets, sources, heads, own)?));
        }
        gradients.resize(x.len(), None);
        Ok(gradients)
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let weights = self.weighted.then(|| (&inputs[3].data[..], inputs[3].shape[2]));
        let (words, sizes) = (&inputs[1].data[..], [ty.shape[0], ty.shape[2]]);
        let by = (self.packed, self.flipped);
        Tensor::new(ty.shape.clone(), graphs::sums(by, sizes, [words; 3], &inputs[0].data, weights))
    }

    fn lower(&self, inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        // The shapes were checked when the node was made.
        let kernel = self.sizes(inputs).unwrap_or_else(|_| edges::NeighbourSum::nothing());
        Lowering::Kernel { kernel: Kernel::new(kernel), output: 0 }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        for (batch, width, heads) in SIZES {
            for flipped in [false, true] {
                all.add(format!("own_neighbour_sum {flipped} [{batch}, {width}]"), |g| {
                    let own = samples(&mut g.graph, batch)?;
                    let own = if flipped { own.back() } else { own };
                    let x = g.normal(&[batch, own.packed.nodes, width])?;
                    let y = g.graph.own_neighbour_sum(x, None, own)?;
                    g.graph.unary(crate::scalar::UnaryFn::Tanh, y)
                })?;
                all.add(format!("own_neighbour_sum {flipped} weighted [{batch}, {width}] {heads}"), |g| {
                    let own = samples(&mut g.graph, batch)?;
                    let own = if flipped { own.back() } else { own };
                    let x = g.normal(&[batch, own.packed.nodes, width])?;
                    let w = g.normal(&[batch, own.packed.edges, heads])?;
                    g.graph.own_neighbour_sum(x, Some(w), own)
                })?;
            }
        }
        Ok(())
    }
}

impl OwnEdgeDot {
    fn sizes(&self, inputs: &[&TensorType]) -> Result<edges::EdgeDot, String> {
        let Packed { nodes, edges, .. } = self.packed;
        let [batch, _, width] = of_nodes(operand(inputs, 0)?, nodes)?;
        if of_nodes(operand(inputs, 1)?, nodes)? != [batch, nodes, width] {
            return Err(format!("expected values of sources f32[{batch}, {nodes}, {width}]"));
        }
        check_words(inputs, &[2, 3], self.packed, batch)?;
        if self.heads == 0 || !width.is_multiple_of(self.heads) {
            return Err(format!("{} heads do not divide {width} values of a node", self.heads));
        }
        let (rows, columns) = (nodes, nodes);
        Ok(edges::EdgeDot { batch, rows, columns, edges, width, heads: self.heads, own: true })
    }
}

impl OpDef for OwnEdgeDot {
    fn name(&self) -> &'static str {
        "own_edge_dot"
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
        let own = Own { packed: self.packed, words: x[2], flipped: false };
        let of_targets = g.own_neighbour_sum(x[1], Some(dy), own)?;
        let of_sources = g.own_neighbour_sum(x[0], Some(dy), own.back())?;
        Ok(vec![Some(of_targets), Some(of_sources), None, None])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let sides = [&inputs[0].data[..], &inputs[1].data[..]];
        let (words, sizes) = (&inputs[2].data[..], [inputs[0].shape[2], self.heads]);
        Tensor::new(ty.shape.clone(), graphs::products(self.packed, ty.shape[0], [words; 2], sides, sizes))
    }

    fn lower(&self, inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        // The shapes were checked when the node was made.
        let kernel = self.sizes(inputs).unwrap_or_else(|_| edges::EdgeDot::nothing());
        Lowering::Kernel { kernel: Kernel::new(kernel), output: 0 }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        for (batch, width, heads) in SIZES {
            all.add(format!("own_edge_dot [{batch}, {width}] {heads} heads"), |g| {
                let own = samples(&mut g.graph, batch)?;
                let shape = [batch, own.packed.nodes, width];
                let (a, b) = (g.normal(&shape)?, g.normal(&shape)?);
                g.graph.own_edge_dot(a, b, heads, own)
            })?;
        }
        Ok(())
    }
}

impl OwnEdgeSoftmax {
    fn sizes(&self, inputs: &[&TensorType]) -> Result<edges::EdgeSoftmax, String> {
        let Packed { nodes, edges, longest } = self.packed;
        let [batch, _, heads] = of_edges(operand(inputs, 0)?, edges)?;
        check_words(inputs, &[1], self.packed, batch)?;
        if 3 * longest + edges > MOST {
            return Err(format!(
                "graphs have up to {edges} edges and a node up to {longest}, which attention cannot weigh; leave out \
                 the largest graphs, or use `graph_conv` or `graph_sage`"
            ));
        }
        Ok(edges::EdgeSoftmax { batch, rows: nodes, edges, heads, longest, own: true })
    }
}

impl OpDef for OwnEdgeSoftmax {
    fn name(&self) -> &'static str {
        "own_edge_softmax"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let sizes = self.sizes(inputs)?;
        Ok(TensorType::f32([sizes.batch, sizes.edges, sizes.heads]))
    }

    fn vjp(
        &self,
        g: &mut Graph,
        x: &[ValueId],
        y: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        // Sums over the edges of each node, and again one for each edge: those of ones, and products with ones.
        let own = Own { packed: self.packed, words: x[1], flipped: false };
        let products = g.mul(dy, y)?;
        let [batch, _, heads] = g.shape(products)[..] else { return Ok(vec![None, None]) };
        let ones = g.ones(&[batch, self.packed.nodes, heads])?;
        let sums = g.own_neighbour_sum(ones, Some(products), own)?;
        let sums = g.own_edge_dot(sums, ones, heads, own)?;
        let rest = g.sub(dy, sums)?;
        Ok(vec![Some(g.mul(y, rest)?), None])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let found = graphs::weights(self.packed, &inputs[1].data, &inputs[0].data, ty.shape[2]);
        Tensor::new(ty.shape.clone(), found)
    }

    fn lower(&self, inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        // The shapes were checked when the node was made.
        let kernel = self.sizes(inputs).unwrap_or_else(|_| edges::EdgeSoftmax::nothing());
        Lowering::Kernel { kernel: Kernel::new(kernel), output: 0 }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        for (batch, heads) in [(1, 1), (3, 3)] {
            all.add(format!("own_edge_softmax [{batch}, {heads}]"), |g| {
                let own = samples(&mut g.graph, batch)?;
                let x = g.normal(&[batch, own.packed.edges, heads])?;
                g.graph.own_edge_softmax(x, own)
            })?;
        }
        Ok(())
    }
}

/// Batch, width and heads of samples.
const SIZES: [(usize, usize, usize); 3] = [(1, 1, 1), (3, 6, 3), (2, 17, 1)];

/// The edges of some graphs: a hub, an isolated node and one edge twice; a single node; none at all.
fn samples(g: &mut Graph, batch: usize) -> Result<Own, GraphError> {
    let several = [[1, 0], [2, 0], [3, 0], [0, 2], [0, 3], [0, 3], [3, 3]];
    let all: [(usize, &[[u32; 2]]); 3] = [(5, &several), (1, &[[0, 0]]), (2, &[])];
    let all = &all[..batch];
    let packed = all.iter().fold(Packed::default(), |packed, (nodes, edges)| packed.with(*nodes, edges));
    // Larger than any of them.
    let packed = Packed { nodes: packed.nodes + 1, edges: packed.edges + 2, ..packed };
    let mut words = vec![];
    all.iter().for_each(|(_, edges)| packed.pack(edges, &mut words));
    Ok(Own { packed, words: g.words_of(&[batch, packed.words()], &words)?, flipped: false })
}
