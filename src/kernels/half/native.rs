//! Half precision on the CPU.
#![allow(unsafe_code, reason = "outputs are written in parts")]

use super::{Half, Way};
use crate::base::number::{half, to_half};
use crate::base::step::StepRecord;
use crate::kernels::native::NativeRun;
use crate::native::operands::Operands;
use crate::native::parts::{part_range, parts_for};
use crate::native::pool::Pool;

impl NativeRun for Half {
    fn run(&self, operands: &Operands, _step: &StepRecord, pool: &Pool) {
        let (len, words) = (self.len, Half::words(self.len));
        let parts = parts_for(len, words);
        pool.run(parts, |part| {
            let range = part_range(words, parts, part);
            let numbers = 2 * range.start..(2 * range.end).min(len);
            match self.way {
                Way::Store => {
                    // SAFETY: parts have disjoint words.
                    let out = unsafe { operands.write(0, range.start, range.len()) };
                    let bits = |x: &f32| u32::from(to_half(*x));
                    for (word, pair) in out.iter_mut().zip(operands.read(0)[numbers].chunks(2)) {
                        let second = pair.get(1).map_or(0, bits);
                        *word = f32::from_bits(bits(&pair[0]) | second << 16);
                    }
                }
                Way::Load => {
                    // SAFETY: parts have disjoint numbers.
                    let out = unsafe { operands.write(0, numbers.start, numbers.len()) };
                    for (pair, word) in out.chunks_mut(2).zip(&operands.read_words(0)[range]) {
                        for (number, bits) in pair.iter_mut().zip([*word, word >> 16]) {
                            *number = half(bits as u16);
                        }
                    }
                }
            }
        });
    }
}
