//! The steps on the CPU, which runs them only where kernels are verified.
#![allow(unsafe_code, reason = "writes its outputs")]

use bytemuck::cast_slice_mut;

use super::{GradientStep, Step};
use crate::base::step::StepRecord;
use crate::kernels::gather::PIECE;
use crate::kernels::gather::native::{Gradient, add_row, add_rows};
use crate::kernels::native::NativeRun;
use crate::native::operands::Operands;
use crate::native::pool::Pool;
use crate::scalar::exact::add;

/// A step of the gradient; in exact mode with the shader's operations.
pub(super) fn step(kernel: &GradientStep, exact: bool) -> Box<dyn NativeRun> {
    match exact {
        true => Box::new(Gradient { kernel: kernel.clone(), add }),
        false => Box::new(Gradient { kernel: kernel.clone(), add: |a: f32, b: f32| a + b }),
    }
}

impl<A: Fn(f32, f32) -> f32 + Copy + Send + Sync> NativeRun for Gradient<GradientStep, A> {
    fn run(&self, operands: &Operands, _step: &StepRecord, _pool: &Pool) {
        let GradientStep { vocabulary, width, count, step } = self.kernel;
        let row_of = |index: u32| index.min(vocabulary as u32);
        // SAFETY: the output is taken once.
        let out = unsafe { operands.write(0, 0, self.kernel.words()) };
        if let Step::Order { run } = step {
            let indices = operands.read_words(0);
            let words: &mut [u32] = cast_slice_mut(out);
            for (first, group) in (0..).step_by(Step::merged(run)).zip(words.chunks_mut(Step::merged(run))) {
                group.iter_mut().zip(first..).for_each(|(word, position)| *word = position);
                group.sort_unstable_by_key(|&position| (row_of(indices[position as usize]), position));
            }
            return;
        }
        if step == Step::Starts {
            let words: &mut [u32] = cast_slice_mut(out);
            words.fill(0);
            for &index in &operands.read_words(0)[..count] {
                if let Some(after) = words.get_mut(row_of(index) as usize + 1) {
                    *after += 1;
                }
            }
            for row in 1..words.len() {
                words[row] += words[row - 1];
            }
            return;
        }
        let (order, starts, gradients) = (operands.read_words(0), operands.read_words(1), operands.read(2));
        out.fill(0.0);
        for row in 0..vocabulary {
            let (mut at, end) = (starts[row] as usize, starts[row + 1] as usize);
            while at + PIECE <= end {
                let slot = at / PIECE * width;
                if step == Step::Pieces {
                    let sums = &mut out[slot..slot + width];
                    add_rows(sums, &order[at..at + PIECE], gradients, self.add);
                } else {
                    let sums = &mut out[row * width..(row + 1) * width];
                    add_row(sums, &operands.read(3)[slot..slot + width], self.add);
                }
                at += PIECE;
            }
            if step == Step::Sums {
                let mut rest = vec![0.0; width];
                add_rows(&mut rest, &order[at..end], gradients, self.add);
                add_row(&mut out[row * width..(row + 1) * width], &rest, self.add);
            }
        }
    }
}
