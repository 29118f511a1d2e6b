//! What the steps of the gradient compute.

use super::{GradientStep, Step};
use crate::kernels::gather::PIECE;
use crate::kernels::oracle::Operands;
use crate::oracle::{Approx, Real};

impl GradientStep {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let reads = operands.reads;
        let out = &mut writes[0];
        match self.step {
            Step::Order { run } => {
                // Whatever was merged before, these are all positions of the runs.
                let mut order: Vec<usize> = (0..self.count).collect();
                for group in order.chunks_mut(Step::merged(run)) {
                    group.sort_by_key(|&position| self.row(reads[0][position]));
                }
                *out = order.iter().map(|&position| Approx::exact(position as f64)).collect();
            }
            Step::Starts => {
                let mut rows: Vec<usize> = reads[0].iter().map(|&index| self.row(index)).collect();
                rows.sort_unstable();
                let before = |row: usize| rows.partition_point(|&other| other < row) as f64;
                *out = (0..=self.vocabulary).map(|row| Approx::exact(before(row))).collect();
            }
            Step::Pieces => {
                out.fill(Approx::exact(0.0));
                for at in self.segments(reads).flat_map(|(pieces, _)| pieces) {
                    for column in 0..self.width {
                        out[at / PIECE * self.width + column] = self.sum(reads, at..at + PIECE, column);
                    }
                }
            }
            Step::Sums => {
                out.clear();
                for (pieces, rest) in self.segments(reads) {
                    for column in 0..self.width {
                        let of_piece = |&at: &usize| reads[3][at / PIECE * self.width + column];
                        let pieces = pieces.iter().map(|at| Approx::exact(of_piece(at)));
                        out.push(Approx::sum(pieces.chain([self.sum(reads, rest.clone(), column)])));
                    }
                }
            }
        }
    }

    fn row(&self, index: f64) -> usize {
        (index as usize).min(self.vocabulary)
    }

    /// Where the whole pieces of each row start, and what is left of it.
    fn segments<'a>(
        &self,
        reads: &'a [Vec<f64>],
    ) -> impl Iterator<Item = (Vec<usize>, std::ops::Range<usize>)> + use<'a> {
        let bounds = reads[1].windows(2).take(self.vocabulary);
        bounds.map(|bounds| {
            let (start, end) = (bounds[0] as usize, bounds[1] as usize);
            let whole = (end - start) / PIECE;
            let pieces = (0..whole).map(|piece| start + piece * PIECE).collect();
            (pieces, start + whole * PIECE..end)
        })
    }

    /// The sum over a range of positions.
    fn sum(&self, reads: &[Vec<f64>], range: std::ops::Range<usize>, column: usize) -> Approx {
        let term = |&position: &f64| Approx::exact(reads[2][position as usize * self.width + column]);
        Approx::sum(reads[0][range].iter().map(term))
    }
}
