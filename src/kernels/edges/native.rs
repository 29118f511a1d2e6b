//! The kernels on edges on the CPU, row by row and edge by edge.
#![allow(unsafe_code, reason = "rows are written in parts")]

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::{EdgeDot, EdgeSoftmax, NeighbourSum, Weights};
use crate::base::step::StepRecord;
use crate::kernels::native::NativeRun;
use crate::native::operands::Operands;
use crate::native::parts::{part_range, parts_for};
use crate::native::pool::{Pool, grown};
use crate::scalar::exact::{add, exp, mul, sub};
use crate::scalar::native::rows;
use crate::scalar::native::vectors::vectorised;

/// A kernel with its addition and multiplication.
struct With<K, A, M> {
    kernel: K,
    add: A,
    mul: M,
}

/// The sums; in exact mode with the shader's operations.
pub(super) fn sum(kernel: &NeighbourSum, exact: bool) -> Box<dyn NativeRun> {
    let kernel = kernel.clone();
    match exact {
        true => Box::new(With { kernel, add, mul }),
        false => Box::new(With { kernel, add: |a: f32, b: f32| a + b, mul: |a: f32, b: f32| a * b }),
    }
}

/// The products; in exact mode with the shader's operations.
pub(super) fn dot(kernel: &EdgeDot, exact: bool) -> Box<dyn NativeRun> {
    let kernel = kernel.clone();
    match exact {
        true => Box::new(With { kernel, add, mul }),
        false => Box::new(With { kernel, add: |a: f32, b: f32| a + b, mul: |a: f32, b: f32| a * b }),
    }
}

impl<A, M> NativeRun for With<NeighbourSum, A, M>
where
    A: Fn(f32, f32) -> f32 + Send + Sync,
    M: Fn(f32, f32) -> f32 + Send + Sync,
{
    fn run(&self, operands: &Operands, _step: &StepRecord, pool: &Pool) {
        let NeighbourSum { batch, rows, edges, width, .. } = self.kernel;
        let parts = parts_for(batch * (edges + rows) * (width + 4), batch * rows);
        pool.run(parts, |part| {
            vectorised(Sums { of: self, operands, rows: part_range(batch * rows, parts, part) });
        });
    }
}

/// Sums of some rows.
struct Sums<'a, A, M> {
    of: &'a With<NeighbourSum, A, M>,
    operands: &'a Operands,
    rows: Range<usize>,
}

impl<A, M> WithSimd for Sums<'_, A, M>
where
    A: Fn(f32, f32) -> f32,
    M: Fn(f32, f32) -> f32,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let NeighbourSum { rows, columns, edges, width, heads, weights, numbered, .. } = self.of.kernel;
        let operands = self.operands;
        let (places, _) = self.of.kernel.ends();
        let (x, starts, others) = (operands.read(0), operands.read_words(1), operands.read_words(2));
        let weighted = (weights != Weights::None).then(|| operands.read(3));
        let numbers = numbered.then(|| operands.read_words(4));
        for row in self.rows {
            // SAFETY: parts have disjoint rows.
            let sums = unsafe { operands.write(0, row * width, width) };
            let (graph, row) = (row / rows, row % rows);
            let own = graph * places.stride;
            let starts = &starts[own + places.starts + row..];
            let range = starts[0] as usize..starts[1] as usize;
            let neighbours = Neighbours {
                x: &x[graph * columns * width..(graph + 1) * columns * width],
                width,
                others: &others[own + places.others..][range.clone()],
                numbers: numbers.map(|numbers| &numbers[own + places.numbers..][range.clone()]),
                weights: weighted,
                first: if weights == Weights::Each { graph * edges } else { 0 },
                heads,
                at: range.start,
                add: &self.of.add,
                mul: &self.of.mul,
            };
            let part = width / heads;
            for (head, sums) in sums.chunks_mut(part).enumerate() {
                for (chunk, sums) in sums.chunks_mut(16).enumerate() {
                    let column = head * part + 16 * chunk;
                    match sums.len() {
                        1 => sums.copy_from_slice(&neighbours.sum::<1>(column, head)),
                        2..=4 => sums.copy_from_slice(&neighbours.sum::<4>(column, head)[..sums.len()]),
                        5..=8 => sums.copy_from_slice(&neighbours.sum::<8>(column, head)[..sums.len()]),
                        _ => sums.copy_from_slice(&neighbours.sum::<16>(column, head)[..sums.len()]),
                    }
                }
            }
        }
    }
}

/// The edges of a row.
struct Neighbours<'a, A, M> {
    /// Of the row's graph, `[columns, width]`.
    x: &'a [f32],
    width: usize,
    /// The columns that they lead to.
    others: &'a [u32],
    /// Which weights they have, if not those at their own places.
    numbers: Option<&'a [u32]>,
    weights: Option<&'a [f32]>,
    /// The first weight of the graph's edges.
    first: usize,
    heads: usize,
    /// The first edge's place.
    at: usize,
    add: &'a A,
    mul: &'a M,
}

impl<A, M> Neighbours<'_, A, M>
where
    A: Fn(f32, f32) -> f32,
    M: Fn(f32, f32) -> f32,
{
    /// The sums of `N` values from `column` on, which stay in registers. Those that are beyond the row's are of no use.
    #[inline(always)]
    fn sum<const N: usize>(&self, column: usize, head: usize) -> [f32; N] {
        let mut sums = [0.0; N];
        for (edge, &other) in self.others.iter().enumerate() {
            let from = other as usize * self.width + column;
            let mut last = [0.0; N];
            let values: &[f32; N] = match self.x.get(from..from + N) {
                Some(values) => values.try_into().unwrap_or(&last),
                None => {
                    let rest = &self.x[from..];
                    last[..rest.len()].copy_from_slice(rest);
                    &last
                }
            };
            match self.weights {
                Some(weights) => {
                    let edge = self.numbers.map_or(self.at + edge, |numbers| numbers[edge] as usize);
                    let w = weights[(self.first + edge) * self.heads + head];
                    for (sum, &x) in sums.iter_mut().zip(values) {
                        *sum = (self.add)(*sum, (self.mul)(w, x));
                    }
                }
                None => sums.iter_mut().zip(values).for_each(|(sum, &x)| *sum = (self.add)(*sum, x)),
            }
        }
        sums
    }
}

impl<A, M> NativeRun for With<EdgeDot, A, M>
where
    A: Fn(f32, f32) -> f32 + Send + Sync,
    M: Fn(f32, f32) -> f32 + Send + Sync,
{
    fn run(&self, operands: &Operands, _step: &StepRecord, pool: &Pool) {
        let EdgeDot { batch, rows, columns, edges, width, heads, own } = self.kernel;
        let [stride, row, column] = self.kernel.places();
        let (a, b) = (operands.read(0), operands.read(1));
        let (of_row, of_column) = (operands.read_words(2), operands.read_words(3));
        let (count, part) = (batch * edges, width / heads);
        let parts = parts_for(count * (width + 4), count);
        pool.run(parts, |number| {
            for at in part_range(count, parts, number) {
                let (graph, edge) = (at / edges, at % edges);
                let (of_row, of_column) = (&of_row[graph * stride..], &of_column[graph * stride..]);
                // SAFETY: parts have disjoint edges.
                let dots = unsafe { operands.write(0, at * heads, heads) };
                if own && edge >= of_row[rows] as usize {
                    dots.fill(0.0);
                    continue;
                }
                let a = &a[(graph * rows + of_row[row + edge] as usize) * width..][..width];
                let b = &b[(graph * columns + of_column[column + edge] as usize) * width..][..width];
                for ((dot, a), b) in dots.iter_mut().zip(a.chunks(part)).zip(b.chunks(part)) {
                    let product = |total, (&a, &b): (&f32, &f32)| (self.add)((self.mul)(a, b), total);
                    *dot = a.iter().zip(b).fold(0.0, product);
                }
            }
        });
    }
}

impl EdgeSoftmax {
    /// Calls `of_row` with the scores of each row and head, and what they become.
    fn each(&self, operands: &Operands, pool: &Pool, of_row: impl Fn(&[f32], &mut [f32]) + Sync) {
        let Self { batch, rows, edges, heads, longest, own } = *self;
        let (places, _) = self.ends();
        let (x, starts) = (operands.read(0), operands.read_words(1));
        let parts = parts_for(10 * batch * edges * heads, batch * rows);
        pool.run(parts, |part| {
            let [mut buffer] = Pool::take_buffers();
            let (scores, results) = grown(&mut buffer, 2 * longest).split_at_mut(longest);
            for row in part_range(batch * rows, parts, part) {
                let (graph, row) = (row / rows, row % rows);
                let starts = &starts[graph * places.stride + row..];
                let (begin, end) = (starts[0] as usize, starts[1] as usize);
                let (first, count) = ((graph * edges + begin) * heads, end - begin);
                // SAFETY: parts have disjoint rows, whose edges follow one another.
                let y = unsafe { operands.write(0, first, count * heads) };
                for head in 0..heads {
                    let (scores, results) = (&mut scores[..count], &mut results[..count]);
                    for (edge, score) in scores.iter_mut().enumerate() {
                        *score = x[first + edge * heads + head];
                    }
                    of_row(scores, results);
                    for (edge, &result) in results.iter().enumerate() {
                        y[edge * heads + head] = result;
                    }
                }
                if own && row + 1 == rows {
                    // SAFETY: no row has these edges.
                    unsafe { operands.write(0, (graph * edges + end) * heads, (edges - end) * heads) }
                        .fill(0.0);
                }
            }
            Pool::return_buffers([buffer]);
        });
    }
}

impl NativeRun for EdgeSoftmax {
    fn run(&self, operands: &Operands, _step: &StepRecord, pool: &Pool) {
        self.each(operands, pool, |x, y| {
            let log_total = rows::shifted(x, y);
            rows::exponential(y, log_total);
        });
    }
}

/// The softmax in exact mode: the shader's operations in the same order.
pub(super) struct ExactSoftmax(pub EdgeSoftmax);

impl NativeRun for ExactSoftmax {
    fn run(&self, operands: &Operands, _step: &StepRecord, pool: &Pool) {
        self.0.each(operands, pool, |x, y| {
            let (largest, log_total) = rows::exact_log_sum(x);
            for (x, y) in x.iter().zip(y) {
                *y = exp(sub(sub(*x, largest), log_total));
            }
        });
    }
}
