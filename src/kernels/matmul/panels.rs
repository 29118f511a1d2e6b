//! Products with a right operand that is larger than the second-level cache: a panel of its columns is copied, and
//! multiplied while it lies there.

use super::MatrixView;
use super::direct::Direct;
use super::transpose::transpose;

/// Rows of a panel: with [`PANEL_COLUMNS`] half of a second-level cache of 512 KiB.
const PANEL_ROWS: usize = 1024;
/// Columns of a panel: whole tiles of AVX-512.
pub(super) const PANEL_COLUMNS: usize = 64;

/// `A B`, where the columns or the rows of `B` are contiguous.
pub(super) struct Panels<'a> {
    /// Holds `A`; its view begins here.
    pub left: &'a [f32],
    pub a: MatrixView,
    /// Holds `B`; its view begins here.
    pub right: &'a [f32],
    pub b: MatrixView,
    /// Columns of `B`.
    pub n: usize,
    /// Rows of `B`.
    pub k: usize,
}

impl Panels<'_> {
    /// Writes the product to `out`, row-major. `copy` is memory for a panel. The sums run in the order of `k`, so that
    /// their bits do not depend on what else is multiplied.
    pub fn multiply(&self, out: &mut [f32], copy: &mut Vec<f32>) {
        if copy.len() < PANEL_ROWS * PANEL_COLUMNS {
            copy.resize(PANEL_ROWS * PANEL_COLUMNS, 0.0);
        }
        for column in (0..self.n).step_by(PANEL_COLUMNS) {
            let columns = PANEL_COLUMNS.min(self.n - column);
            for first in (0..self.k).step_by(PANEL_ROWS) {
                let rows = PANEL_ROWS.min(self.k - first);
                self.copy(first, rows, column, columns, copy);
                pulp::Arch::new().dispatch(Direct {
                    a: &self.left[first * self.a.col..],
                    a_row: self.a.row,
                    a_col: self.a.col,
                    b: copy,
                    b_row: columns,
                    n: columns,
                    k: rows,
                    out: &mut *out,
                    out_row: self.n,
                    out_column: column,
                    accumulate: first > 0,
                });
            }
        }
    }

    /// Copies `rows` by `columns` of `B` to `to`, row-major.
    fn copy(&self, first: usize, rows: usize, column: usize, columns: usize, to: &mut [f32]) {
        let from = &self.right[first * self.b.row + column * self.b.col..];
        if self.b.row == 1 {
            return transpose(from, self.b.col, [columns, rows], to);
        }
        for (row, to) in to.chunks_exact_mut(columns).take(rows).enumerate() {
            to.copy_from_slice(&from[row * self.b.row..][..columns]);
        }
    }
}
