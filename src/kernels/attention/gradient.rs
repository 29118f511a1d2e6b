//! The gradient of attention on the CPU. With enough heads, each is computed as a whole, so that scores are
//! computed once; otherwise queries and keys are cut into blocks, each by itself.
#![allow(unsafe_code, reason = "rows are written in parts")]

use std::ops::Range;

use super::blocks::{Change, Hidden, KEYS, QUERIES};
use super::{AttentionGrad, Form, Sizes};
use crate::base::step::StepRecord;
use crate::kernels::native::NativeRun;
use crate::native::operands::Operands;
use crate::native::pool::{Pool, grown, part_range, parts_for};

/// Heads that are enough for all threads.
const MANY: usize = 8;

impl NativeRun for AttentionGrad {
    fn run(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        let Sizes { batch, heads, key_heads, queries, keys, .. } = self.form.sizes;
        let shared = heads / key_heads;
        let work = Work { form: self.form, operands, step };
        let [of_queries, of_keys] = self.outputs;
        let run = |units: usize, products: usize, unit: &(dyn Fn(usize, &mut Memory) + Sync)| {
            let parts = parts_for(self.form.nanoseconds(products), units);
            pool.run(parts, |part| {
                let mut memory = Memory { buffers: Pool::take_buffers() };
                part_range(units, parts, part).for_each(|at| unit(at, &mut memory));
                Pool::return_buffers(memory.buffers);
            });
        };
        if let (Some(dq), Some(dkv), true) = (of_queries, of_keys, batch * key_heads >= MANY) {
            return run(batch * key_heads, 5, &|unit, memory| {
                let (b, g) = (unit / key_heads, unit % key_heads);
                work.of_keys([b, g * shared], shared, 0..keys, [Some(dq), Some(dkv)], memory);
            });
        }
        if let Some(output) = of_queries {
            let blocks = queries.div_ceil(QUERIES);
            run(batch * heads * blocks, 3, &|unit, memory| {
                let (head, i) = (unit / blocks, unit % blocks * QUERIES);
                let (b, h) = (head / heads, head % heads);
                memory.clear(0);
                work.of_queries(
                    [b, h],
                    i..(i + QUERIES).min(queries),
                    &(0..keys),
                    [Some(output), None],
                    memory,
                );
            });
        }
        if let Some(output) = of_keys {
            let blocks = keys.div_ceil(KEYS);
            run(batch * key_heads * blocks, 4, &|unit, memory| {
                let (head, j) = (unit / blocks, unit % blocks * KEYS);
                let (b, g) = (head / key_heads, head % key_heads);
                work.of_keys([b, g * shared], shared, j..(j + KEYS).min(keys), [None, Some(output)], memory);
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
}

impl Work<'_> {
    /// The gradients of keys and values `keys` of the heads from `first`, which share them; of the queries too if
    /// they have an output and all keys are asked for.
    fn of_keys(
        &self,
        [b, first]: [usize; 2],
        shared: usize,
        keys: Range<usize>,
        outputs: [Option<usize>; 2],
        memory: &mut Memory,
    ) {
        let Sizes { queries, width, causal, .. } = self.form.sizes;
        memory.clear(keys.len() * width);
        // Earlier queries see none of the keys.
        let start = if causal { keys.start / QUERIES * QUERIES } else { 0 };
        for h in first..first + shared {
            for i in (start..queries).step_by(QUERIES) {
                self.of_queries([b, h], i..(i + QUERIES).min(queries), &keys, outputs, memory);
            }
        }
        let Some(output) = outputs[1] else { return };
        let [.., dk, dv] = &mut memory.buffers;
        let (dk, dv) = (grown(dk, keys.len() * width), grown(dv, keys.len() * width));
        for (at, j) in keys.enumerate() {
            let key = self.form.sizes.key(b, first, j);
            // SAFETY: parts have disjoint keys.
            unsafe { self.operands.write(output, key, width) }.copy_from_slice(&dk[at * width..][..width]);
            // SAFETY: as above; the gradients of values follow those of keys.
            unsafe { self.operands.write(output, self.form.sizes.key_words() + key, width) }
                .copy_from_slice(&dv[at * width..][..width]);
        }
    }

    /// What a block of queries and those of `keys` that it sees add to the gradients.
    fn of_queries(
        &self,
        [b, h]: [usize; 2],
        queries: Range<usize>,
        keys: &Range<usize>,
        outputs: [Option<usize>; 2],
        memory: &mut Memory,
    ) {
        let (form, sizes, operands) = (&self.form, self.form.sizes, self.operands);
        let (n, width, i) = (queries.len(), sizes.width, queries.start);
        let [q_t, dy_t, scores, changes, mask, random, dq, dk, dv] = &mut memory.buffers;
        let (q, dy) = (form.queries(operands, 1, [b, h, i]), form.queries(operands, 0, [b, h, i]));
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
        let (log_sums, products) = (statistic(4), statistic(5));
        for block in form.key_blocks(&queries, form.length(operands, b)) {
            let block = block.start.max(keys.start)..block.end.min(keys.end);
            if block.is_empty() {
                continue;
            }
            let (count, j) = (block.len(), block.start);
            let (k, v) = (form.keys(operands, 2, [b, h, j]), form.keys(operands, 3, [b, h, j]));
            let scores = &mut grown(scores, count * n)[..count * n];
            let changes = &mut grown(changes, count * n)[..count * n];
            k.times(q_t, n, scores);
            v.times(dy_t, n, changes);
            pulp::Arch::new().dispatch(Change {
                scores,
                changes,
                mask: form.mask(self.step, [b, h, i, j], [count, n], [mask, random]),
                n,
                scale: form.scale(),
                hidden: Hidden::at(sizes.causal, i, j),
                log_sums: &log_sums[..n],
                products: &products[..n],
            });
            if outputs[0].is_some() {
                k.add_weighted(changes, [1, n], count, dq);
            }
            if outputs[1].is_some() {
                let part = (j - keys.start) * width..(j - keys.start + count) * width;
                let words = keys.len() * width;
                q.add_weighted(changes, [n, 1], n, &mut grown(dk, words)[part.clone()]);
                dy.add_weighted(scores, [n, 1], n, &mut grown(dv, words)[part]);
            }
        }
        if let Some(output) = outputs[0] {
            for (at, dq) in dq.chunks_exact(width).enumerate() {
                // SAFETY: parts have disjoint queries.
                unsafe { operands.write(output, sizes.query(b, h, i + at), width) }.copy_from_slice(dq);
            }
        }
    }
}
