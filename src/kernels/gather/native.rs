//! Gathering rows on the CPU.
#![allow(unsafe_code, reason = "writes its outputs")]

use bytemuck::cast_slice_mut;

use super::{Gather, GatherGrad, PIECE};
use crate::base::step::StepRecord;
use crate::kernels::native::NativeRun;
use crate::native::operands::Operands;
use crate::native::parts::{part_range, parts_for};
use crate::native::pool::Pool;
use crate::scalar::exact::add;

impl NativeRun for Gather {
    fn run(&self, operands: &Operands, _step: &StepRecord, _pool: &Pool) {
        let (table, indices) = (operands.read(0), operands.read_words(1));
        // SAFETY: the output is taken once.
        let out = unsafe { operands.write(0, 0, self.count * self.width) };
        for (row, &index) in out.chunks_exact_mut(self.width.max(1)).zip(indices) {
            let index = index as usize;
            if index < self.vocabulary {
                row.copy_from_slice(&table[index * self.width..(index + 1) * self.width]);
            } else {
                row.fill(f32::NAN);
            }
        }
    }
}

/// The gradient of gathering; in exact mode with the shader's operations.
pub(super) fn gradient(kernel: &GatherGrad, exact: bool) -> Box<dyn NativeRun> {
    match exact {
        true => Box::new(Gradient { kernel: kernel.clone(), add }),
        false => Box::new(Gradient { kernel: kernel.clone(), add: |a: f32, b: f32| a + b }),
    }
}

/// A kernel with its addition.
pub(super) struct Gradient<K, A> {
    pub kernel: K,
    pub add: A,
}

impl<A: Fn(f32, f32) -> f32 + Copy + Send + Sync> NativeRun for Gradient<GatherGrad, A> {
    fn run(&self, operands: &Operands, _step: &StepRecord, pool: &Pool) {
        let GatherGrad { vocabulary, width, count } = self.kernel;
        let (indices, gradients) = (&operands.read_words(0)[..count], operands.read(1));
        if count <= PIECE {
            // SAFETY: the output is taken once.
            let out = unsafe { operands.write(0, 0, vocabulary * width) };
            out.fill(0.0);
            for (row, &index) in gradients.chunks_exact(width.max(1)).zip(indices) {
                let index = index as usize;
                if index < vocabulary {
                    add_row(&mut out[index * width..(index + 1) * width], row, self.add);
                }
            }
            return;
        }
        let [mut order, mut starts] = Pool::take_buffers();
        order.resize(count, 0.0);
        starts.resize(vocabulary + 2, 0.0);
        let (positions, row_starts) = (cast_slice_mut(&mut order), cast_slice_mut(&mut starts));
        sort(indices, vocabulary, positions, row_starts);
        let (positions, row_starts): (&[u32], &[u32]) = (positions, row_starts);
        let parts = parts_for((count + vocabulary) * width / 2, vocabulary);
        pool.run(parts, |part| {
            let [mut piece] = Pool::take_buffers();
            piece.resize(width, 0.0);
            for row in part_range(vocabulary, parts, part) {
                // SAFETY: parts have disjoint rows.
                let total = unsafe { operands.write(0, row * width, width) };
                total.fill(0.0);
                let of_row = &positions[row_starts[row] as usize..row_starts[row + 1] as usize];
                if of_row.len() <= PIECE {
                    add_rows(total, of_row, gradients, self.add);
                    continue;
                }
                for part in of_row.chunks(PIECE) {
                    piece.fill(0.0);
                    add_rows(&mut piece, part, gradients, self.add);
                    add_row(total, &piece, self.add);
                }
            }
            Pool::return_buffers([piece]);
        });
        Pool::return_buffers([order, starts]);
    }
}

/// Adds `row` to `sums`.
pub(super) fn add_row(sums: &mut [f32], row: &[f32], add: impl Fn(f32, f32) -> f32) {
    for (sum, &x) in sums.iter_mut().zip(row) {
        *sum = add(*sum, x);
    }
}

/// Adds the rows at `positions` to `sums`, in order.
pub(super) fn add_rows(
    sums: &mut [f32],
    positions: &[u32],
    gradients: &[f32],
    add: impl Fn(f32, f32) -> f32 + Copy,
) {
    let width = sums.len();
    for &position in positions {
        add_row(sums, &gradients[position as usize * width..][..width], add);
    }
}

/// Puts the positions of indices below `vocabulary` in the order of these, equal ones in ascending order.
/// Those of row `r` are `starts[r]..starts[r + 1]`; `starts` has `vocabulary + 2` words.
fn sort(indices: &[u32], vocabulary: usize, order: &mut [u32], starts: &mut [u32]) {
    // How many there are of row `r` is counted two places on; of their sums, the one beside `r` then moves
    // from where its positions start to where they end.
    starts.fill(0);
    let inside = || indices.iter().enumerate().filter(|(_, index)| (**index as usize) < vocabulary);
    for (_, &index) in inside() {
        starts[index as usize + 2] += 1;
    }
    for row in 2..starts.len() {
        starts[row] += starts[row - 1];
    }
    for (position, &index) in inside() {
        let next = &mut starts[index as usize + 1];
        order[*next as usize] = position as u32;
        *next += 1;
    }
}
