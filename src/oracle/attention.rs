//! Scaled dot-product attention (Vaswani et al. 2017, arXiv:1706.03762, section 3.2) over heads, and its gradient.
//!
//! For a query `i` of head `h`, over the keys `j` that it sees (always the first ones):
//!
//! - `s_j = scale sum_d q_id k_jd`, less `m_h |i - j|` with ALiBi, `p_j = e^(s_j - L)` with the log-sum
//!   `L = ln sum_j e^s_j`;
//! - `y_id = sum_j p_j m_j v_jd`, where `m_j` is 1, or in training with dropout 0 or `1 / (1 - rate)`.
//!
//! A query that sees no key gives zeros, with `L = 0`. With `D = sum_d y_d dy_d`:
//!
//! - `dp_j = m_j sum_d dy_d v_jd`, `ds_j = p_j (dp_j - D) scale`;
//! - `dq = sum_j ds_j k_j`, `dk_j = sum_i ds_ij q_i`, `dv_j = sum_i p_ij m_ij dy_i`.

use super::Real;
use crate::scalar::BinaryFn;

/// Sizes of an attention, and which keys a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sizes {
    /// Sequences, `B`.
    pub batch: usize,
    /// Heads of the queries, `H`.
    pub heads: usize,
    /// Heads of the keys and values, `G`; each serves `H / G` neighbouring heads of the queries.
    pub key_heads: usize,
    /// Queries, `T`.
    pub queries: usize,
    /// Keys, `S`.
    pub keys: usize,
    /// Elements of a query, a key and a value, `D`.
    pub width: usize,
    /// Whether query `i` sees the keys up to `i` only.
    pub causal: bool,
    /// Whether scores fall with the distance of query and key, by [`slope`] of the head for each step.
    pub alibi: bool,
    /// Whether queries, keys and values of a step lie next to each other in one tensor `[B, T, H + 2 G, D]`, as a
    /// single product gives them; its gradient likewise.
    pub packed: bool,
}

/// What the score of head `head` of `heads` falls by for each step between query and key: `2^(-8 (head + 1) / heads)` if
/// there are a power of two of heads; else those of the next smaller one, then every other one of twice as many
/// (ALiBi: Press, Smith and Lewis 2022, arXiv:2108.12409, section 3 and the authors' code).
pub fn slope(head: usize, heads: usize) -> f32 {
    let whole = match heads.is_power_of_two() {
        true => heads,
        false => heads.next_power_of_two() / 2,
    };
    let (number, of) = match head.checked_sub(whole) {
        None => (head + 1, whole),
        Some(rest) => (2 * rest + 1, 2 * whole),
    };
    (-8.0 * number as f64 / of as f64).exp2() as f32
}

impl Sizes {
    /// The first element of query `i` of head `h` in `[B, T, H, D]`, or in the packed tensor.
    pub fn query(&self, b: usize, h: usize, i: usize) -> usize {
        (b * self.queries + i) * self.query_step() + h * self.width
    }

    /// The first element of key `j`, as head `h` of the queries sees it, in `[B, S, G, D]`, or in the packed tensor.
    pub fn key(&self, b: usize, h: usize, j: usize) -> usize {
        let shared = self.heads / self.key_heads;
        (b * self.keys + j) * self.key_step() + self.key_offset() + h / shared * self.width
    }

    /// The same of value `j`.
    pub fn value(&self, b: usize, h: usize, j: usize) -> usize {
        self.key(b, h, j) - self.key_offset() + self.value_offset()
    }

    /// The first element of the result of query `i` of head `h` in `[B, T, H, D]`.
    pub fn result(&self, b: usize, h: usize, i: usize) -> usize {
        self.statistic(b, h, i) * self.width
    }

    /// Elements from one query to the next.
    pub fn query_step(&self) -> usize {
        let all = if self.packed { self.heads + 2 * self.key_heads } else { self.heads };
        all * self.width
    }

    /// Elements from one key, or value, to the next.
    pub fn key_step(&self) -> usize {
        if self.packed { self.query_step() } else { self.key_heads * self.width }
    }

    /// Elements before the first key.
    pub fn key_offset(&self) -> usize {
        if self.packed { self.heads * self.width } else { 0 }
    }

    /// Elements before the first value.
    pub fn value_offset(&self) -> usize {
        if self.packed { (self.heads + self.key_heads) * self.width } else { 0 }
    }

    /// Where the gradients of queries, of keys and of values are: the number of the result, and how many elements
    /// after their places in the operands. Apart, those of keys and values are one result, `[2, B, S, G, D]`.
    pub fn gradients(&self) -> [(usize, usize); 3] {
        if self.packed { [(0, 0); 3] } else { [(0, 0), (1, 0), (1, self.key_words())] }
    }

    /// The element of query `i` of head `h` in `[B, T, H]`.
    pub fn statistic(&self, b: usize, h: usize, i: usize) -> usize {
        (b * self.queries + i) * self.heads + h
    }

    /// The element of a pair in `[B, H, T, S]`, by which dropout is drawn.
    pub fn pair(&self, b: usize, h: usize, i: usize, j: usize) -> usize {
        ((b * self.heads + h) * self.queries + i) * self.keys + j
    }

    /// How many keys query `i` sees of the first `length`.
    pub fn seen(&self, i: usize, length: usize) -> usize {
        let last = if self.causal { i + 1 } else { self.keys };
        last.min(length).min(self.keys)
    }

    /// Elements of the queries, or of all that is packed.
    pub fn query_words(&self) -> usize {
        self.batch * self.queries * self.query_step()
    }

    /// Elements of the keys, and of the values; none of their own if they are packed.
    pub fn key_words(&self) -> usize {
        if self.packed { 0 } else { self.batch * self.keys * self.key_step() }
    }

    /// Elements of the result.
    pub fn result_words(&self) -> usize {
        self.statistics() * self.width
    }

    /// Elements of the log-sums.
    pub fn statistics(&self) -> usize {
        self.batch * self.queries * self.heads
    }

    /// Every sequence, head and query.
    fn each(self) -> impl Iterator<Item = [usize; 3]> {
        let heads = move |b| (0..self.heads).map(move |h| [b, h]);
        let all = (0..self.batch).flat_map(heads);
        all.flat_map(move |[b, h]| (0..self.queries).map(move |i| [b, h, i]))
    }
}

/// The operands of an attention.
pub struct Given<'a> {
    /// Sizes.
    pub sizes: Sizes,
    /// Factor of the scores.
    pub scale: f64,
    /// Queries `[B, T, H, D]`; the packed tensor, if there is one, also as keys and values.
    pub q: &'a [f64],
    /// Keys `[B, S, G, D]`.
    pub k: &'a [f64],
    /// Values `[B, S, G, D]`.
    pub v: &'a [f64],
    /// How many keys of each sequence there are, `[B]`; all without it.
    pub lengths: Option<&'a [f64]>,
    /// `m` of a pair, by its element in `[B, H, T, S]`.
    pub factor: &'a dyn Fn(usize) -> f64,
}

impl Given<'_> {
    fn seen(&self, b: usize, i: usize) -> usize {
        let length = self.lengths.map_or(self.sizes.keys, |lengths| lengths[b] as usize);
        self.sizes.seen(i, length)
    }

    fn score<T: Real>(&self, [b, h, i]: [usize; 3], j: usize) -> T {
        let (q, k) = (self.sizes.query(b, h, i), self.sizes.key(b, h, j));
        let dot = dot::<T>(&self.q[q..][..self.sizes.width], &self.k[k..][..self.sizes.width]);
        let score = dot * T::exact(self.scale);
        match self.sizes.alibi {
            true => {
                let slope = T::exact(f64::from(slope(h, self.sizes.heads)));
                // A device may subtract it before the scale is applied.
                score - (slope * T::exact(i.abs_diff(j) as f64)).rounded(4.0)
            }
            false => score,
        }
    }

    /// `y` `[B, T, H, D]` and the log-sums `[B, T, H]`.
    pub fn attention<T: Real>(&self) -> [Vec<T>; 2] {
        let sizes = self.sizes;
        let mut y = vec![T::exact(0.0); sizes.result_words()];
        let mut log_sums = vec![T::exact(0.0); sizes.statistics()];
        for at @ [b, h, i] in sizes.each() {
            let scores: Vec<T> = (0..self.seen(b, i)).map(|j| self.score(at, j)).collect();
            let Some(largest) = scores.iter().copied().reduce(|a, b| a.binary(BinaryFn::Max, b)) else {
                continue;
            };
            let powers: Vec<T> = scores.iter().map(|&s| (s - largest).exp()).collect();
            // A device may scale what it has summed whenever it meets a larger score.
            let total = T::sum(powers.iter().copied()).rounded(8.0);
            log_sums[sizes.statistic(b, h, i)] = largest + total.ln();
            for d in 0..sizes.width {
                let terms = powers.iter().enumerate().map(|(j, &p)| {
                    let factor = (self.factor)(sizes.pair(b, h, i, j));
                    p * T::exact(factor) * T::exact(self.v[sizes.value(b, h, j) + d])
                });
                y[sizes.result(b, h, i) + d] = (T::sum(terms) / total).rounded(8.0);
            }
        }
        [y, log_sums]
    }

    /// The gradients for the gradient `dy`, the log-sums and `D` of each query, where [`Sizes::gradients`] says.
    pub fn gradient<T: Real>(&self, dy: &[f64], log_sums: &[f64], products: &[f64]) -> [Vec<T>; 2] {
        let (sizes, scale, width) = (self.sizes, T::exact(self.scale), self.sizes.width);
        let [of_queries, of_keys, of_values] = sizes.gradients();
        // What is added to each element.
        let mut terms: [Vec<Vec<T>>; 2] =
            [vec![vec![]; sizes.query_words()], vec![vec![]; 2 * sizes.key_words()]];
        for at @ [b, h, i] in sizes.each() {
            let (query, statistic) = (sizes.query(b, h, i), sizes.statistic(b, h, i));
            let dy = &dy[sizes.result(b, h, i)..][..width];
            for j in 0..self.seen(b, i) {
                let (key, value) = (sizes.key(b, h, j), sizes.value(b, h, j));
                let factor = T::exact((self.factor)(sizes.pair(b, h, i, j)));
                let p = (self.score::<T>(at, j) - T::exact(log_sums[statistic])).exp();
                let dp = dot::<T>(dy, &self.v[value..][..width]) * factor;
                let ds = p * (dp - T::exact(products[statistic])) * scale;
                for d in 0..width {
                    let mut add = |(result, offset): (usize, usize), at: usize, term: T| {
                        terms[result][offset + at + d].push(term);
                    };
                    add(of_queries, query, ds * T::exact(self.k[key + d]));
                    add(of_keys, key, ds * T::exact(self.q[query + d]));
                    add(of_values, value, p * factor * T::exact(dy[d]));
                }
            }
        }
        terms.map(|terms| terms.into_iter().map(|terms| T::sum(terms.into_iter())).collect())
    }
}

fn dot<T: Real>(a: &[f64], b: &[f64]) -> T {
    T::sum(a.iter().zip(b).map(|(&a, &b)| T::exact(a) * T::exact(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_the_authors() {
        // `get_slopes` of github.com/ofirpress/attention_with_linear_biases.
        let of = |heads: usize| (0..heads).map(|head| slope(head, heads)).collect::<Vec<_>>();
        assert_eq!(of(8), [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625]);
        assert_eq!(of(2), [0.0625, 0.00390625]);
        assert_eq!(of(6), [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125]);
        assert_eq!(of(1), [0.00390625]);
        let sixteen = of(16);
        assert!((sixteen[0] - 0.5f32.sqrt()).abs() < 1e-7 && sixteen[15] == 0.00390625);
    }
}
