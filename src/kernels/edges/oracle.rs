//! Sums, products and softmax over edges.

use super::{EdgeDot, EdgeSoftmax, NeighbourSum, Weights};
use crate::kernels::oracle::Operands;
use crate::oracle::Approx;
use crate::oracle::edges::{self, Sums, dots};

/// Whole numbers as such.
fn integers(words: &[f64]) -> Vec<u32> {
    words.iter().map(|&word| word as u32).collect()
}

impl NeighbourSum {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let (starts, others) = (integers(&operands.reads[1]), integers(&operands.reads[2]));
        let numbers = self.numbered.then(|| integers(&operands.reads[4]));
        let weights = (self.weights != Weights::None).then(|| edges::Weights {
            data: &operands.reads[3],
            heads: self.heads,
            edges: self.edges,
            shared: self.weights == Weights::Shared,
        });
        let sums = Sums {
            starts: &starts,
            others: &others,
            number: &|at| numbers.as_ref().map_or(at, |numbers| numbers[at] as usize),
            columns: self.columns,
            width: self.width,
        };
        writes[0] = sums.evaluate(self.batch, &operands.reads[0], weights.as_ref());
    }
}

impl EdgeDot {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let ends = [2, 3].map(|at| integers(&operands.reads[at]));
        let sides = [0, 1].map(|at| &operands.reads[at][..]);
        let extents = [self.rows, self.columns];
        writes[0] = dots(self.batch, [&ends[0], &ends[1]], sides, extents, [self.width, self.heads]);
    }
}

impl EdgeSoftmax {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        writes[0] = edges::softmax(&integers(&operands.reads[1]), &operands.reads[0], self.heads);
    }
}
