//! Products with a right operand that was copied first, in panels that stay in the first-level cache while
//! many rows of the left operand go by.
//!
//! A row of a panel is 256 bytes and lies next to the one before, so that reading a panel needs few pages and
//! sets of the caches, however long the rows of the matrix are.
#![allow(unsafe_code, reason = "threads write disjoint panels of one copy")]

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::MatrixView;
use super::direct::Direct;
use super::transpose::transpose;
use crate::native::operands::Shared;
use crate::native::pool::{Pool, grown, part_range, parts_for};
use crate::scalar::native::vectors::vectorised;

/// Rows of a panel: 32 KiB, which stay in the first-level cache.
const PANEL_ROWS: usize = 128;
/// Columns of a panel: whole tiles of AVX-512.
const PANEL_COLUMNS: usize = 64;
/// Rows of the left operand that are multiplied at once, at best.
pub(super) const BLOCK_ROWS: usize = 64;

/// How a matrix `[k, n]` lies in a copy of as many elements: the panels of its first rows from left to right,
/// then those of the next rows, each row-major.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernels) struct Panels {
    /// Columns.
    pub n: usize,
    /// Rows.
    pub k: usize,
}

/// The rows and columns of a panel.
struct Panel {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Panels {
    /// How many there are.
    pub fn count(self) -> usize {
        self.across() * self.k.div_ceil(PANEL_ROWS)
    }

    /// How many lie side by side.
    fn across(self) -> usize {
        self.n.div_ceil(PANEL_COLUMNS)
    }

    fn panel(self, number: usize) -> Panel {
        let (down, across) = (number / self.across(), number % self.across());
        let range = |at: usize, size: usize, end: usize| at * size..((at + 1) * size).min(end);
        Panel { rows: range(down, PANEL_ROWS, self.k), columns: range(across, PANEL_COLUMNS, self.n) }
    }

    /// Where panel `number` lies in the copy.
    pub fn range(self, number: usize) -> Range<usize> {
        let Panel { rows, columns } = self.panel(number);
        let start = rows.start * self.n + columns.start * rows.len();
        start..start + rows.len() * columns.len()
    }

    /// Copies panel `number` of the matrix that begins in `from`, whose columns or rows are contiguous.
    pub fn copy(self, number: usize, from: &[f32], view: &MatrixView, to: &mut [f32]) {
        let Panel { rows, columns } = self.panel(number);
        let from = &from[rows.start * view.row + columns.start * view.col..];
        if view.row == 1 {
            transpose(from, view.col, [columns.len(), rows.len()], to);
        } else {
            copy_rows(from, view.row, columns.len(), to);
        }
    }

    /// Copies all panels, on all threads if there is much to copy.
    pub fn copy_on(self, pool: &Pool, from: &[f32], view: &MatrixView, to: &mut [f32]) {
        let parts = parts_for(self.n * self.k, self.count());
        let to = Shared::new(to);
        pool.run(parts, |part| {
            for number in part_range(self.count(), parts, part) {
                let Range { start, end } = self.range(number);
                // SAFETY: panels are disjoint, and each belongs to one part.
                self.copy(number, from, view, unsafe { to.write(start, end - start) });
            }
        });
    }

    /// Copies all panels on this thread.
    pub fn copy_all(self, from: &[f32], view: &MatrixView, to: &mut [f32]) {
        for number in 0..self.count() {
            self.copy(number, from, view, &mut to[self.range(number)]);
        }
    }
}

/// Copies rows of `width` elements, `stride` apart, to lie next to each other.
#[inline(always)]
fn copy_rows(from: &[f32], stride: usize, width: usize, to: &mut [f32]) {
    for (row, to) in to.chunks_exact_mut(width).enumerate() {
        let from = &from[row * stride..];
        match (to.as_chunks_mut::<PANEL_COLUMNS>(), from.first_chunk::<PANEL_COLUMNS>()) {
            // A length that is known needs no call.
            (([to], []), Some(from)) => *to = *from,
            _ => to.copy_from_slice(&from[..width]),
        }
    }
}

/// Adds columns of `a` to `sums`, one after the other.
#[inline(always)]
fn add_columns(a: &[f32], [row, column]: [usize; 2], columns: usize, sums: &mut [f32]) {
    if row == 1 {
        for l in 0..columns {
            for (sum, x) in sums.iter_mut().zip(&a[l * column..]) {
                *sum += x;
            }
        }
    } else {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = (0..columns).fold(*sum, |sum, l| sum + a[i * row + l * column]);
        }
    }
}

/// `out = A B` for a few rows of `A`.
pub(in crate::kernels) struct PanelProduct<'a> {
    /// Sizes of `B`.
    pub panels: Panels,
    /// `B`, copied in panels.
    pub right: &'a [f32],
    /// `[m, k]`: element (i, l) is at `i * a_row + l * a_col`; one of the two is 1.
    pub a: &'a [f32],
    /// See `a`.
    pub a_row: usize,
    /// See `a`.
    pub a_col: usize,
    /// Memory for `A` if its rows are not contiguous.
    pub copy: &'a mut Vec<f32>,
    /// `[m, n]` row-major.
    pub out: &'a mut [f32],
    /// `[m]`, for the sums of the rows of `A`; empty if they are not wanted.
    pub sums: &'a mut [f32],
}

impl PanelProduct<'_> {
    /// Computes the product; see [`Direct::run`].
    #[inline(never)]
    pub fn run(self) {
        vectorised(self);
    }
}

impl WithSimd for PanelProduct<'_> {
    type Output = ();

    /// The sums run in the order of `k`, so that their bits do not depend on what else is multiplied.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let PanelProduct { panels, right, a, a_row, a_col, copy, out, sums } = self;
        let m = out.len() / panels.n;
        let gathers = a_col != 1;
        let copy = grown(copy, if gathers { m * PANEL_ROWS.min(panels.k) } else { 0 });
        sums.fill(0.0);
        for number in 0..panels.count() {
            let Panel { rows, columns } = panels.panel(number);
            if gathers && columns.start == 0 {
                copy_rows(&a[rows.start * a_col..], a_col, m, &mut copy[..m * rows.len()]);
            }
            let (a, a_row, a_col) =
                if gathers { (&copy[..], 1, m) } else { (&a[rows.start..], a_row, a_col) };
            if columns.start == 0 && !sums.is_empty() {
                add_columns(a, [a_row, a_col], rows.len(), sums);
            }
            let product = Direct {
                a,
                a_row,
                a_col,
                b: &right[panels.range(number)],
                b_row: columns.len(),
                n: columns.len(),
                k: rows.len(),
                out: &mut *out,
                out_row: panels.n,
                out_column: columns.start,
                accumulate: rows.start > 0,
            };
            product.run();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_has_one_place_in_the_panels() {
        for (n, k) in [(1, 1), (64, 512), (65, 513), (100, 1300), (200, 30)] {
            let panels = Panels { n, k };
            let values: Vec<f32> = (0..n * k).map(|i| i as f32).collect();
            for view in [
                MatrixView { offset: 0, batch: 0, row: n, col: 1 },
                MatrixView { offset: 0, batch: 0, row: 1, col: k },
            ] {
                let mut copy = vec![f32::NAN; n * k];
                panels.copy_all(&values, &view, &mut copy);
                let mut end = 0;
                for number in 0..panels.count() {
                    let (Panel { rows, columns }, range) = (panels.panel(number), panels.range(number));
                    assert_eq!(range.start, end, "{n}x{k}: panels follow each other");
                    end = range.end;
                    let places = rows.flat_map(|l| columns.clone().map(move |j| l * view.row + j * view.col));
                    let expected: Vec<f32> = places.map(|at| values[at]).collect();
                    assert_eq!(copy[range], expected, "{n}x{k}: panel {number}");
                }
                assert_eq!(end, n * k);
            }
        }
    }
}
