//! Blocks of queries by keys on the CPU. Scores lie transposed, `[keys, queries]`, so that maxima and sums over
//! keys are vectors over queries and keys are read as they lie; only the queries of a block are copied.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::Form;
use crate::base::rng::{self, RandomKind};
use crate::base::step::StepRecord;
use crate::kernels::matmul::direct::Direct;
use crate::kernels::matmul::transpose::transpose;
use crate::native::pool::grown;
use crate::scalar::native::maths::exp;

/// Queries of a block.
pub(super) const QUERIES: usize = 64;
/// Keys of a block.
pub(super) const KEYS: usize = 128;

/// Rows of one head.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    /// From the first row.
    pub values: &'a [f32],
    /// From one row to the next.
    pub step: usize,
    /// Elements of a row.
    pub width: usize,
}

impl Rows<'_> {
    /// `count` rows, transposed: `[width, count]`.
    pub fn transposed(self, count: usize, out: &mut [f32]) {
        transpose(self.values, self.step, [count, self.width], out);
    }

    /// The rows from `first` on.
    fn from(self, first: usize) -> Self {
        Self { values: &self.values[first * self.step..], ..self }
    }

    /// `out[j, i] = sum_d rows[j, d] right[d, i]` for rows of keys and columns of `n` queries, where these see them.
    pub fn scores(self, right: &[f32], n: usize, hidden: Hidden, out: &mut [f32]) {
        for Strip { keys, first } in hidden.strips(out.len() / n, n) {
            Direct {
                a: self.from(keys.start).values,
                a_tile: self.step,
                a_row: self.step,
                a_col: 1,
                b: &right[first..],
                b_row: n,
                n: n - first,
                k: self.width,
                out: &mut out[keys.start * n..keys.end * n],
                out_row: n,
                out_column: first,
                accumulate: false,
            }
            .run();
        }
    }

    /// `out[i] += sum_j weights[j, i] rows[j]` for rows of keys, and weights of keys by `n` queries that are 0 where
    /// queries do not see them.
    pub fn add_to_queries(self, weights: &[f32], n: usize, hidden: Hidden, out: &mut [f32]) {
        for Strip { keys, first } in hidden.strips(weights.len() / n, n) {
            let weights = &weights[keys.start * n + first..];
            let out = &mut out[first * self.width..];
            self.from(keys.start).add_weighted(weights, [1, n], keys.len(), out);
        }
    }

    /// `out[j] += sum_i weights[j, i] rows[i]` for rows of queries, as above.
    pub fn add_to_keys(self, weights: &[f32], n: usize, hidden: Hidden, out: &mut [f32]) {
        for Strip { keys, first } in hidden.strips(weights.len() / n, n) {
            let weights = &weights[keys.start * n + first..];
            let out = &mut out[keys.start * self.width..keys.end * self.width];
            self.from(first).add_weighted(weights, [n, 1], n - first, out);
        }
    }

    /// `out[i] += sum_j weights[i, j] rows[j]` for weights with these steps between rows and columns.
    fn add_weighted(self, weights: &[f32], [row, col]: [usize; 2], count: usize, out: &mut [f32]) {
        Direct {
            a: weights,
            a_tile: row,
            a_row: row,
            a_col: col,
            b: self.values,
            b_row: self.step,
            n: self.width,
            k: count,
            out,
            out_row: self.width,
            out_column: 0,
            accumulate: true,
        }
        .run();
    }
}

/// Keys of a strip: as many as a vector has queries.
const STRIP: usize = 16;

/// Keys of a block, and the queries from `first` on, which see some of them.
struct Strip {
    keys: Range<usize>,
    first: usize,
}

/// Which queries do not see a key: the first ones of a block.
#[derive(Clone, Copy)]
pub(super) struct Hidden {
    /// Key minus query at the block's corner; `None` if all see all.
    pub corner: Option<isize>,
}

impl Hidden {
    /// Of a block that begins at query `i` and key `j`.
    pub fn at(causal: bool, i: usize, j: usize) -> Self {
        Self { corner: causal.then(|| j as isize - i as isize) }
    }

    /// The keys of a block, `count` by `n` queries, in strips that leave out queries that see none of them.
    fn strips(self, count: usize, n: usize) -> impl Iterator<Item = Strip> {
        let step = if self.of(count.saturating_sub(1), n) > 0 { STRIP } else { count.max(1) };
        let strip = move |start: usize| Strip {
            keys: start..(start + step).min(count),
            first: self.of(start, n) / STRIP * STRIP,
        };
        (0..count).step_by(step).map(strip).filter(move |strip| strip.first < n)
    }

    /// How many of `count` queries do not see key `row` of the block.
    fn of(self, row: usize, count: usize) -> usize {
        self.corner.map_or(0, |corner| (corner + row as isize).clamp(0, count as isize) as usize)
    }
}

/// Makes scores `[keys, n]` probabilities relative to the largest so far, and what was summed with them before
/// relative to the same.
pub(super) struct Soften<'a> {
    /// Scores without their factor.
    pub scores: &'a mut [f32],
    /// Queries.
    pub n: usize,
    /// Their factor.
    pub scale: f32,
    /// Which are not seen.
    pub hidden: Hidden,
    /// The largest score of each query.
    pub largest: &'a mut [f32],
    /// The sum of each query's probabilities.
    pub total: &'a mut [f32],
    /// Memory for `n` numbers.
    pub factor: &'a mut [f32],
    /// Weighted sums of values, `[n, width]`.
    pub sums: &'a mut [f32],
}

impl WithSimd for Soften<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { scores, n, scale, hidden, largest, total, factor, sums } = self;
        factor.copy_from_slice(largest);
        for (row, scores) in scores.chunks_exact_mut(n).enumerate() {
            let from = hidden.of(row, n);
            for (s, largest) in scores[from..].iter_mut().zip(&mut largest[from..]) {
                *s *= scale;
                *largest = if *s > *largest || s.is_nan() { *s } else { *largest };
            }
        }
        for ((factor, total), largest) in factor.iter_mut().zip(&mut *total).zip(&*largest) {
            *factor = exp::<S>(*factor - largest);
            *total *= *factor;
        }
        for (row, scores) in scores.chunks_exact_mut(n).enumerate() {
            let from = hidden.of(row, n);
            scores[..from].fill(0.0);
            for ((s, largest), total) in
                scores[from..].iter_mut().zip(&largest[from..]).zip(&mut total[from..])
            {
                *s = exp::<S>(*s - largest);
                *total += *s;
            }
        }
        let width = sums.len() / n;
        for (sums, factor) in sums.chunks_exact_mut(width).zip(&*factor) {
            if *factor != 1.0 {
                sums.iter_mut().for_each(|sum| *sum *= factor);
            }
        }
    }
}

/// Makes scores probabilities and `dp` `ds`, both `[keys, n]`.
pub(super) struct Change<'a> {
    /// Scores without their factor.
    pub scores: &'a mut [f32],
    /// `dp` without dropout.
    pub changes: &'a mut [f32],
    /// Dropout's factors, if there is any.
    pub mask: Option<&'a [f32]>,
    /// Queries.
    pub n: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// Which are not seen.
    pub hidden: Hidden,
    /// Of each query.
    pub log_sums: &'a [f32],
    /// `D` of each query.
    pub products: &'a [f32],
}

impl WithSimd for Change<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { scores, changes, mask, n, scale, hidden, log_sums, products } = self;
        let rows = scores.chunks_exact_mut(n).zip(changes.chunks_exact_mut(n)).enumerate();
        for (row, (scores, changes)) in rows {
            let from = hidden.of(row, n);
            scores[..from].fill(0.0);
            changes[..from].fill(0.0);
            let (scores, changes) = (&mut scores[from..], &mut changes[from..]);
            for (s, log_sum) in scores.iter_mut().zip(&log_sums[from..]) {
                *s = exp::<S>(*s * scale - log_sum);
            }
            if let Some(mask) = mask {
                let mask = &mask[row * n + from..];
                for (((s, dp), m), product) in
                    scores.iter_mut().zip(&mut *changes).zip(mask).zip(&products[from..])
                {
                    *dp = *s * (*dp * m - product) * scale;
                    *s *= m;
                }
            } else {
                for ((s, dp), product) in scores.iter().zip(&mut *changes).zip(&products[from..]) {
                    *dp = *s * (*dp - product) * scale;
                }
            }
        }
    }
}

impl Form {
    /// Lowers products of queries and keys, `[keys, n]` from query `i` and key `j` on, by what their scores fall with
    /// distance.
    pub(super) fn lower(&self, [h, i, j]: [usize; 3], n: usize, products: &mut [f32]) {
        let Some(slope) = self.slope(h) else { return };
        let slope = slope / self.scale();
        for (row, products) in products.chunks_exact_mut(n).enumerate() {
            let apart = (j + row) as f32 - i as f32;
            for (at, product) in products.iter_mut().enumerate() {
                *product -= slope * (apart - at as f32).abs();
            }
        }
    }

    /// Dropout's factors of `keys` keys from `j` by `n` queries from `i`, `[keys, n]`; `None` without dropout.
    pub(super) fn mask<'m>(
        &self,
        step: &StepRecord,
        [b, h, i, j]: [usize; 4],
        [keys, n]: [usize; 2],
        [mask, row]: [&'m mut Vec<f32>; 2],
    ) -> Option<&'m [f32]> {
        let dropout = self.dropout?;
        let sizes = self.sizes;
        let count = sizes.batch * sizes.heads * sizes.queries * sizes.keys;
        let (mask, row) = (grown(mask, keys * n), grown(row, keys));
        let (kind, factor) =
            (RandomKind::Mask { threshold: dropout.threshold }, f32::from_bits(dropout.factor));
        for query in 0..n {
            let first = step.element(sizes.pair(b, h, i + query, j), count);
            rng::fill(kind, step, dropout.stream, first, &mut row[..keys]);
            for (mask, kept) in mask[query..].iter_mut().step_by(n).zip(&row[..keys]) {
                *mask = kept * factor;
            }
        }
        Some(&mask[..keys * n])
    }
}
