//! Attention in exact mode: the shader's operations in the same order, one query or key after the other.
#![allow(unsafe_code, reason = "rows are written in parts")]

use super::{Attention, AttentionGrad, Dropout, Form, Sizes};
use crate::base::step::StepRecord;
use crate::kernels::native::NativeRun;
use crate::native::operands::Operands;
use crate::native::parts::{part_range, parts_for};
use crate::native::pool::Pool;
use crate::scalar::exact::{add, div, exp, log, mul, multiply_add, sub};

/// A kernel in exact mode.
pub struct Exact<K>(pub K);

/// Below every finite number but the last.
const LOWEST: f32 = -3.402_823_4e38;

/// `sum a b`; in four sums where rows are vectors of four.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    if !a.len().is_multiple_of(4) {
        return a.iter().zip(b).fold(0.0, |sum, (&a, &b)| multiply_add(a, b, sum));
    }
    let mut sums = [0.0; 4];
    for (a, b) in a.chunks_exact(4).zip(b.chunks_exact(4)) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum = multiply_add(a, b, *sum);
        }
    }
    add(add(sums[0], sums[1]), add(sums[2], sums[3]))
}

/// `to += factor row`
fn add_scaled(to: &mut [f32], factor: f32, row: &[f32]) {
    for (to, &x) in to.iter_mut().zip(row) {
        *to = multiply_add(factor, x, *to);
    }
}

impl Form {
    /// The score of a pair from the product of its query and key.
    fn score(&self, product: f32, [h, i, j]: [usize; 3]) -> f32 {
        let score = mul(product, self.scale());
        self.slope(h).map_or(score, |slope| sub(score, mul(slope, i.abs_diff(j) as f32)))
    }

    fn dropped(&self, step: &StepRecord, pair: usize, x: f32) -> f32 {
        let of = |dropout: Dropout| match dropout.keeps(&self.sizes, step, pair) {
            true => mul(x, f32::from_bits(dropout.factor)),
            false => 0.0,
        };
        self.dropout.map_or(x, of)
    }
}

impl NativeRun for Exact<Attention> {
    fn run(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        let Attention { form, outputs } = self.0;
        let sizes = form.sizes;
        let [q, k, v] = form.operands(0).map(|operand| operands.read(operand));
        let rows = sizes.statistics();
        let parts = parts_for(form.pairs() * sizes.width * 4, rows);
        pool.run(parts, |part| {
            let [mut y] = Pool::take_buffers();
            for row in part_range(rows, parts, part) {
                let (h, i) = (row % sizes.heads, row / sizes.heads % sizes.queries);
                let b = row / (sizes.heads * sizes.queries);
                let query = &q[sizes.query(b, h, i)..][..sizes.width];
                y.clear();
                y.resize(sizes.width, 0.0);
                let (mut largest, mut total) = (LOWEST, 0.0);
                for j in 0..sizes.seen(i, form.length(operands, b)) {
                    let key = sizes.key(b, h, j);
                    let score = form.score(dot(query, &k[key..][..sizes.width]), [h, i, j]);
                    if score > largest {
                        let factor = exp(sub(largest, score));
                        total = mul(total, factor);
                        y.iter_mut().for_each(|y| *y = mul(*y, factor));
                        largest = score;
                    }
                    let p = exp(sub(score, largest));
                    total = add(total, p);
                    let p = form.dropped(step, sizes.pair(b, h, i, j), p);
                    add_scaled(&mut y, p, &v[sizes.value(b, h, j)..][..sizes.width]);
                }
                let none = total == 0.0;
                let inverse = div(1.0, total);
                y.iter_mut().for_each(|y| *y = if none { 0.0 } else { mul(*y, inverse) });
                if let Some(output) = outputs[0] {
                    // SAFETY: parts have disjoint rows.
                    unsafe { operands.write(output, row * sizes.width, sizes.width) }.copy_from_slice(&y);
                }
                if let Some(output) = outputs[1] {
                    // SAFETY: as above.
                    let log_sum = unsafe { operands.write(output, row, 1) };
                    log_sum[0] = if none { 0.0 } else { add(largest, log(total)) };
                }
            }
            Pool::return_buffers([y]);
        });
    }
}

/// What the gradients of queries and keys have in common.
struct Pairs<'a> {
    form: Form,
    operands: &'a Operands,
    step: &'a StepRecord,
}

impl Pairs<'_> {
    /// `p m` and `ds` of a pair.
    fn pair(&self, [b, h, i, j]: [usize; 4]) -> [f32; 2] {
        let (form, sizes, operands) = (&self.form, self.form.sizes, self.operands);
        let row = sizes.statistic(b, h, i);
        let ([q, k, v], next) = (form.operands(1), 1 + form.words().len());
        let part = |operand: usize, at: usize| &operands.read(operand)[at..][..sizes.width];
        let (query, key) = (part(q, sizes.query(b, h, i)), part(k, sizes.key(b, h, j)));
        let score = form.score(dot(query, key), [h, i, j]);
        let p = exp(sub(score, operands.read(next)[row]));
        let pair = sizes.pair(b, h, i, j);
        let dy = part(0, sizes.result(b, h, i));
        let dp = form.dropped(self.step, pair, dot(dy, part(v, sizes.value(b, h, j))));
        let ds = mul(mul(p, sub(dp, operands.read(next + 1)[row])), form.scale());
        [form.dropped(self.step, pair, p), ds]
    }

    fn of_query(&self, [b, h, i]: [usize; 3], dq: &mut [f32]) {
        let (sizes, [_, k, _]) = (self.form.sizes, self.form.operands(1));
        for j in 0..sizes.seen(i, self.form.length(self.operands, b)) {
            let [_, ds] = self.pair([b, h, i, j]);
            add_scaled(dq, ds, &self.operands.read(k)[sizes.key(b, h, j)..][..sizes.width]);
        }
    }

    fn of_key(&self, [b, first, j]: [usize; 3], dk: &mut [f32], dv: &mut [f32]) {
        let (sizes, [q, ..]) = (self.form.sizes, self.form.operands(1));
        for h in first..first + sizes.heads / sizes.key_heads {
            for i in 0..sizes.queries {
                if j < sizes.seen(i, self.form.length(self.operands, b)) {
                    let [p, ds] = self.pair([b, h, i, j]);
                    let row = |operand: usize, at: usize| &self.operands.read(operand)[at..][..sizes.width];
                    add_scaled(dk, ds, row(q, sizes.query(b, h, i)));
                    add_scaled(dv, p, row(0, sizes.result(b, h, i)));
                }
            }
        }
    }
}

impl NativeRun for Exact<AttentionGrad> {
    fn run(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        let form = self.0.form;
        let Sizes { heads, key_heads, queries, keys, width, .. } = form.sizes;
        let pairs = Pairs { form, operands, step };
        let cost = form.pairs() * width * 8;
        let [of_queries, of_keys, of_values] = self.0.places();
        if let Some((output, _)) = of_queries {
            let rows = form.sizes.statistics();
            let parts = parts_for(cost, rows);
            pool.run(parts, |part| {
                for row in part_range(rows, parts, part) {
                    let (h, i, b) = (row % heads, row / heads % queries, row / (heads * queries));
                    // SAFETY: parts have disjoint queries.
                    let dq = unsafe { operands.write(output, form.sizes.query(b, h, i), width) };
                    dq.fill(0.0);
                    pairs.of_query([b, h, i], dq);
                }
            });
        }
        if let (Some((output, _)), Some((_, offset))) = (of_keys, of_values) {
            let rows = form.sizes.batch * keys * key_heads;
            let parts = parts_for(cost, rows);
            pool.run(parts, |part| {
                for row in part_range(rows, parts, part) {
                    let (g, j, b) = (row % key_heads, row / key_heads % keys, row / (key_heads * keys));
                    let h = g * (heads / key_heads);
                    // SAFETY: parts have disjoint keys.
                    let dk = unsafe { operands.write(output, form.sizes.key(b, h, j), width) };
                    // SAFETY: as above, and values are elsewhere.
                    let dv = unsafe { operands.write(output, offset + form.sizes.value(b, h, j), width) };
                    dk.fill(0.0);
                    dv.fill(0.0);
                    pairs.of_key([b, h, j], dk, dv);
                }
            });
        }
    }
}
