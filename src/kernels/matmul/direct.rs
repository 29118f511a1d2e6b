//! Products of matrices that fit the second-level cache, without packing, and of panels that were copied to
//! fit it: where the `gemm` crate's preparations cost as much as the product itself.
//!
//! A tile of up to 6 rows and 4 vectors of columns is kept in registers while `k` runs: one column of `A` and
//! one row of `B` at a time. Every element is one chain of fused multiply-adds in the order of `k`, so the
//! bits do not depend on how rows are cut into parts.

#![allow(unsafe_code, reason = "the innermost loop checks its bounds once, before it begins")]

use pulp::{Simd, WithSimd};

use crate::scalar::native::maths::multiply_add_vectors;
use crate::scalar::native::vectors::vectorised;

/// Rows of a tile: with 4 vectors of columns 24 of AVX-512's 32 registers hold sums.
pub(super) const ROWS: usize = 6;

/// Vectors of columns of a tile. AVX2 has 16 registers: half as many.
pub(super) const fn tile_vectors(lanes: usize) -> usize {
    if lanes >= 16 { 4 } else { 2 }
}

/// `out = A B` for `A` of any strides and `B` with columns next to each other.
pub(in crate::kernels) struct Direct<'a> {
    /// `[m, k]`: element (i, l) is at `t * a_tile + (i - t) * a_row + l * a_col`, where row `t` is the first of its [`ROWS`].
    pub a: &'a [f32],
    /// See `a`; `a_row`, unless each tile's rows lie together.
    pub a_tile: usize,
    /// See `a`.
    pub a_row: usize,
    /// See `a`.
    pub a_col: usize,
    /// `[k, n]`: element (l, j) is at `l * b_row + j`.
    pub b: &'a [f32],
    /// See `b`.
    pub b_row: usize,
    /// Columns.
    pub n: usize,
    /// Length of the sums.
    pub k: usize,
    /// Row-major, `out_row` columns: `[m, n]` from column `out_column`.
    pub out: &'a mut [f32],
    /// See `out`.
    pub out_row: usize,
    /// See `out`.
    pub out_column: usize,
    /// Whether the product is added to what `out` holds.
    pub accumulate: bool,
}

impl Direct<'_> {
    /// Computes the product. Its tiles are much code, compiled once for each width of vectors: callers get no
    /// copy.
    #[inline(never)]
    pub fn run(self) {
        vectorised(self);
    }
}

impl WithSimd for Direct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let n = self.n;
        all_columns(simd, &mut self, n);
    }
}

/// A product in tiles of rows by vectors of columns.
pub(super) trait Tiles {
    /// All rows of the `width` columns from `column`, which take `VECTORS` vectors.
    fn tiles<S: Simd, const VECTORS: usize>(&mut self, simd: S, column: usize, width: usize);
}

/// All tiles of `n` columns: up to four vectors at a time.
#[inline(always)]
pub(super) fn all_columns<S: Simd>(simd: S, product: &mut impl Tiles, n: usize) {
    let lanes = S::F32_LANES;
    let whole = n - n % lanes;
    let mut column = 0;
    while tile_vectors(lanes) == 4 && column + 4 * lanes <= whole {
        product.tiles::<S, 4>(simd, column, 4 * lanes);
        column += 4 * lanes;
    }
    while column + 2 * lanes <= whole {
        product.tiles::<S, 2>(simd, column, 2 * lanes);
        column += 2 * lanes;
    }
    while column < n {
        let width = lanes.min(n - column);
        product.tiles::<S, 1>(simd, column, width);
        column += width;
    }
}

impl Tiles for Direct<'_> {
    #[inline(always)]
    fn tiles<S: Simd, const VECTORS: usize>(&mut self, simd: S, column: usize, width: usize) {
        let m = self.out.len() / self.out_row;
        let mut row = 0;
        while row + ROWS <= m {
            self.tile::<S, ROWS, VECTORS>(simd, row, column, width);
            row += ROWS;
        }
        if row + 4 <= m {
            self.tile::<S, 4, VECTORS>(simd, row, column, width);
            row += 4;
        }
        if row + 2 <= m {
            self.tile::<S, 2, VECTORS>(simd, row, column, width);
            row += 2;
        }
        if row < m {
            self.tile::<S, 1, VECTORS>(simd, row, column, width);
        }
    }
}

impl Direct<'_> {
    #[inline(always)]
    fn tile<S: Simd, const TILE: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        width: usize,
    ) {
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; TILE];
        if self.accumulate {
            for (i, sums) in sums.iter_mut().enumerate() {
                let start = (row + i) * self.out_row + self.out_column + column;
                *sums = load::<S, VECTORS>(simd, &self.out[start..start + width]);
            }
        }
        let first = row - row % ROWS;
        let start = first * self.a_tile + (row - first) * self.a_row;
        let rows: [&[f32]; TILE] = std::array::from_fn(|i| &self.a[start + i * self.a_row..]);
        let right = Right { values: &self.b[column..], step: self.b_row, width };
        multiply(simd, &mut sums, rows, self.a_col, right, self.k);
        for (i, sums) in sums.iter().enumerate() {
            let start = (row + i) * self.out_row + self.out_column + column;
            store::<S, VECTORS>(simd, sums, &mut self.out[start..start + width]);
        }
    }
}

/// Columns of a right operand.
pub(super) struct Right<'a> {
    /// From the first row.
    pub values: &'a [f32],
    /// From one row to the next.
    pub step: usize,
    /// How many columns.
    pub width: usize,
}

/// Adds `sum_l rows[i][l * step] * right[l]` for `k` values of `l`, in their order, to the rows of a tile.
///
/// Between two multiply-adds there is nothing but loads: checks of bounds or sums of indices would take their
/// places, and half of the speed, on processors with two vector units.
#[inline(always)]
pub(super) fn multiply<S: Simd, const TILE: usize, const VECTORS: usize>(
    simd: S,
    sums: &mut [[S::f32s; VECTORS]; TILE],
    rows: [&[f32]; TILE],
    step: usize,
    right: Right,
    k: usize,
) {
    let Some(last) = k.checked_sub(1) else { return };
    let fits = rows.iter().all(|row| last * step < row.len());
    assert!(fits && last * right.step + right.width <= right.values.len(), "a tile must lie in its operands");
    let whole = right.width == VECTORS * S::F32_LANES;
    let (mut at, mut from) = (0, 0);
    for _ in 0..k {
        let b: [S::f32s; VECTORS] = match whole {
            // SAFETY: `from` is at most `last * right.step`, and `right.width` elements from there lie in
            // `right.values`, as was asserted; any bits are numbers.
            true => std::array::from_fn(|v| unsafe {
                right.values.as_ptr().add(from + v * S::F32_LANES).cast::<S::f32s>().read_unaligned()
            }),
            false => [simd.partial_load_f32s(&right.values[from..from + right.width]); VECTORS],
        };
        for (sums, row) in sums.iter_mut().zip(&rows) {
            // SAFETY: `at` is at most `last * step`, which lies in each row, as was asserted.
            let x = simd.splat_f32s(unsafe { *row.get_unchecked(at) });
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = multiply_add_vectors(simd, x, b, *sum);
            }
        }
        at += step;
        from += right.step;
    }
}

/// The vectors of a row; one vector may be a part.
#[inline(always)]
pub(super) fn load<S: Simd, const VECTORS: usize>(simd: S, row: &[f32]) -> [S::f32s; VECTORS] {
    if row.len() == VECTORS * S::F32_LANES {
        let vectors = S::as_simd_f32s(row).0;
        std::array::from_fn(|v| vectors[v])
    } else {
        [simd.partial_load_f32s(row); VECTORS]
    }
}

/// Stores the vectors of a row; one vector may be a part.
#[inline(always)]
pub(super) fn store<S: Simd, const VECTORS: usize>(simd: S, sums: &[S::f32s; VECTORS], out: &mut [f32]) {
    if out.len() == VECTORS * S::F32_LANES {
        for (out, sum) in S::as_mut_simd_f32s(out).0.iter_mut().zip(sums) {
            *out = *sum;
        }
    } else {
        simd.partial_store_f32s(out, sums[0]);
    }
}
