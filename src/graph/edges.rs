//! Builder methods for the edges of fixed graphs, and of each graph of a batch.

use super::ops::{
    EdgeDot, EdgeSoftmax, Links, NeighbourSum, Op, OwnEdgeDot, OwnEdgeSoftmax, OwnNeighbourSum,
};
use super::{Built, Graph, ValueId};
use crate::base::packed::Packed;
use crate::base::tensor::{DType, TensorType};

/// The edges of each graph of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    /// The sizes of graphs.
    pub packed: Packed,
    /// Their words, `u32[B, words]`.
    pub words: ValueId,
    /// Whether edges lead from their targets to their sources.
    pub flipped: bool,
}

impl Own {
    /// The edges the other way.
    pub fn back(self) -> Self {
        Self { flipped: !self.flipped, ..self }
    }
}

impl Graph {
    /// The sum over the edges of each row of `links` of `x` `[B, columns, C]` at their columns, times their `weights`
    /// `[B, edges, H]` or `[1, edges, H]`: `[B, rows, C]`; 0 for rows without edges. Rows with very many edges are added
    /// up in pieces.
    pub fn neighbour_sum(&mut self, x: ValueId, weights: Option<ValueId>, links: &Links) -> Built {
        if links.edges() == 0
            && let [batch, _, width] = self.shape(x)[..]
        {
            let zero = self.scalar(0.0)?;
            return self.broadcast(zero, &[batch, links.extents()[0], width]);
        }
        if let Some([left, right]) = links.in_pieces() {
            let pieces = self.neighbour_sum(x, weights, &right)?;
            return self.neighbour_sum(pieces, None, &left);
        }
        let op = NeighbourSum { links: links.clone(), weighted: weights.is_some() };
        let mut inputs = vec![x, self.words(&links.by_row.starts)?, self.words(&links.by_row.others)?];
        inputs.extend(weights);
        if let Some(numbers) = op.numbers() {
            inputs.push(self.words(numbers)?);
        }
        self.push(Op::NeighbourSum(op), &inputs)
    }

    /// For each edge and each of `heads` parts of the columns the product of `rows` `[B, rows, C]` at its row and
    /// `columns` `[B, columns, C]` at its column: `[B, edges, heads]`.
    pub fn edge_dot(&mut self, rows: ValueId, columns: ValueId, heads: usize, links: &Links) -> Built {
        let inputs = [rows, columns, self.words(&links.rows)?, self.words(&links.columns)?];
        self.push(Op::EdgeDot(EdgeDot { links: links.clone(), heads }), &inputs)
    }

    /// Softmax of `x` `[B, edges, H]` over the edges of each row of `links`, which are numbered row by row.
    pub fn edge_softmax(&mut self, x: ValueId, links: &Links) -> Built {
        let starts = self.words(&links.by_row.starts)?;
        self.push(Op::EdgeSoftmax(EdgeSoftmax { links: links.clone() }), &[x, starts])
    }

    /// Like [`Graph::neighbour_sum`] in each graph of a batch: of `x` `[B, N, C]` with `weights` `[B, E, H]`.
    pub fn own_neighbour_sum(&mut self, x: ValueId, weights: Option<ValueId>, own: Own) -> Built {
        let Own { packed, words, flipped } = own;
        let mut inputs = vec![x, words, words];
        inputs.extend(weights);
        if weights.is_some() && flipped {
            inputs.push(words);
        }
        let op = OwnNeighbourSum { packed, flipped, weighted: weights.is_some() };
        self.push(Op::OwnNeighbourSum(op), &inputs)
    }

    /// Like [`Graph::edge_dot`] in each graph of a batch: of values of targets and sources, `[B, N, C]`, to
    /// `[B, E, heads]`, whichever way edges lead.
    pub fn own_edge_dot(&mut self, targets: ValueId, sources: ValueId, heads: usize, own: Own) -> Built {
        let op = OwnEdgeDot { packed: own.packed, heads };
        self.push(Op::OwnEdgeDot(op), &[targets, sources, own.words, own.words])
    }

    /// Like [`Graph::edge_softmax`] in each graph of a batch: of `x` `[B, E, H]` over the edges to each node.
    pub fn own_edge_softmax(&mut self, x: ValueId, own: Own) -> Built {
        self.push(Op::OwnEdgeSoftmax(OwnEdgeSoftmax { packed: own.packed }), &[x, own.words])
    }

    /// For each edge of each graph of a batch what its target has and what its source has, added up: of `[B, N, H]`
    /// both, `[B, E, H]`.
    pub fn own_edge_sum(&mut self, targets: ValueId, sources: ValueId, own: Own) -> Built {
        // The products of (target, 1) and (1, source).
        let [batch, nodes, heads] = self.shape(targets)[..] else {
            return Err(self.error("own_edge_sum", &[targets], "expected values of nodes".into()));
        };
        let ones = self.ones(&[batch, nodes, heads, 1])?;
        let targets = self.reshape(targets, &[batch, nodes, heads, 1])?;
        let targets = self.concat(&[targets, ones], 3)?;
        let sources = self.reshape(sources, &[batch, nodes, heads, 1])?;
        let sources = self.concat(&[ones, sources], 3)?;
        let pairs = [batch, nodes, 2 * heads];
        let (targets, sources) = (self.reshape(targets, &pairs)?, self.reshape(sources, &pairs)?);
        self.own_edge_dot(targets, sources, heads, own)
    }

    /// Ones.
    pub(super) fn ones(&mut self, shape: &[usize]) -> Built {
        let one = self.scalar(1.0)?;
        self.broadcast(one, shape)
    }

    /// A constant vector of integers.
    pub fn words(&mut self, words: &[u32]) -> Built {
        self.words_of(&[words.len()], words)
    }

    /// Constant integers.
    pub fn words_of(&mut self, shape: &[usize], words: &[u32]) -> Built {
        let ty = TensorType { shape: shape.to_vec(), dtype: DType::U32 };
        self.push(Op::Constant(super::ops::Constant { data: words.to_vec(), ty }), &[])
    }
}
