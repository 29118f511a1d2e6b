//! The innermost loops of convolutions: tiles of positions, or of rows of the weights' gradient, by columns.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::{NativeConvolution, OUTSIDE, ZEROS};
use crate::kernels::matmul::direct::{Right, Tiles, all_columns, load, multiply, store};

/// The positions of one line, over some channels.
pub(super) struct Line<'a> {
    pub conv: &'a NativeConvolution,
    pub image: &'a [f32],
    /// `[taps, channels, ..]`, starting at the group's columns.
    pub weights: &'a [f32],
    pub y: usize,
    pub channels: Range<usize>,
    /// `[positions, n]`; holds the sum over the channels so far.
    pub out: &'a mut [f32],
}

impl WithSimd for Line<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let n = self.conv.kernel.n;
        all_columns(simd, &mut self, n);
    }
}

impl Tiles for Line<'_> {
    /// Computes all positions of the `width` columns from `column`. Positions `up` apart use the same taps.
    #[inline(always)]
    fn tiles<S: Simd, const VECTORS: usize>(&mut self, simd: S, column: usize, width: usize) {
        let axis = &self.conv.windows.axes[1];
        for class in 0..axis.up.min(axis.positions) {
            let mut at = class;
            let mut left = (axis.positions - class).div_ceil(axis.up);
            while S::F32_LANES >= 16 && VECTORS < 4 && left >= 8 {
                self.tile::<S, 8, VECTORS>(simd, at, column, width);
                at += 8 * axis.up;
                left -= 8;
            }
            while left >= 6 {
                self.tile::<S, 6, VECTORS>(simd, at, column, width);
                at += 6 * axis.up;
                left -= 6;
            }
            if left >= 4 {
                self.tile::<S, 4, VECTORS>(simd, at, column, width);
                at += 4 * axis.up;
                left -= 4;
            }
            if left >= 2 {
                self.tile::<S, 2, VECTORS>(simd, at, column, width);
                at += 2 * axis.up;
                left -= 2;
            }
            if left == 1 {
                self.tile::<S, 1, VECTORS>(simd, at, column, width);
            }
        }
    }
}

impl Line<'_> {
    #[inline(always)]
    fn tile<S: Simd, const TILE: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        first: usize,
        column: usize,
        width: usize,
    ) {
        let Self { conv, image, weights, y, channels, out } = self;
        let (image, weights) = (*image, *weights);
        let (n, row, up) = (conv.kernel.n, conv.kernel.b.row, conv.windows.axes[1].up);
        let [down, along] = &conv.windows.axes;
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; TILE];
        if channels.start > 0 {
            for (i, sums) in sums.iter_mut().enumerate() {
                *sums = load::<S, VECTORS>(simd, &out[(first + i * up) * n + column..][..width]);
            }
        }
        for tap_y in 0..down.taps {
            let line = conv.starts[0][tap_y * down.positions + *y];
            if line == OUTSIDE {
                continue;
            }
            for tap_x in 0..along.taps {
                let starts = &conv.starts[1][tap_x * along.positions..];
                let mut inside = false;
                let rows: [&[f32]; TILE] = std::array::from_fn(|i| {
                    let start = starts[first + i * up];
                    if start == OUTSIDE {
                        return &ZEROS[..channels.len()];
                    }
                    inside = true;
                    &image[line + start + channels.start..][..channels.len()]
                });
                if !inside {
                    continue;
                }
                let part = (tap_y * along.taps + tap_x) * conv.windows.channels + channels.start;
                let right = Right { values: &weights[part * row + column..], step: row, width };
                multiply(simd, &mut sums, rows, 1, right, channels.len());
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            store::<S, VECTORS>(simd, sums, &mut out[(first + i * up) * n + column..][..width]);
        }
    }
}

/// The contribution of one image's positions to the gradient of the weights.
pub(super) struct Taps<'a> {
    pub conv: &'a NativeConvolution,
    pub image: &'a [f32],
    /// `[positions, ..]` of this image, starting at the group's columns.
    pub gradient: &'a [f32],
    /// Positions to include.
    pub inside: Range<usize>,
    /// Rows (tap and channel) to compute.
    pub rows: Range<usize>,
    /// `[rows, n]`, accumulated.
    pub out: &'a mut [f32],
}

impl WithSimd for Taps<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let n = self.conv.kernel.n;
        all_columns(simd, &mut self, n);
    }
}

impl Tiles for Taps<'_> {
    /// Computes all rows of the `width` columns from `column`; a tile has a single tap.
    #[inline(always)]
    fn tiles<S: Simd, const VECTORS: usize>(&mut self, simd: S, column: usize, width: usize) {
        let channels = self.conv.windows.channels;
        let mut row = self.rows.start;
        while row < self.rows.end {
            let left = (channels - row % channels).min(self.rows.end - row);
            row += match left {
                8.. if S::F32_LANES >= 16 && VECTORS < 4 => {
                    self.tile::<S, 8, VECTORS>(simd, row, column, width)
                }
                6.. => self.tile::<S, 6, VECTORS>(simd, row, column, width),
                4.. => self.tile::<S, 4, VECTORS>(simd, row, column, width),
                2.. => self.tile::<S, 2, VECTORS>(simd, row, column, width),
                _ => self.tile::<S, 1, VECTORS>(simd, row, column, width),
            };
        }
    }
}

impl Taps<'_> {
    /// Returns the number of rows.
    #[inline(always)]
    fn tile<S: Simd, const TILE: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        width: usize,
    ) -> usize {
        let Self { conv, image, gradient, inside, rows, out } = self;
        let (image, gradient) = (*image, *gradient);
        let (n, b_row) = (conv.kernel.n, conv.kernel.b.row);
        let [down, along] = &conv.windows.axes;
        let (tap, channel) = (row / conv.windows.channels, row % conv.windows.channels);
        let (tap_y, tap_x) = (tap / along.taps, tap % along.taps);
        let starts = &conv.starts[1][tap_x * along.positions..][..along.positions];
        let place = |i: usize| (row - rows.start + i) * n + column;
        let mut sums: [[S::f32s; VECTORS]; TILE] =
            std::array::from_fn(|i| load::<S, VECTORS>(simd, &out[place(i)..][..width]));
        for y in inside.start / along.positions..inside.end.div_ceil(along.positions) {
            let line = conv.starts[0][tap_y * down.positions + y];
            if line == OUTSIDE {
                continue;
            }
            let first = y * along.positions;
            let part = inside.start.max(first) - first..inside.end.min(first + along.positions) - first;
            let mut x = part.start;
            while x < part.end {
                let start = starts[x];
                if start == OUTSIDE {
                    x += 1;
                    continue;
                }
                // Consecutive positions at equal distance.
                let next = starts[..part.end].get(x + 1).copied().filter(|&next| next != OUTSIDE);
                let step = next.map_or(0, |next| next.saturating_sub(start));
                let follows = |&(at, &next): &(usize, &usize)| next != OUTSIDE && next == start + at * step;
                let run = starts[x..part.end].iter().enumerate().take_while(follows).count();
                let values: [&[f32]; TILE] = std::array::from_fn(|i| &image[line + start + channel + i..]);
                let right = Right { values: &gradient[(first + x) * b_row + column..], step: b_row, width };
                multiply(simd, &mut sums, values, step, right, run);
                x += run;
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            store::<S, VECTORS>(simd, sums, &mut out[place(i)..][..width]);
        }
        TILE
    }
}
