//! Attention on the CPU, a block of queries of one head after the other.
#![allow(unsafe_code, reason = "rows are written in parts")]

use std::ops::Range;

use super::blocks::{Hidden, KEYS, QUERIES, Rows, Soften};
use super::{Attention, Form};
use crate::base::step::StepRecord;
use crate::kernels::native::NativeRun;
use crate::native::operands::Operands;
use crate::native::parts::{part_range, parts_for};
use crate::native::pool::{Pool, grown};
use crate::scalar::native::vectors::vectorised;

impl Form {
    /// Queries of a head from `i` on; the operands with queries, keys and values begin at `first`.
    pub(super) fn queries<'a>(
        &self,
        operands: &'a Operands,
        first: usize,
        [b, h, i]: [usize; 3],
    ) -> Rows<'a> {
        let (sizes, [operand, ..]) = (&self.sizes, self.operands(first));
        let values = &operands.read(operand)[sizes.query(b, h, i)..];
        Rows { values, step: sizes.query_step(), width: sizes.width }
    }

    /// Keys as a head of the queries sees them, from `j` on.
    pub(super) fn keys<'a>(&self, operands: &'a Operands, first: usize, [b, h, j]: [usize; 3]) -> Rows<'a> {
        let (sizes, [_, operand, _]) = (&self.sizes, self.operands(first));
        let values = &operands.read(operand)[sizes.key(b, h, j)..];
        Rows { values, step: sizes.key_step(), width: sizes.width }
    }

    /// Values as a head of the queries sees them, from `j` on.
    pub(super) fn values<'a>(&self, operands: &'a Operands, first: usize, [b, h, j]: [usize; 3]) -> Rows<'a> {
        let (sizes, [_, _, operand]) = (&self.sizes, self.operands(first));
        let values = &operands.read(operand)[sizes.value(b, h, j)..];
        Rows { values, step: sizes.key_step(), width: sizes.width }
    }

    /// The blocks of the keys that some of `queries` see.
    pub(super) fn key_blocks(
        &self,
        queries: &Range<usize>,
        length: usize,
    ) -> impl Iterator<Item = Range<usize>> {
        let seen = self.sizes.seen(queries.end - 1, length);
        (0..seen).step_by(KEYS).map(move |j| j..(j + KEYS).min(seen))
    }

    /// About how many nanoseconds one core takes for `products` multiply-adds for each pair and element.
    pub(super) fn nanoseconds(&self, products: usize) -> usize {
        // 50 GFLOP/s, and two for a pair itself.
        self.pairs() * (products * self.sizes.width / 25 + 2)
    }
}

impl NativeRun for Attention {
    fn run(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        let sizes = self.form.sizes;
        let blocks = sizes.queries.div_ceil(QUERIES);
        let units = sizes.batch * sizes.heads * blocks;
        let parts = parts_for(self.form.nanoseconds(2), units);
        pool.run(parts, |part| {
            let mut buffers = Pool::take_buffers();
            for unit in part_range(units, parts, part) {
                let (i, head) = (unit % blocks * QUERIES, unit / blocks);
                let queries = i..(i + QUERIES).min(sizes.queries);
                self.block(operands, step, [head / sizes.heads, head % sizes.heads], queries, &mut buffers);
            }
            Pool::return_buffers(buffers);
        });
    }
}

impl Attention {
    /// Queries `queries` of head `h` of sequence `b`.
    fn block(
        &self,
        operands: &Operands,
        step: &StepRecord,
        [b, h]: [usize; 2],
        queries: Range<usize>,
        [transposed, scores, statistics, sums, mask, random]: &mut [Vec<f32>; 6],
    ) {
        let (form, sizes) = (&self.form, self.form.sizes);
        let (n, width, i) = (queries.len(), sizes.width, queries.start);
        let transposed = grown(transposed, width * n);
        form.queries(operands, 0, [b, h, i]).transposed(n, transposed);
        let (largest, rest) = grown(statistics, 3 * n).split_at_mut(n);
        let (total, factor) = rest.split_at_mut(n);
        let sums = &mut grown(sums, n * width)[..n * width];
        let factor = &mut factor[..n];
        largest.fill(f32::MIN);
        total.fill(0.0);
        sums.fill(0.0);
        for keys in form.key_blocks(&queries, form.length(operands, b)) {
            let (count, j) = (keys.len(), keys.start);
            let scores = &mut grown(scores, count * n)[..count * n];
            let hidden = Hidden::at(sizes.causal, i, j);
            form.keys(operands, 0, [b, h, j]).scores(transposed, n, hidden, scores);
            form.lower([h, i, j], n, scores);
            let scale = form.scale();
            vectorised(Soften { scores, n, scale, hidden, largest, total, factor, sums });
            if let Some(mask) = form.mask(step, [b, h, i, j], [count, n], [mask, random]) {
                scores.iter_mut().zip(mask).for_each(|(p, m)| *p *= m);
            }
            form.values(operands, 0, [b, h, j]).add_to_queries(scores, n, hidden, sums);
        }
        for (at, sums) in sums.chunks_exact(width).enumerate() {
            let (row, total) = (sizes.statistic(b, h, i + at), total[at]);
            let inverse = if total == 0.0 { 0.0 } else { 1.0 / total };
            if let Some(output) = self.outputs[0] {
                // SAFETY: parts have disjoint rows.
                let y = unsafe { operands.write(output, row * width, width) };
                y.iter_mut().zip(sums).for_each(|(y, sum)| *y = sum * inverse);
            }
            if let Some(output) = self.outputs[1] {
                // SAFETY: as above.
                let log_sum = unsafe { operands.write(output, row, 1) };
                log_sum[0] = if total == 0.0 { 0.0 } else { largest[at] + total.ln() };
            }
        }
    }
}
