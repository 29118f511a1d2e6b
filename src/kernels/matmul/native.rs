//! Matrix product on the CPU: blocks of rows, each multiplied by the `gemm` crate on one thread and finished by
//! the epilogue while it is in the cache.
#![allow(unsafe_code, reason = "the gemm crate takes raw pointers; outputs are written in parts")]

use super::{MatMul, MatrixView};
use crate::device::cpu::memory::Operands;
use crate::device::cpu::pool::{Pool, part_range, parts_for};
use crate::kernels::native::NativeRun;
use crate::kernels::pointwise::native::run_body;
use crate::scalar::StepRecord;
use crate::scalar::native::NativeBody;

/// A prepared matrix product.
pub struct NativeMatMul {
    kernel: MatMul,
    epilogue: NativeBody,
    /// Output 0 takes the product itself before the epilogue finishes it in place.
    plain: bool,
    parts: usize,
}

/// Rows of a block are a multiple of this, the height of the largest micro-kernel tile or near it.
const ROW_STEP: usize = 16;

impl NativeMatMul {
    /// Prepares `kernel`.
    pub fn new(kernel: &MatMul) -> Self {
        let shape = [kernel.batch, kernel.m, kernel.n];
        let epilogue = NativeBody::new(&kernel.epilogue, &shape);
        // About 100 GFLOP/s on one core.
        let nanoseconds = 2 * kernel.batch * kernel.m * kernel.n * kernel.k / 100;
        let blocks = if kernel.batch > 1 { kernel.batch } else { kernel.m.div_ceil(ROW_STEP) };
        let parts = parts_for(nanoseconds, blocks);
        let plain = epilogue.is_plain_copy();
        Self { kernel: kernel.clone(), epilogue, plain, parts }
    }

    /// Rows `rows` of the product of matrix `z`, over `k` range `depth`, into `out` (row-major, `n` columns).
    fn product(
        &self,
        operands: &Operands,
        z: usize,
        rows: &std::ops::Range<usize>,
        depth: &std::ops::Range<usize>,
        out: &mut [f32],
    ) {
        let MatMul { n, a, b, .. } = self.kernel;
        let (left, right) = (operands.read(0), operands.read(1));
        let a_start = a.offset + z * a.batch + rows.start * a.row + depth.start * a.col;
        let b_start = b.offset + z * b.batch + depth.start * b.row;
        check(&a, z, rows.end, depth.end, left.len());
        check(&b, z, depth.end, n, right.len());
        assert_eq!(out.len(), rows.len() * n, "the output block must hold its rows");
        // SAFETY: `check` has shown that every index of the two views lies in its operand, and `out` holds
        // exactly `rows.len() * n` elements and is borrowed mutably.
        unsafe {
            gemm::gemm(
                rows.len(),
                n,
                depth.len(),
                out.as_mut_ptr(),
                1,
                n as isize,
                false,
                left.as_ptr().add(a_start),
                a.col as isize,
                a.row as isize,
                right.as_ptr().add(b_start),
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

    fn row_sums(&self, operands: &Operands, output: usize, depth: &std::ops::Range<usize>, split: usize) {
        let MatMul { m, a, .. } = self.kernel;
        let left = operands.read(0);
        check(&a, 0, m, depth.end, left.len());
        // SAFETY: one part computes the sums of a split.
        let sums = unsafe { operands.write(output, split * m, m) };
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                sums.fill(0.0);
                if a.row == 1 {
                    for k in depth.clone() {
                        let start = a.offset + k * a.col;
                        for (sum, x) in sums.iter_mut().zip(&left[start..start + m]) {
                            *sum += x;
                        }
                    }
                } else {
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let start = a.offset + i * a.row;
                        *sum = depth.clone().map(|k| left[start + k * a.col]).sum();
                    }
                }
            },
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
        pool.run(self.parts, |part| {
            let (matrices, rows) = if batch > 1 {
                (part_range(batch, self.parts, part), 0..m)
            } else {
                let blocks = part_range(m.div_ceil(ROW_STEP), self.parts, part);
                (0..1, blocks.start * ROW_STEP..(blocks.end * ROW_STEP).min(m))
            };
            for z in matrices {
                let (start, len) = ((z * m + rows.start) * n, rows.len() * n);
                if self.plain {
                    // SAFETY: parts have disjoint rows.
                    let out = unsafe { operands.write(0, start, len) };
                    self.product(operands, z, &rows, &whole, out);
                } else {
                    let mut block = Pool::with_scratch(|_, buffer| std::mem::take(buffer));
                    if block.len() < len {
                        block.resize(len, 0.0);
                    }
                    self.product(operands, z, &rows, &whole, &mut block[..len]);
                    run_body(&self.epilogue, operands, step, &block[..len], start, len);
                    Pool::with_scratch(|_, buffer| *buffer = block);
                }
            }
            if let (0, Some(output)) = (part, self.kernel.row_sums) {
                self.row_sums(operands, output, &whole, 0);
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
            for z in 0..batch {
                // SAFETY: parts have disjoint splits.
                let out = unsafe { operands.write(0, (split * batch + z) * m * n, m * n) };
                if depth.is_empty() {
                    out.fill(0.0);
                } else {
                    self.product(operands, z, &(0..m), &depth, out);
                }
            }
            if let Some(output) = self.kernel.row_sums {
                self.row_sums(operands, output, &depth, split);
            }
        });
    }
}
