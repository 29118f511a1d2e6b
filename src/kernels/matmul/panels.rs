//! Products with a right operand that was copied first, in panels that stay in the first-level cache while
//! many rows of the left operand go by.
//!
//! A panel is as wide as a tile, and its rows lie next to each other, so that reading it needs few pages and sets of the
//! caches, however long the rows of the matrix are.
#![allow(unsafe_code, reason = "threads write disjoint panels of one copy")]

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::MatrixView;
use super::direct::{Direct, ROWS, tile_vectors};
use super::transpose::transpose;
use crate::native::operands::Shared;
use crate::native::parts::{part_range, parts_for};
use crate::native::pool::{Pool, grown};
use crate::scalar::native::vectors::{lanes, vectorised};

/// Columns of the widest tile.
const WIDEST: usize = 64;
/// Columns up to which the left operand is read as it lies: a copy would be read by few tiles.
const NARROW: usize = 64;
/// Rows that begin as many bytes apart, or a multiple, compete for the same sets of the first-level cache.
const APART: usize = 1 << 10;
/// Rows of the left operand that are multiplied at once, at best.
pub(super) const BLOCK_ROWS: usize = 64;

/// How a matrix `[k, n]` lies in a copy of as many elements: the panels of its first rows from left to right,
/// then those of the next rows, each row-major.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernels) struct Panels {
    /// Columns of the matrix.
    pub n: usize,
    /// Rows of the matrix.
    pub k: usize,
    /// Rows and columns of a panel.
    size: [usize; 2],
}

/// The rows and columns of a panel.
struct Panel {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Panels {
    /// Those of a matrix `[k, n]`: as wide as a tile of this processor (or several, of short vectors), and 16 or 32 KiB, which
    /// stay in the first-level cache beside the rows of a tile.
    pub fn of(n: usize, k: usize) -> Self {
        let columns = (lanes() * tile_vectors(lanes())).max(16);
        let rows = if columns == WIDEST { 128 } else { 256 };
        Self { n, k, size: [rows, columns] }
    }

    /// How many there are.
    pub fn count(self) -> usize {
        self.across() * self.k.div_ceil(self.size[0])
    }

    /// How many lie side by side.
    fn across(self) -> usize {
        self.n.div_ceil(self.size[1])
    }

    fn panel(self, number: usize) -> Panel {
        let (down, across) = (number / self.across(), number % self.across());
        let range = |at: usize, size: usize, end: usize| at * size..((at + 1) * size).min(end);
        Panel { rows: range(down, self.size[0], self.k), columns: range(across, self.size[1], self.n) }
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
    // A length that is known needs no call.
    match width {
        16 => copy_rows_of::<16>(from, stride, to),
        WIDEST => copy_rows_of::<WIDEST>(from, stride, to),
        _ => {
            for (row, to) in to.chunks_exact_mut(width).enumerate() {
                to.copy_from_slice(&from[row * stride..][..width]);
            }
        }
    }
}

fn copy_rows_of<const WIDTH: usize>(from: &[f32], stride: usize, to: &mut [f32]) {
    for (row, to) in to.as_chunks_mut::<WIDTH>().0.iter_mut().enumerate() {
        to.copy_from_slice(&from[row * stride..][..WIDTH]);
    }
}

/// Copies `m` contiguous columns, `stride` apart, so that those of a tile lie together: `[m / ROWS][depth, ROWS]`.
#[inline(always)]
fn copy_tiles(from: &[f32], stride: usize, [m, depth]: [usize; 2], to: &mut [f32]) {
    for l in 0..depth {
        let (tiles, rest) = from[l * stride..][..m].as_chunks::<ROWS>();
        let places = to[l * ROWS..].chunks_mut(depth * ROWS);
        for (to, tile) in places.zip(tiles) {
            to[..ROWS].copy_from_slice(tile);
        }
        if !rest.is_empty() {
            to[(tiles.len() * depth + l) * ROWS..][..rest.len()].copy_from_slice(rest);
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
    /// Memory for `A` where it is copied: its rows are not contiguous, or compete for the same sets of the cache.
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
        let wide = panels.n > NARROW;
        let gathers = wide && a_col != 1;
        let copies = gathers
            || (wide && (a_row * size_of::<f32>()).is_multiple_of(APART) && panels.k > panels.size[0]);
        let copy =
            grown(copy, if copies { m.next_multiple_of(ROWS) * panels.size[0].min(panels.k) } else { 0 });
        sums.fill(0.0);
        for number in 0..panels.count() {
            let Panel { rows, columns } = panels.panel(number);
            let depth = rows.len();
            let left = &a[rows.start * a_col..];
            if columns.start == 0 {
                match (gathers, copies) {
                    (true, _) => copy_tiles(left, a_col, [m, depth], copy),
                    (_, true) => copy_rows(left, a_row, depth, &mut copy[..m * depth]),
                    _ => {}
                }
                if !sums.is_empty() {
                    add_columns(left, [a_row, a_col], depth, sums);
                }
            }
            let (a, a_tile, a_row, a_col) = match (gathers, copies) {
                (true, _) => (&*copy, depth, 1, ROWS),
                (_, true) => (&*copy, depth, depth, 1),
                _ => (left, a_row, a_row, a_col),
            };
            let product = Direct {
                a,
                a_tile,
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
            let panels = Panels::of(n, k);
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
