//! Matrix products and convolutions.

use std::ops::Range;

use super::{Left, MatMul, MatrixView, WindowAxis, Windows};
use crate::kernels::oracle::Operands;
use crate::kernels::pointwise::oracle::run;
use crate::oracle::conv::Conv;
use crate::oracle::matmul::matmul;
use crate::oracle::window::Axis;
use crate::oracle::{Approx, Real};

impl MatMul {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let len = self.split_len();
        let depths = (0..self.splits.max(1)).map(|s| (s * len).min(self.k)..((s + 1) * len).min(self.k));
        let mut products = vec![];
        for depth in depths {
            match &self.a {
                Left::Matrix(a) => products.extend(self.product(a, depth, operands)),
                Left::Windows(windows) => products.extend(self.convolution(windows, depth, operands)),
            }
        }
        if let Some(sums) = self.sums {
            writes[sums.output] = self.evaluate_sums(sums.parts, operands);
        }
        if self.splits > 1 {
            writes[0] = products;
        } else {
            let shape = [self.batch, self.m, self.n];
            run(&self.epilogue, &shape, |linear| products[linear], operands, writes);
        }
    }

    /// `[batch, m, n]`
    fn product(&self, a: &MatrixView, depth: Range<usize>, operands: &Operands) -> Vec<Approx> {
        let element = |operand: usize, view: &MatrixView, z: usize, row: usize, col: usize| {
            operands.reads[operand][view.offset + z * view.batch + row * view.row + col * view.col]
        };
        let of_matrices = |z: usize| {
            let left = |i: usize, p: usize| element(0, a, z, i, p);
            let right = |p: usize, j: usize| element(1, &self.b, z, p, j);
            matmul([self.m, self.n], depth.clone(), left, right)
        };
        (0..self.batch).flat_map(of_matrices).collect()
    }

    /// `[parts, m]`, of the rows of the first matrix, or `[parts, batch, n]`, of the columns of `B`.
    fn evaluate_sums(&self, parts: usize, operands: &Operands) -> Vec<Approx> {
        let element = |i: usize, p: usize| match &self.a {
            Left::Matrix(a) => operands.reads[0][a.offset + i * a.row + p * a.col],
            Left::Windows(_) => {
                let b = &self.b;
                let (z, col) = (i / self.n, i % self.n);
                operands.reads[1][b.offset + z * b.batch + p * b.row + col * b.col]
            }
        };
        let (len, sums) = (self.k.div_ceil(parts), self.sums_len());
        (0..parts * sums)
            .map(|at| {
                let (part, i) = (at / sums, at % sums);
                let depth = (part * len).min(self.k)..((part + 1) * len).min(self.k);
                Approx::sum(depth.map(|p| Approx::exact(element(i, p))))
            })
            .collect()
    }

    /// `[G, m, n]`: images by weights, or by the gradient of the result.
    fn convolution(&self, windows: &Windows, depth: Range<usize>, operands: &Operands) -> Vec<Approx> {
        let (groups, outputs) = (self.batch, self.n);
        let axes = windows.axes.map(|axis| {
            let WindowAxis { positions, taps, extent, stride, step, origin, up } = axis;
            Axis { positions, taps, extent, stride, step, origin, up }
        });
        let conv = Conv { images: windows.images, axes, groups, channels: windows.channels, outputs };
        let images = contiguous(windows, groups, &operands.reads[0]);
        let mut columns = vec![];
        for p in 0..self.k {
            for z in 0..groups {
                let start = self.b.offset + z * self.b.batch + p * self.b.row;
                columns.extend((0..outputs).map(|j| operands.reads[1][start + j * self.b.col]));
            }
        }
        match windows.swapped {
            false => conv.forward(&images, &columns, depth),
            true => conv.weight_gradient(&images, &columns, depth),
        }
    }
}

/// The images as `[N, H, W, G C]`.
fn contiguous(windows: &Windows, groups: usize, data: &[f64]) -> Vec<f64> {
    let [per_image, per_line, per_column, per_channel] = windows.strides;
    let [height, width] = windows.axes.map(|axis| axis.extent);
    let mut images = vec![];
    for pixel in 0..windows.images * height * width {
        let (n, y, x) = (pixel / (height * width), pixel / width % height, pixel % width);
        for z in 0..groups {
            let start = windows.offset + z * windows.batch + n * per_image + y * per_line + x * per_column;
            images.extend((0..windows.channels).map(|c| data[start + c * per_channel]));
        }
    }
    images
}
