//! Convolutions on the CPU without copying windows: tiles of positions by output channels stay in registers
//! while the loops run over taps and channels; each row of a tile reads the image at its own position.
#![allow(unsafe_code, reason = "outputs are written in parts")]

mod tiles;

use std::ops::Range;

use super::direct::Direct;
use super::native::{InOrder, RowSums};
use super::{MatMul, MatrixView, Sums, Windows};
use crate::base::step::StepRecord;
use crate::kernels::native::NativeRun;
use crate::kernels::pointwise::native::run_body;
use crate::native::operands::Operands;
use crate::native::parts::{part_range, parts_for};
use crate::native::pool::Pool;
use crate::scalar::native::NativeBody;
use crate::scalar::native::vectors::vectorised;
use tiles::{Line, Taps};

/// Positions computed before the epilogue finishes them in the cache.
const BLOCK: usize = 96;
/// Bytes of weights that stay in the L2 cache during a block of positions.
const WEIGHTS: usize = 1 << 18;
/// Read by taps outside the image.
static ZEROS: [f32; 1024] = [0.0; 1024];
/// Marks positions outside the image.
const OUTSIDE: usize = usize::MAX;

/// A prepared convolution, input gradient or weight gradient.
pub struct NativeConvolution {
    kernel: MatMul,
    windows: Windows,
    epilogue: NativeBody,
    /// Output 0 receives the plain product before the epilogue finishes it in place.
    plain: bool,
    parts: usize,
    exact: bool,
    /// Start of the line under (tap, position), per axis, in elements of the image as it is read.
    starts: [Vec<usize>; 2],
    /// Whether the images are first copied with contiguous channels.
    packs: bool,
}

impl NativeConvolution {
    /// Prepares `kernel`, whose left operand is `windows`.
    pub fn new(kernel: &MatMul, windows: &Windows, exact: bool) -> Self {
        let shape = [kernel.batch, kernel.m, kernel.n];
        let epilogue = NativeBody::new(&kernel.epilogue, &shape).exact(exact);
        let nanoseconds = 2 * kernel.batch * kernel.m * kernel.n * kernel.k / 100;
        let [down, along] = windows.axes;
        let items = if windows.swapped { kernel.batch * kernel.m } else { windows.images * down.positions };
        let channels = windows.channels;
        let packs = !exact && channels > 1 && windows.strides[3] != 1;
        let strides = match packs {
            true => [along.extent * channels, channels],
            false => [windows.strides[1], windows.strides[2]],
        };
        let table = |d: usize| {
            let axis = &windows.axes[d];
            let start = |(tap, position)| axis.line(position, tap).map_or(OUTSIDE, |line| line * strides[d]);
            (0..axis.taps).flat_map(|tap| (0..axis.positions).map(move |p| (tap, p))).map(start).collect()
        };
        let starts = if exact { [vec![], vec![]] } else { [table(0), table(1)] };
        Self {
            kernel: kernel.clone(),
            windows: *windows,
            plain: epilogue.is_plain_copy(),
            epilogue,
            parts: parts_for(nanoseconds, items),
            exact,
            starts,
            packs,
        }
    }

    /// First element of image `image` of group `z`.
    fn start(&self, z: usize, image: usize) -> usize {
        self.windows.offset + z * self.windows.batch + image * self.windows.strides[0]
    }

    /// Copies image `image` of group `z` to `copy` with contiguous channels.
    fn pack(&self, z: usize, image: usize, data: &[f32], copy: &mut Vec<f32>) {
        let Windows { channels, strides, axes: [down, along], .. } = self.windows;
        let start = self.start(z, image);
        copy.clear();
        for y in 0..down.extent {
            for x in 0..along.extent {
                let first = start + y * strides[1] + x * strides[2];
                copy.extend((0..channels).map(|c| data[first + c * strides[3]]));
            }
        }
    }

    /// Channels per pass over the positions, chosen so that their weights stay in the cache.
    fn channels_at_once(&self) -> usize {
        let taps = self.kernel.k / self.windows.channels;
        (WEIGHTS / (4 * taps * self.kernel.n)).clamp(8, ZEROS.len())
    }

    /// Computes lines (image, y) `lines` of group `z` into `out` `[positions, n]`.
    fn forward(
        &self,
        operands: &Operands,
        z: usize,
        lines: Range<usize>,
        out: &mut [f32],
        copy: &mut Vec<f32>,
    ) {
        let MatMul { n, b, .. } = self.kernel;
        let weights = &operands.read(1)[b.offset + z * b.batch..];
        let data = operands.read(0);
        let [down, along] = self.windows.axes;
        let (channels, step) = (self.windows.channels, self.channels_at_once());
        let mut packed = None;
        for first in (0..channels).step_by(step) {
            let channels = first..(first + step).min(channels);
            for (line, out) in lines.clone().zip(out.chunks_exact_mut(along.positions * n)) {
                let (number, y) = (line / down.positions, line % down.positions);
                if self.packs && packed != Some(number) {
                    self.pack(z, number, data, copy);
                    packed = Some(number);
                }
                let image = if self.packs { &copy[..] } else { &data[self.start(z, number)..] };
                let line = Line { conv: self, image, weights, y, channels: channels.clone(), out };
                vectorised(line);
            }
        }
    }

    /// Computes the gradient of the weights over the positions `depth` of group `z`: rows `rows` into `out`
    /// `[rows, n]`.
    fn weights(
        &self,
        operands: &Operands,
        z: usize,
        rows: Range<usize>,
        depth: Range<usize>,
        out: &mut [f32],
        copy: &mut Vec<f32>,
    ) {
        let b = self.kernel.b;
        let (data, gradient) = (operands.read(0), &operands.read(1)[b.offset + z * b.batch..]);
        let [down, along] = self.windows.axes;
        let per_image = down.positions * along.positions;
        out.fill(0.0);
        for number in depth.start / per_image..depth.end.div_ceil(per_image) {
            if self.packs {
                self.pack(z, number, data, copy);
            }
            let image = if self.packs { &copy[..] } else { &data[self.start(z, number)..] };
            let first = number * per_image;
            let inside = depth.start.max(first) - first..depth.end.min(first + per_image) - first;
            let gradient = &gradient[first * b.row..];
            let (rows, out) = (rows.clone(), &mut *out);
            vectorised(Taps { conv: self, image, gradient, inside, rows, out });
        }
    }

    /// Computes rows `rows` of matrix `z` over `depth`, one at a time, in the order of exact mode.
    fn in_order(
        &self,
        operands: &Operands,
        z: usize,
        rows: Range<usize>,
        depth: &Range<usize>,
        out: &mut [f32],
        copy: &mut Vec<f32>,
    ) {
        let MatMul { n, b, .. } = self.kernel;
        let data = operands.read(0);
        let right = &operands.read(1)[b.offset + z * b.batch + depth.start * b.row..];
        for (row, out) in rows.zip(out.chunks_exact_mut(n)) {
            copy.clear();
            copy.extend(depth.clone().map(|l| self.windows.element(z, row, l).map_or(0.0, |at| data[at])));
            let (a, k) = (&copy[..], depth.len());
            vectorised(InOrder(Direct {
                a,
                a_tile: 0,
                a_row: 0,
                a_col: 1,
                b: right,
                b_row: b.row,
                n,
                k,
                out,
                out_row: n,
                out_column: 0,
                accumulate: false,
            }));
        }
    }

    /// Sums the columns of the right operand, if they are wanted: those of part `part` of `k` alone, or all.
    fn sums(&self, operands: &Operands, part: usize) {
        let Some(Sums { output, parts }) = self.kernel.sums else { return };
        let MatMul { batch, n, k, b, .. } = self.kernel;
        let len = k.div_ceil(parts);
        let depth = (part * len).min(k)..((part + 1) * len).min(k);
        for z in 0..batch {
            // SAFETY: each part is summed once.
            let sums = unsafe { operands.write(output, (part * batch + z) * n, n) };
            let offset = b.offset + z * b.batch + depth.start * b.row;
            let view = MatrixView { offset, row: b.col, col: b.row, ..b };
            let (left, exact) = (operands.read(1), self.exact);
            vectorised(RowSums { left, view, k: depth.len(), sums, exact });
        }
    }

    /// Computes partial sums of the parts of `k`, stored consecutively in output 0.
    fn run_splits(&self, operands: &Operands, pool: &Pool) {
        let MatMul { batch, m, n, k, splits, .. } = self.kernel;
        let len = self.kernel.split_len();
        let parts = self.kernel.sums.map_or(splits, |sums| sums.parts);
        pool.run(splits, |split| {
            let depth = (split * len).min(k)..((split + 1) * len).min(k);
            let [block, mut copy] = Pool::take_buffers();
            for z in 0..batch {
                // SAFETY: parts have disjoint splits.
                let out = unsafe { operands.write(0, (split * batch + z) * m * n, m * n) };
                if depth.is_empty() {
                    out.fill(0.0);
                } else if self.exact || !self.windows.swapped {
                    self.in_order(operands, z, 0..m, &depth, out, &mut copy);
                } else {
                    self.weights(operands, z, 0..m, depth.clone(), out, &mut copy);
                }
            }
            Pool::return_buffers([block, copy]);
            if parts == splits {
                // While they are in the cache.
                self.sums(operands, split);
            }
        });
        if parts != splits {
            pool.run(parts, |part| self.sums(operands, part));
        }
    }
}

impl NativeRun for NativeConvolution {
    fn run(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        let MatMul { batch, m, n, k, .. } = self.kernel;
        if self.kernel.splits > 1 {
            return self.run_splits(operands, pool);
        }
        if let Some(Sums { parts, .. }) = self.kernel.sums {
            pool.run(parts, |part| self.sums(operands, part));
        }
        let along = self.windows.axes[1].positions;
        let by_line = !self.windows.swapped;
        let units = if by_line { m / along } else { m };
        pool.run(self.parts, |part| {
            let units = part_range(units, self.parts, part);
            let [mut block, mut copy] = Pool::take_buffers();
            let block_units = if by_line { BLOCK.div_ceil(along) } else { units.len().max(1) };
            for z in 0..batch {
                for first in units.clone().step_by(block_units) {
                    let units = first..(first + block_units).min(units.end);
                    let rows = if by_line { units.start * along..units.end * along } else { units.clone() };
                    let (start, len) = ((z * m + rows.start) * n, rows.len() * n);
                    let mut compute = |out: &mut [f32]| match (self.exact, by_line) {
                        (true, _) => self.in_order(operands, z, rows.clone(), &(0..k), out, &mut copy),
                        (false, true) => self.forward(operands, z, units.clone(), out, &mut copy),
                        (false, false) => self.weights(operands, z, rows.clone(), 0..k, out, &mut copy),
                    };
                    if self.plain {
                        // SAFETY: parts have disjoint rows.
                        compute(unsafe { operands.write(0, start, len) });
                    } else {
                        if block.len() < len {
                            block.resize(len, 0.0);
                        }
                        compute(&mut block[..len]);
                        run_body(&self.epilogue, operands, step, &block[..len], start, len);
                    }
                }
            }
            Pool::return_buffers([block, copy]);
        });
    }
}
