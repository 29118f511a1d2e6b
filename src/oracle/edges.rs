//! Sums over neighbours in a fixed graph, products of the two ends of its edges, and softmax over the edges of a row.

use super::Real;
use super::softmax::softmax as of_row;

/// The weights of edges: `[B, edges, heads]`, or `[1, edges, heads]` for all of a batch.
pub struct Weights<'a> {
    /// The numbers.
    pub data: &'a [f64],
    /// Parts of the columns with a weight each.
    pub heads: usize,
    /// Number of edges.
    pub edges: usize,
    /// Whether they are the same for all of a batch.
    pub shared: bool,
}

/// Edges row by row.
pub struct Sums<'a> {
    /// Where the edges of each row start: `[rows + 1]`.
    pub starts: &'a [u32],
    /// Their columns.
    pub others: &'a [u32],
    /// The number of the edge at a place.
    pub number: &'a dyn Fn(usize) -> usize,
    /// Number of columns.
    pub columns: usize,
    /// Values of a column.
    pub width: usize,
}

impl Sums<'_> {
    /// `y[b, i, c] = sum over the edges e of row i of w[b, e, c / (C / H)] x[b, column of e, c]`: `[B, rows, C]`.
    pub fn evaluate<T: Real>(&self, batch: usize, x: &[f64], weights: Option<&Weights>) -> Vec<T> {
        let Self { starts, others, number, columns, width } = *self;
        let mut out = vec![];
        for b in 0..batch {
            for row in starts.windows(2) {
                for c in 0..width {
                    let term = |at: usize| {
                        let x = T::exact(x[(b * columns + others[at] as usize) * width + c]);
                        weights.map_or(x, |w| {
                            let graph = if w.shared { 0 } else { b };
                            let head = c / (width / w.heads);
                            T::exact(w.data[(graph * w.edges + number(at)) * w.heads + head]) * x
                        })
                    };
                    out.push(T::sum((row[0] as usize..row[1] as usize).map(term)));
                }
            }
        }
        out
    }
}

/// `y[b, e, h] = sum over the columns c of head h of rows[b, row of e, c] columns[b, column of e, c]`, with the ends of
/// the edges and the values of both sides, rows first: `[B, edges, heads]`.
pub fn dots<T: Real>(
    batch: usize,
    ends: [&[u32]; 2],
    sides: [&[f64]; 2],
    extents: [usize; 2],
    [width, heads]: [usize; 2],
) -> Vec<T> {
    let part = width / heads;
    let mut out = vec![];
    for b in 0..batch {
        for (&row, &column) in ends[0].iter().zip(ends[1]) {
            let [from, to] = [row, column].map(|end| end as usize);
            for head in 0..heads {
                let at = |side: usize, end: usize, c: usize| {
                    T::exact(sides[side][(b * extents[side] + end) * width + head * part + c])
                };
                out.push(T::sum((0..part).map(|c| at(0, from, c) * at(1, to, c))));
            }
        }
    }
    out
}

/// The softmax of `x` `[B, edges, heads]` over the edges of each row, which are numbered row by row.
pub fn softmax<T: Real>(starts: &[u32], x: &[f64], heads: usize) -> Vec<T> {
    let edges = starts.last().map_or(0, |&end| end as usize);
    let mut out = vec![T::exact(0.0); x.len()];
    for (graph, x) in x.chunks((edges * heads).max(1)).enumerate() {
        for row in starts.windows(2) {
            for head in 0..heads {
                let places = || (row[0] as usize..row[1] as usize).map(|edge| edge * heads + head);
                let scores: Vec<f64> = places().map(|at| x[at]).collect();
                for (at, y) in places().zip(of_row::<T>(&scores)) {
                    out[graph * edges * heads + at] = y;
                }
            }
        }
    }
    out
}
