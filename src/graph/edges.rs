//! Builder methods for the edges of fixed graphs.

use super::ops::{EdgeDot, EdgeSoftmax, Links, NeighbourSum, Op};
use super::{Built, Graph, ValueId};
use crate::base::tensor::{DType, TensorType};

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

    /// A constant vector of integers.
    pub fn words(&mut self, words: &[u32]) -> Built {
        let ty = TensorType { shape: vec![words.len()], dtype: DType::U32 };
        self.push(Op::Constant(super::ops::Constant { data: words.to_vec(), ty }), &[])
    }
}
