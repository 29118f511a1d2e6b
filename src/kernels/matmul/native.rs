//! Matrix product on the CPU: blocks of rows, each multiplied on one thread (small matrices directly, large ones by
//! the `gemm` crate) and finished by the epilogue while it is in the cache.
#![allow(unsafe_code, reason = "the gemm crate takes raw pointers; outputs are written in parts")]

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::direct::{self, Direct};
use super::panels::{PANEL_COLUMNS, Panels};
use super::transpose::transpose;
use super::{MatMul, MatrixView};
use crate::device::cpu::memory::Operands;
use crate::device::cpu::pool::{Pool, part_range, parts_for};
use crate::kernels::native::NativeRun;
use crate::kernels::pointwise::native::run_body;
use crate::scalar::native::NativeBody;
use crate::scalar::{StepRecord, exact};

/// A prepared matrix product.
pub struct NativeMatMul {
    kernel: MatMul,
    /// The left operand.
    a: MatrixView,
    epilogue: NativeBody,
    /// Output 0 takes the product itself before the epilogue finishes it in place.
    plain: bool,
    parts: usize,
    method: Method,
}

/// How a block of rows is multiplied. The choice depends on the kernel alone.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Method {
    /// Tiles in registers over `B` as it lies.
    Direct,
    /// The same over a transposed copy of `B`.
    Transposed,
    /// The same over copies of panels of `B`, each made once.
    Panels,
    /// The `gemm` crate.
    Gemm,
    /// Exact mode: one product and one sum after the other.
    Exact,
}

impl Method {
    /// Elements of `B` that leave room for the rest in the second-level cache.
    const SMALL: usize = 1 << 16;
    /// Elements of `B` that each part may transpose for itself.
    const TINY: usize = 1 << 14;

    fn of(kernel: &MatMul, exact: bool) -> Self {
        if exact {
            return Method::Exact;
        }
        let elements = kernel.n * kernel.k;
        let contiguous = kernel.b.row == 1 || kernel.b.col == 1;
        // A tile of one column would leave most lanes of its vectors empty.
        if kernel.n == 1 {
            Method::Gemm
        } else if elements <= Self::SMALL && kernel.b.col == 1 {
            Method::Direct
        } else if elements <= Self::TINY && kernel.b.row == 1 && kernel.m >= 8 {
            Method::Transposed
        } else if contiguous && kernel.m >= 32 {
            Method::Panels
        } else {
            Method::Gemm
        }
    }
}

/// Rows of a block are a multiple of this: whole tiles.
const ROW_STEP: usize = 2 * direct::ROWS;

impl NativeMatMul {
    /// Prepares `kernel`, whose left operand is `a`.
    pub fn new(kernel: &MatMul, a: MatrixView, exact: bool) -> Self {
        let shape = [kernel.batch, kernel.m, kernel.n];
        let epilogue = NativeBody::new(&kernel.epilogue, &shape).exact(exact);
        // About 100 GFLOP/s on one core.
        let nanoseconds = 2 * kernel.batch * kernel.m * kernel.n * kernel.k / 100;
        let blocks = if kernel.batch > 1 { kernel.batch } else { kernel.m.div_ceil(ROW_STEP) };
        let parts = parts_for(nanoseconds, blocks);
        let plain = epilogue.is_plain_copy();
        Self { kernel: kernel.clone(), a, epilogue, plain, parts, method: Method::of(kernel, exact) }
    }

    /// Rows `rows` of the product of matrix `z`, over `k` range `depth`, into `out` (row-major, `n` columns).
    /// `copy` is memory for a transposed `B`.
    fn product(
        &self,
        operands: &Operands,
        z: usize,
        rows: &Range<usize>,
        depth: &Range<usize>,
        out: &mut [f32],
        copy: &mut Vec<f32>,
    ) {
        let MatMul { n, b, .. } = self.kernel;
        let a = self.a;
        let k = depth.len();
        let left = &operands.read(0)[a.offset + z * a.batch + rows.start * a.row + depth.start * a.col..];
        let right = &operands.read(1)[b.offset + z * b.batch + depth.start * b.row..];
        assert_eq!(out.len(), rows.len() * n, "the output block must hold its rows");
        let direct = |b, out| Direct {
            a: left,
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
            Method::Direct => pulp::Arch::new().dispatch(Direct { b_row: b.row, ..direct(right, out) }),
            Method::Transposed => {
                if copy.len() < k * n {
                    copy.resize(k * n, 0.0);
                }
                transpose(right, b.col, [n, k], copy);
                pulp::Arch::new().dispatch(direct(copy, out));
            }
            Method::Panels => Panels { left, a, right, b, n, k }.multiply(out, copy),
            Method::Gemm => packed(left, &a, right, &b, [rows.len(), n, k], out),
            Method::Exact => {
                copy.clear();
                copy.extend((0..k * n).map(|at| right[at / n * b.row + at % n * b.col]));
                pulp::Arch::new().dispatch(InOrder(direct(copy, out)));
            }
        }
    }

    fn row_sums(&self, operands: &Operands, output: usize, depth: &Range<usize>, split: usize) {
        let (m, a) = (self.kernel.m, self.a);
        let left = operands.read(0);
        check(&a, 0, m, depth.end, left.len());
        // SAFETY: one part computes the sums of a split.
        let sums = unsafe { operands.write(output, split * m, m) };
        let view = MatrixView { offset: a.offset + depth.start * a.col, ..a };
        let exact = self.method == Method::Exact;
        pulp::Arch::new().dispatch(RowSums { left, view, k: depth.len(), sums, exact });
    }
}

/// `sums[i] = sum_k A[i, k]`.
struct RowSums<'a> {
    left: &'a [f32],
    view: MatrixView,
    k: usize,
    sums: &'a mut [f32],
    exact: bool,
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
    // SAFETY: `check` has shown that every index of the two views lies in its operand, and `out` holds exactly
    // `m * n` elements and is borrowed mutably.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            false,
            left.as_ptr(),
            a.col as isize,
            a.row as isize,
            right.as_ptr(),
            b.col as isize,
            b.row as isize,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
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
            return self.run_panels(operands, step, pool);
        }
        pool.run(self.parts, |part| {
            let (matrices, rows) = if batch > 1 {
                (part_range(batch, self.parts, part), 0..m)
            } else {
                let blocks = part_range(m.div_ceil(ROW_STEP), self.parts, part);
                (0..1, blocks.start * ROW_STEP..(blocks.end * ROW_STEP).min(m))
            };
            let (mut block, mut copy) = Pool::take_buffers();
            for z in matrices {
                let (start, len) = ((z * m + rows.start) * n, rows.len() * n);
                if self.plain {
                    // SAFETY: parts have disjoint rows.
                    let out = unsafe { operands.write(0, start, len) };
                    self.product(operands, z, &rows, &whole, out, &mut copy);
                } else {
                    if block.len() < len {
                        block.resize(len, 0.0);
                    }
                    self.product(operands, z, &rows, &whole, &mut block[..len], &mut copy);
                    run_body(&self.epilogue, operands, step, &block[..len], start, len);
                }
            }
            Pool::return_buffers(block, copy);
            if let (0, Some(output)) = (part, self.kernel.row_sums) {
                self.row_sums(operands, output, &whole, 0);
            }
        });
    }
}

impl NativeMatMul {
    /// The product in parts of columns, so that each panel of `B` is copied once, and of rows if there are few panels.
    fn run_panels(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        let MatMul { m, n, k, b, .. } = self.kernel;
        let (panels, blocks) = (n.div_ceil(PANEL_COLUMNS), m.div_ceil(ROW_STEP));
        let across = panels.min(self.parts);
        let down = (self.parts / across).clamp(1, blocks);
        pool.run(across * down, |part| {
            let rows = part_range(blocks, down, part / across);
            let rows = rows.start * ROW_STEP..(rows.end * ROW_STEP).min(m);
            let columns = part_range(panels, across, part % across);
            let columns = columns.start * PANEL_COLUMNS..(columns.end * PANEL_COLUMNS).min(n);
            let (mut block, mut copy) = Pool::take_buffers();
            let len = rows.len() * columns.len();
            if block.len() < len {
                block.resize(len, 0.0);
            }
            let left = &operands.read(0)[self.a.offset + rows.start * self.a.row..];
            let right = &operands.read(1)[b.offset + columns.start * b.col..];
            Panels { left, a: self.a, right, b, n: columns.len(), k }.multiply(&mut block[..len], &mut copy);
            for (row, values) in rows.zip(block[..len].chunks_exact(columns.len())) {
                let start = row * n + columns.start;
                if self.plain {
                    // SAFETY: parts have disjoint rows or columns.
                    unsafe { operands.write(0, start, values.len()) }.copy_from_slice(values);
                } else {
                    run_body(&self.epilogue, operands, step, values, start, values.len());
                }
            }
            Pool::return_buffers(block, copy);
            if let (0, Some(output)) = (part, self.kernel.row_sums) {
                self.row_sums(operands, output, &(0..k), 0);
            }
        });
    }

    /// Partial products of the parts of `k`, one after the other in output 0.
    fn run_splits(&self, operands: &Operands, pool: &Pool) {
        let MatMul { batch, m, n, k, splits, .. } = self.kernel;
        let len = self.kernel.split_len();
        pool.run(splits, |split| {
            let depth = (split * len).min(k)..((split + 1) * len).min(k);
            let (block, mut copy) = Pool::take_buffers();
            for z in 0..batch {
                // SAFETY: parts have disjoint splits.
                let out = unsafe { operands.write(0, (split * batch + z) * m * n, m * n) };
                if depth.is_empty() {
                    out.fill(0.0);
                } else {
                    self.product(operands, z, &(0..m), &depth, out, &mut copy);
                }
            }
            Pool::return_buffers(block, copy);
            if let Some(output) = self.kernel.row_sums {
                self.row_sums(operands, output, &depth, split);
            }
        });
    }
}
