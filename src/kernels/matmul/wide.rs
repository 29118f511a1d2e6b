//! How threads share a product over a copy of the right operand in panels.
//!
//! What a thread copied, and what it computed, is in its own caches, and another thread's take several times as long to read
//! from, above all where cores have no cache in common. So each thread takes columns, of which it copies its own, where the
//! right operand is the larger one (a layer of few rows and many weights), and else rows.
#![allow(unsafe_code, reason = "outputs are written in parts")]

use super::direct::ROWS;
use super::native::NativeMatMul;
use super::panels::{BLOCK_ROWS, PanelProduct, Panels};
use super::{MatMul, Sums};
use crate::base::step::StepRecord;
use crate::kernels::pointwise::native::{run_body, run_columns};
use crate::native::operands::Operands;
use crate::native::parts::part_range;
use crate::native::pool::{Pool, grown};

/// Columns that share a line of the cache.
const LINE: usize = 16;
/// Elements of a right operand that is copied sooner than read from another thread's cache.
const SMALL: usize = 1 << 14;
/// Columns of each thread from which tiles of them waste little.
const COLUMNS: usize = 128;

/// Parts that are worth the work of handing them out.
fn worth(nanoseconds: usize) -> usize {
    (nanoseconds / 10_000).max(1)
}

impl NativeMatMul {
    /// The product over copies of `B`, shared by rows or by columns.
    pub(super) fn run_wide(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        let MatMul { m, n, sums, .. } = self.kernel;
        let parts = pool.threads().min(worth(self.nanoseconds));
        match sums.is_none() && n >= 2 * m && parts > 1 && n >= parts * COLUMNS {
            true => self.run_columns(operands, step, pool, parts),
            false => self.run_panels(operands, step, pool),
        }
    }

    /// Each part copies and multiplies columns of its own.
    fn run_columns(&self, operands: &Operands, step: &StepRecord, pool: &Pool, parts: usize) {
        let MatMul { m, n, k, b, .. } = self.kernel;
        pool.run(parts, |part| {
            let lines = part_range(n.div_ceil(LINE), parts, part);
            let columns = lines.start * LINE..(lines.end * LINE).min(n);
            let (width, panels) = (columns.len(), Panels::of(columns.len(), k));
            let [mut right, mut left, mut block] = Pool::take_buffers();
            let copy = grown(&mut right, width * k);
            panels.copy_all(&operands.read(1)[b.offset + columns.start * b.col..], &b, copy);
            let out = grown(&mut block, m * width);
            let product = PanelProduct {
                panels,
                right: copy,
                a: &operands.read(0)[self.a.offset..],
                a_row: self.a.row,
                a_col: self.a.col,
                copy: &mut left,
                out: &mut *out,
                sums: &mut [],
            };
            product.run();
            run_columns(&self.epilogue, operands, step, out, [m, n], columns);
            Pool::return_buffers([right, left, block]);
        });
    }

    /// Parts of rows over one copy of `B`, which the threads make together, or over a small one that each makes.
    fn run_panels(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        let MatMul { m, n, k, b, .. } = self.kernel;
        let panels = Panels::of(n, k);
        let from = &operands.read(1)[b.offset..];
        let is_small = n * k <= SMALL;
        let [mut shared] = Pool::take_buffers();
        let shared_copy = grown(&mut shared, if is_small { 0 } else { n * k });
        if !is_small {
            panels.copy_on(pool, from, &b, shared_copy);
        }
        let shared_copy = &*shared_copy;
        // Rows do not depend on each other. Parts are whole tiles, as many for each thread.
        let tiles = m.div_ceil(ROWS);
        let blocks = if is_small { 1 } else { m.div_ceil(BLOCK_ROWS) };
        let parts = blocks.min(worth(self.nanoseconds)).next_multiple_of(pool.threads());
        let parts = parts.min(tiles).min(worth(self.nanoseconds));
        pool.run(parts, |part| {
            let tiles = part_range(tiles, parts, part);
            let rows = tiles.start * ROWS..(tiles.end * ROWS).min(m);
            let (start, len) = (rows.start * n, rows.len() * n);
            let [mut block, mut copy, mut own] = Pool::take_buffers();
            let own_copy = grown(&mut own, if is_small { n * k } else { 0 });
            let right = match is_small {
                true => {
                    panels.copy_all(from, &b, own_copy);
                    &*own_copy
                }
                false => shared_copy,
            };
            let out = match self.plain {
                // SAFETY: parts have disjoint rows.
                true => unsafe { operands.write(0, start, len) },
                false => grown(&mut block, len),
            };
            // SAFETY: as above.
            let sums = |sums: Sums| unsafe { operands.write(sums.output, rows.start, rows.len()) };
            let sums = self.kernel.sums.map_or_else(Default::default, sums);
            let product = PanelProduct {
                panels,
                right,
                a: &operands.read(0)[self.a.offset + rows.start * self.a.row..],
                a_row: self.a.row,
                a_col: self.a.col,
                copy: &mut copy,
                out: &mut *out,
                sums,
            };
            product.run();
            if !self.plain {
                run_body(&self.epilogue, operands, step, out, start, len);
            }
            Pool::return_buffers([block, copy, own]);
        });
        Pool::return_buffers([shared]);
    }
}
