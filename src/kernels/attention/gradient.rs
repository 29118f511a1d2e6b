//! The gradient of attention on the CPU. With enough heads, each is computed as a whole, so that scores are
//! computed once; otherwise queries and keys are cut into blocks, each by itself.
#![allow(unsafe_code, reason = "rows are written in parts")]

use std::ops::Range;

use super::blocks::{Change, Hidden, KEYS, QUERIES, Rows};
use super::{AttentionGrad, Form, Sizes};
use crate::base::step::StepRecord;
use crate::kernels::native::NativeRun;
use crate::native::operands::Operands;
use crate::native::parts::{part_range, parts_for};
use crate::native::pool::{Pool, grown};
use crate::scalar::native::vectors::vectorised;

/// Heads that are enough for all threads.
const MANY: usize = 8;

impl NativeRun for AttentionGrad {
    fn run(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        let Sizes { batch, heads, key_heads, queries, keys, .. } = self.form.sizes;
        let shared = heads / key_heads;
        let work = Work { form: self.form, operands, step, places: self.places() };
        let [of_queries, of_keys] = self.of();
        let run = |units: usize, products: usize, unit: &(dyn Fn(usize, &mut Memory) + Sync)| {
            let parts = parts_for(self.form.nanoseconds(products), units);
            pool.run(parts, |part| {
                let mut memory = Memory { buffers: Pool::take_buffers() };
                part_range(units, parts, part).for_each(|at| unit(at, &mut memory));
                Pool::return_buffers(memory.buffers);
            });
        };
        if of_queries && of_keys && batch * key_heads >= MANY {
            return run(batch * key_heads, 5, &|unit, memory| {
                let (b, g) = (unit / key_heads, unit % key_heads);
                work.of_keys([b, g * shared], shared, 0..keys, true, memory);
            });
        }
        if of_queries {
            let blocks = queries.div_ceil(QUERIES);
            run(batch * heads * blocks, 3, &|unit, memory| {
                let (head, i) = (unit / blocks, unit % blocks * QUERIES);
                let (b, h) = (head / heads, head % heads);
                memory.clear(0);
                work.of_queries([b, h], i..(i + QUERIES).min(queries), &(0..keys), [true, false], memory);
            });
        }
        if of_keys {
            let blocks = keys.div_ceil(KEYS);
            run(batch * key_heads * blocks, 4, &|unit, memory| {
                let (head, j) = (unit / blocks, unit % blocks * KEYS);
                let (b, g) = (head / key_heads, head % key_heads);
                work.of_keys([b, g * shared], shared, j..(j + KEYS).min(keys), false, memory);
            });
        }
    }
}

/// Memory of a thread: queries and their gradients transposed, scores, changes, a mask, random numbers, gradients
/// of queries, of keys and of values.
struct Memory {
    buffers: [Vec<f32>; 9],
}

impl Memory {
    /// Sets the gradients of `words` elements of keys, and of values, to zero.
    fn clear(&mut self, words: usize) {
        let [.., keys, values] = &mut self.buffers;
        grown(keys, words)[..words].fill(0.0);
        grown(values, words)[..words].fill(0.0);
    }
}

/// One gradient.
struct Work<'a> {
    form: Form,
    operands: &'a Operands,
    step: &'a StepRecord,
    /// Where the gradients of queries, keys and values are.
    places: [Option<(usize, usize)>; 3],
}

impl Work<'_> {
    /// The gradients of keys and values `keys` of the heads from `first`, which share them; of the queries too if
    /// `with_queries`, for which all keys are needed.
    fn of_keys(
        &self,
        [b, first]: [usize; 2],
        shared: usize,
        keys: Range<usize>,
        with_queries: bool,
        memory: &mut Memory,
    ) {
        let Sizes { queries, width, causal, .. } = self.form.sizes;
        memory.clear(keys.len() * width);
        // Earlier queries see none of the keys.
        let start = if causal { keys.start / QUERIES * QUERIES } else { 0 };
        for h in first..first + shared {
            for i in (start..queries).step_by(QUERIES) {
                self.of_queries([b, h], i..(i + QUERIES).min(queries), &keys, [with_queries, true], memory);
            }
        }
        let [_, Some((output, _)), Some((_, offset))] = self.places else { return };
        let [.., dk, dv] = &mut memory.buffers;
        let (dk, dv) = (grown(dk, keys.len() * width), grown(dv, keys.len() * width));
        for (at, j) in keys.enumerate() {
            let (key, value) = (self.form.sizes.key(b, first, j), self.form.sizes.value(b, first, j));
            // SAFETY: parts have disjoint keys.
            unsafe { self.operands.write(output, key, width) }.copy_from_slice(&dk[at * width..][..width]);
            // SAFETY: as above, and values are elsewhere.
            unsafe { self.operands.write(output, offset + value, width) }
                .copy_from_slice(&dv[at * width..][..width]);
        }
    }

    /// What a block of queries and those of `keys` that it sees add to the gradients.
    fn of_queries(
        &self,
        [b, h]: [usize; 2],
        queries: Range<usize>,
        keys: &Range<usize>,
        [with_queries, with_keys]: [bool; 2],
        memory: &mut Memory,
    ) {
        let (form, sizes, operands) = (&self.form, self.form.sizes, self.operands);
        let (n, width, i) = (queries.len(), sizes.width, queries.start);
        let [q_t, dy_t, scores, changes, mask, random, dq, dk, dv] = &mut memory.buffers;
        let q = form.queries(operands, 1, [b, h, i]);
        let values = &operands.read(0)[sizes.result(b, h, i)..];
        let dy = Rows { values, step: sizes.heads * width, width };
        let (q_t, dy_t) = (grown(q_t, width * n), grown(dy_t, width * n));
        q.transposed(n, q_t);
        dy.transposed(n, dy_t);
        let dq = &mut grown(dq, n * width)[..n * width];
        dq.fill(0.0);
        let statistic = |operand: usize| {
            let values = operands.read(operand);
            std::array::from_fn::<f32, QUERIES, _>(|at| match at < n {
                true => values[sizes.statistic(b, h, i + at)],
                false => 0.0,
            })
        };
        let next = 1 + form.words().len();
        let (log_sums, products) = (statistic(next), statistic(next + 1));
        for block in form.key_blocks(&queries, form.length(operands, b)) {
            let block = block.start.max(keys.start)..block.end.min(keys.end);
            if block.is_empty() {
                continue;
            }
            let (count, j) = (block.len(), block.start);
            let (k, v) = (form.keys(operands, 1, [b, h, j]), form.values(operands, 1, [b, h, j]));
            let scores = &mut grown(scores, count * n)[..count * n];
            let changes = &mut grown(changes, count * n)[..count * n];
            let hidden = Hidden::at(sizes.causal, i, j);
            k.scores(q_t, n, hidden, scores);
            form.lower([h, i, j], n, scores);
            v.scores(dy_t, n, hidden, changes);
            vectorised(Change {
                scores,
                changes,
                mask: form.mask(self.step, [b, h, i, j], [count, n], [mask, random]),
                n,
                scale: form.scale(),
                hidden,
                log_sums: &log_sums[..n],
                products: &products[..n],
            });
            if with_queries {
                k.add_to_queries(changes, n, hidden, dq);
            }
            if with_keys {
                let part = (j - keys.start) * width..(j - keys.start + count) * width;
                let words = keys.len() * width;
                q.add_to_keys(changes, n, hidden, &mut grown(dk, words)[part.clone()]);
                dy.add_to_keys(scores, n, hidden, &mut grown(dv, words)[part]);
            }
        }
        if let (Some((output, _)), true) = (self.places[0], with_queries) {
            for (at, dq) in dq.chunks_exact(width).enumerate() {
                // SAFETY: parts have disjoint queries.
                unsafe { operands.write(output, sizes.query(b, h, i + at), width) }.copy_from_slice(dq);
            }
        }
    }
}
