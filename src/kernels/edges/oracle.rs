//! Sums, products and softmax over edges.

use super::{EdgeDot, EdgeSoftmax, End, NeighbourSum, Weights};
use crate::kernels::oracle::Operands;
use crate::oracle::edges::{self, Sums, dots};
use crate::oracle::{Approx, graphs};

/// Whole numbers as such.
fn integers(words: &[f64]) -> Vec<u32> {
    words.iter().map(|&word| word as u32).collect()
}

impl NeighbourSum {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let read = |at: usize| operands.reads.get(at).map_or(&[][..], |words| &words[..]);
        if let Some(end) = self.own {
            let weights = (self.weights != Weights::None).then(|| (read(3), self.heads));
            let by = (self.packed(), end == End::Source);
            let words = [read(1), read(2), read(4)];
            writes[0] = graphs::sums(by, [self.batch, self.width], words, read(0), weights);
            return;
        }
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
        let sides = [0, 1].map(|at| &operands.reads[at][..]);
        if self.own {
            let words = [2, 3].map(|at| &operands.reads[at][..]);
            writes[0] = graphs::products(self.packed(), self.batch, words, sides, [self.width, self.heads]);
            return;
        }
        let ends = [2, 3].map(|at| integers(&operands.reads[at]));
        let extents = [self.rows, self.columns];
        writes[0] = dots(self.batch, [&ends[0], &ends[1]], sides, extents, [self.width, self.heads]);
    }
}

impl EdgeSoftmax {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let [x, starts] = [0, 1].map(|at| &operands.reads[at][..]);
        writes[0] = match self.own {
            true => graphs::weights(self.packed(), starts, x, self.heads),
            false => edges::softmax(&integers(starts), x, self.heads),
        };
    }
}
