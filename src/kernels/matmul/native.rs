//! Matrix product on the CPU: blocks of rows, each multiplied on one thread (small matrices directly, large
//! ones by the `gemm` crate) and finished by the epilogue while it is in the cache.
#![allow(unsafe_code, reason = "the gemm crate takes raw pointers; outputs are written in parts")]

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::direct::{self, Direct};
use super::panels::{PanelProduct, Panels};
use super::{MatMul, MatrixView, Sums};
use crate::base::step::StepRecord;
use crate::kernels::native::NativeRun;
use crate::kernels::pointwise::native::run_body;
use crate::native::operands::Operands;
use crate::native::parts::{part_range, parts_for};
use crate::native::pool::{Pool, grown};
use crate::scalar::exact;
use crate::scalar::native::NativeBody;
use crate::scalar::native::vectors::vectorised;

/// A prepared matrix product.
pub struct NativeMatMul {
    pub(super) kernel: MatMul,
    /// The left operand.
    pub(super) a: MatrixView,
    pub(super) epilogue: NativeBody,
    /// Output 0 takes the product itself before the epilogue finishes it in place.
    pub(super) plain: bool,
    /// About how long it takes one core.
    pub(super) nanoseconds: usize,
    parts: usize,
    method: Method,
}

/// How a block of rows is multiplied. The choice depends on the kernel alone.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Method {
    /// Tiles in registers over `B` as it lies.
    Direct,
    /// The same over a copy of `B` in panels.
    Panels,
    /// The `gemm` crate.
    Gemm,
    /// Exact mode: one product and one sum after the other.
    Exact,
}

impl Method {
    /// Elements of `B` that leave room for the rest in the second-level cache.
    const SMALL: usize = 1 << 16;

    fn of(kernel: &MatMul, a: &MatrixView, exact: bool) -> Self {
        let MatMul { m, n, k, b, .. } = kernel;
        // Rows of the left operand that make a copy of the right one worth it.
        let rows = if b.col == 1 { 32 } else { 8 };
        let contiguous = (b.row == 1 || b.col == 1) && (a.row == 1 || a.col == 1);
        match exact {
            true => Method::Exact,
            // A tile of one column would leave most lanes of its vectors empty.
            false if *n == 1 => Method::Gemm,
            false if n * k <= Self::SMALL && b.col == 1 && !(contiguous && is_crowded(kernel)) => {
                Method::Direct
            }
            false if contiguous && *m >= rows => Method::Panels,
            false => Method::Gemm,
        }
    }
}

/// Whether the rows of the right operand lie so that a tile's columns would push each other out of the first-level cache
/// (64 sets of 8 lines, or more), and there is enough to compute for a copy to be worth it.
fn is_crowded(kernel: &MatMul) -> bool {
    let MatMul { m, n, k, b, .. } = kernel;
    let line = 64 / size_of::<f32>();
    // Rows that are no whole number of lines apart are spread over all sets.
    let sets = if b.row.is_multiple_of(line) { 64 >> (b.row / line).trailing_zeros().min(6) } else { 64 };
    *m >= 64 && *n >= 2 * line && *k >= 128 && *k > 4 * sets
}

/// Rows of a block are a multiple of this: whole tiles.
const ROW_STEP: usize = 2 * direct::ROWS;

/// Words of a block that its epilogue finds in the first-level cache.
const BLOCK_WORDS: usize = 1 << 12;

impl NativeMatMul {
    /// Prepares `kernel`, whose left operand is `a`.
    pub fn new(kernel: &MatMul, a: MatrixView, exact: bool) -> Self {
        let shape = [kernel.batch, kernel.m, kernel.n];
        let epilogue = NativeBody::new(&kernel.epilogue, &shape).exact(exact);
        // About 100 GFLOP/s on one core; an operation of the epilogue takes as long as a dozen multiply-adds.
        let work = 2 * kernel.k + 24 * kernel.epilogue.insts.len();
        let nanoseconds = kernel.batch * kernel.m * kernel.n * work / 100;
        let blocks = if kernel.batch > 1 { kernel.batch } else { kernel.m.div_ceil(ROW_STEP) };
        let parts = parts_for(nanoseconds, blocks);
        let plain = epilogue.is_plain_copy();
        let method = Method::of(kernel, &a, exact);
        Self { kernel: kernel.clone(), a, epilogue, plain, nanoseconds, parts, method }
    }

    /// Rows after which the epilogue follows, while they are in the first-level cache; all of them, where each block of rows
    /// would copy the right operand once more.
    fn block_rows(&self) -> usize {
        match self.method {
            Method::Direct => (BLOCK_WORDS / self.kernel.n).max(1).next_multiple_of(ROW_STEP),
            _ => self.kernel.m.max(1),
        }
    }

    /// Rows `rows` of the product of matrix `z`, over `k` range `depth`, into `out` (row-major, `n` columns).
    /// `copies` are memory for `B` and `A`.
    fn product(
        &self,
        operands: &Operands,
        z: usize,
        rows: &Range<usize>,
        depth: &Range<usize>,
        out: &mut [f32],
        copies: &mut [Vec<f32>; 2],
    ) {
        let MatMul { n, b, .. } = self.kernel;
        let a = self.a;
        let k = depth.len();
        let left = &operands.read(0)[a.offset + z * a.batch + rows.start * a.row + depth.start * a.col..];
        let right = &operands.read(1)[b.offset + z * b.batch + depth.start * b.row..];
        assert_eq!(out.len(), rows.len() * n, "the output block must hold its rows");
        let direct = |b, out| Direct {
            a: left,
            a_tile: a.row,
            a_row: a.row,
            a_col: a.col,
            b,
            b_row: n,
            n,
            k,
            out,
            out_row: n,
            out_column: 0,
            accumulate: false,
        };
        match self.method {
            Method::Direct => Direct { b_row: b.row, ..direct(right, out) }.run(),
            Method::Panels => {
                let (panels, [copy, rows]) = (Panels::of(n, k), copies);
                let copy = grown(copy, n * k);
                panels.copy_all(right, &b, copy);
                let (a_row, a_col) = (a.row, a.col);
                let (right, sums) = (&*copy, &mut []);
                PanelProduct { panels, right, a: left, a_row, a_col, copy: rows, out, sums }.run();
            }
            Method::Gemm => packed(left, &a, right, &b, [rows.len(), n, k], out),
            Method::Exact => {
                let [copy, _] = copies;
                copy.clear();
                copy.extend((0..k * n).map(|at| right[at / n * b.row + at % n * b.col]));
                vectorised(InOrder(direct(copy, out)));
            }
        }
    }

    /// The sums of rows `rows` over `depth`, which is part `split` of `k`, if they are wanted.
    fn row_sums(&self, operands: &Operands, rows: &Range<usize>, depth: &Range<usize>, split: usize) {
        let Some(Sums { output, .. }) = self.kernel.sums else { return };
        let (m, a) = (self.kernel.m, self.a);
        let left = operands.read(0);
        check(&a, 0, m, depth.end, left.len());
        // SAFETY: one part computes the sums of a row and split.
        let sums = unsafe { operands.write(output, split * m + rows.start, rows.len()) };
        let view = MatrixView { offset: a.offset + rows.start * a.row + depth.start * a.col, ..a };
        let exact = self.method == Method::Exact;
        vectorised(RowSums { left, view, k: depth.len(), sums, exact });
    }
}

/// `sums[i] = sum_k A[i, k]`.
pub(super) struct RowSums<'a> {
    pub left: &'a [f32],
    pub view: MatrixView,
    pub k: usize,
    pub sums: &'a mut [f32],
    pub exact: bool,
}

impl WithSimd for RowSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let RowSums { left, view, k, sums, exact } = self;
        sums.fill(0.0);
        if exact {
            for start in (0..k).map(|k| view.offset + k * view.col) {
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = exact::add(*sum, left[start + i * view.row]);
                }
            }
        } else if view.row == 1 {
            for start in (0..k).map(|k| view.offset + k * view.col) {
                for (sum, x) in sums.iter_mut().zip(&left[start..]) {
                    *sum += x;
                }
            }
        } else {
            for (i, sum) in sums.iter_mut().enumerate() {
                let start = view.offset + i * view.row;
                *sum = (0..k).map(|k| left[start + k * view.col]).sum();
            }
        }
    }
}

/// A product in exact mode, in the order of `k`.
pub(super) struct InOrder<'a>(pub Direct<'a>);

impl WithSimd for InOrder<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Direct { a, a_row, a_col, b, b_row, n, k, out, .. } = self.0;
        for (i, out) in out.chunks_exact_mut(n).enumerate() {
            out.fill(0.0);
            for l in 0..k {
                let x = a[i * a_row + l * a_col];
                for (sum, y) in out.iter_mut().zip(&b[l * b_row..]) {
                    *sum = exact::multiply_add(x, *y, *sum);
                }
            }
        }
    }
}

/// `out = A B` by the `gemm` crate, for matrices that start at the beginning of `left` and `right`.
fn packed(
    left: &[f32],
    a: &MatrixView,
    right: &[f32],
    b: &MatrixView,
    [m, n, k]: [usize; 3],
    out: &mut [f32],
) {
    let within = |view: &MatrixView| MatrixView { offset: 0, ..*view };
    check(&within(a), 0, m, k, left.len());
    check(&within(b), 0, k, n, right.len());
    assert_eq!(out.len(), m * n, "the output must hold the product");
    let [a, b] = [a, b].map(|view| [view.row as isize, view.col as isize]);
    let transposed = |[row, col]: [isize; 2]| [col, row];
    // The crate wants the columns of a result contiguous, which here are rows: it is given `B^T A^T`. A
    // single column is contiguous as it is.
    let ([m, n], [left, right], [a, b], to) = match n {
        0 | 1 => ([m, n], [left, right], [a, b], [1, 1]),
        _ => ([n, m], [right, left], [transposed(b), transposed(a)], [1, n as isize]),
    };
    let (product, out) = (gemm_f32::gemm::f32::get_gemm_fn(), out.as_mut_ptr());
    let (left, right) = (left.as_ptr(), right.as_ptr());
    let threads = gemm_common::Parallelism::None;
    // SAFETY: `check` has shown that every index of the two views lies in its operand, and `out` holds
    // exactly `m * n` elements and is borrowed mutably.
    unsafe {
        #[rustfmt::skip]
        product(
            m, n, k, out, to[1], to[0], false, left, a[1], a[0], right, b[1], b[0],
            0.0, 1.0, false, false, false, threads,
        );
    }
}

/// Asserts that a view of `rows x columns` elements of matrix `z` lies in an operand of `len` elements.
fn check(view: &MatrixView, z: usize, rows: usize, columns: usize, len: usize) {
    let last = view.offset
        + z * view.batch
        + rows.saturating_sub(1) * view.row
        + columns.saturating_sub(1) * view.col;
    assert!(last < len, "a matrix view must lie in its operand: {view:?}, {len} elements");
}

impl NativeRun for NativeMatMul {
    fn run(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        let MatMul { batch, m, n, k, .. } = self.kernel;
        if self.kernel.splits > 1 {
            return self.run_splits(operands, pool);
        }
        let whole = 0..k;
        if self.method == Method::Panels && batch == 1 {
            return self.run_wide(operands, step, pool);
        }
        pool.run(self.parts, |part| {
            let (matrices, rows) = if batch > 1 {
                (part_range(batch, self.parts, part), 0..m)
            } else {
                let blocks = part_range(m.div_ceil(ROW_STEP), self.parts, part);
                (0..1, blocks.start * ROW_STEP..(blocks.end * ROW_STEP).min(m))
            };
            let [mut block, right, left] = Pool::take_buffers();
            let mut copies = [right, left];
            for z in matrices {
                let (start, len) = ((z * m + rows.start) * n, rows.len() * n);
                if self.plain {
                    // SAFETY: parts have disjoint rows.
                    let out = unsafe { operands.write(0, start, len) };
                    self.product(operands, z, &rows, &whole, out, &mut copies);
                    continue;
                }
                for first in rows.clone().step_by(self.block_rows()) {
                    let rows = first..(first + self.block_rows()).min(rows.end);
                    let (start, len) = ((z * m + first) * n, rows.len() * n);
                    let block = grown(&mut block, len);
                    self.product(operands, z, &rows, &whole, block, &mut copies);
                    run_body(&self.epilogue, operands, step, block, start, len);
                }
            }
            let [right, left] = copies;
            Pool::return_buffers([block, right, left]);
            if batch == 1 {
                self.row_sums(operands, &rows, &whole, 0);
            }
        });
    }
}

impl NativeMatMul {
    /// Partial products of the parts of `k`, one after the other in output 0.
    fn run_splits(&self, operands: &Operands, pool: &Pool) {
        let MatMul { batch, m, n, k, splits, .. } = self.kernel;
        let len = self.kernel.split_len();
        pool.run(splits, |split| {
            let depth = (split * len).min(k)..((split + 1) * len).min(k);
            let mut copies = Pool::take_buffers();
            for z in 0..batch {
                // SAFETY: parts have disjoint splits.
                let out = unsafe { operands.write(0, (split * batch + z) * m * n, m * n) };
                if depth.is_empty() {
                    out.fill(0.0);
                } else {
                    self.product(operands, z, &(0..m), &depth, out, &mut copies);
                }
            }
            Pool::return_buffers(copies);
            self.row_sums(operands, &(0..m), &depth, split);
        });
    }
}
