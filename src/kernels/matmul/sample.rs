//! Samples and benchmarks of matrix products and convolutions.

use super::{Left, MatMul, MatrixView, Sums, WindowAxis, Windows};
use crate::kernels::samples::{Draw, Operand, Sample};
use crate::scalar::{BinaryFn, UnaryFn, View};
use crate::scalar::{Body, Inst};

/// A view of `rows x columns` matrices in either storage order, and the number of elements it needs.
fn matrix(draw: &mut Draw, batch: usize, rows: usize, columns: usize) -> (MatrixView, usize) {
    let (row, col) = if draw.one_in(2) { (1, rows) } else { (columns, 1) };
    let offset = if draw.one_in(4) { 64 } else { 0 };
    let repeated = batch > 1 && draw.one_in(3);
    let matrices = if repeated { 1 } else { batch };
    let view = MatrixView { offset, batch: if repeated { 0 } else { rows * columns }, row, col };
    (view, offset + matrices * rows * columns)
}

pub(super) fn matmul(draw: &mut Draw) -> Sample {
    let (m, n) = (draw.extent(), draw.extent());
    let k = draw.extent().min((400_000 / (m * n)).max(1));
    let batch = if draw.one_in(3) { 1 + draw.below(3) } else { 1 };
    let (a, a_len) = matrix(draw, batch, m, k);
    let (b, b_len) = matrix(draw, batch, k, n);
    let splits = if draw.one_in(4) { 1 + draw.below(4) } else { 1 };
    let mut reads = vec![draw.floats(a_len), draw.floats(b_len)];
    let (mut writes, epilogue) = if splits > 1 {
        let mut body = Body::default();
        let register = body.push(Inst::Accumulator);
        body.stores.push((register, 0));
        (vec![Operand::unwritten(splits * batch * m * n)], body)
    } else {
        let mut start = vec![Inst::Accumulator];
        let mut writes = vec![draw.output(batch * m * n, &mut start)];
        let (mut body, last) = if draw.one_in(3) {
            let mut body = Body::default();
            let register = body.push(Inst::Accumulator);
            (body, register)
        } else {
            draw.body(&[batch, m, n], &start, &mut reads)
        };
        body.stores.push((last, 0));
        if draw.one_in(3) {
            body.stores.push((0, 1));
            writes.push(Operand::unwritten(batch * m * n));
        }
        (writes, body)
    };
    let output = writes.len();
    let sums = (batch == 1 && draw.one_in(2)).then_some(Sums { output, parts: splits });
    if sums.is_some() {
        writes.push(Operand::unwritten(splits * m));
    }
    let a = Left::Matrix(a);
    let kernel = MatMul { batch, m, n, k, a, b, epilogue, sums, splits };
    draw.sample(kernel, reads, writes)
}

/// Windows of any geometry: with zero padding all around, every position and tap is valid.
fn windows(draw: &mut Draw, groups: usize) -> Windows {
    let mut axis = || WindowAxis {
        positions: 1 + draw.below(9),
        taps: 1 + draw.below(4),
        extent: 1 + draw.below(9),
        stride: draw.choice(&[1, 1, 2, 3]),
        step: draw.choice(&[1, 1, 2, -1, -2]),
        origin: draw.choice(&[0, -1, -2, 1, 3]),
        up: draw.choice(&[1, 1, 1, 2, 3]),
    };
    let axes = [axis(), axis()];
    let (images, channels) = (1 + draw.below(4), draw.choice(&[1, 2, 3, 4, 8, 12, 17]));
    let (all, [height, width]) = (groups * channels, axes.map(|a| a.extent));
    let strides = match draw.one_in(3) {
        true => [all * height * width, width, 1, height * width],
        false => [all * height * width, width * all, all, 1],
    };
    let offset = if draw.one_in(4) { 64 } else { 0 };
    Windows { images, axes, channels, offset, batch: channels * strides[3], strides, swapped: draw.one_in(2) }
}

pub(super) fn conv(draw: &mut Draw) -> Sample {
    let batch = draw.choice(&[1, 1, 1, 2, 3]);
    let windows = windows(draw, batch);
    let n = draw.choice(&[1, 2, 4, 5, 8, 16, 17, 20, 32, 48, 64, 70]);
    let [m, k] = windows.shape();
    let b = MatrixView { offset: 0, batch: n, row: batch * n, col: 1 };
    let mut reads = vec![draw.floats(windows.end(batch)), draw.floats(k * batch * n)];
    let splits = if draw.one_in(3) { 1 + draw.below(4) } else { 1 };
    let (mut body, last) = if splits > 1 || draw.one_in(3) {
        let mut body = Body::default();
        let register = body.push(Inst::Accumulator);
        (body, register)
    } else {
        draw.body(&[batch, m, n], &[Inst::Accumulator], &mut reads)
    };
    body.stores.push((last, 0));
    let mut writes = vec![Operand::unwritten(splits * batch * m * n)];
    let parts = if draw.one_in(2) { splits } else { 1 + draw.below(5) };
    let sums = (windows.swapped && draw.one_in(2)).then_some(Sums { output: 1, parts });
    if sums.is_some() {
        writes.push(Operand::unwritten(parts * batch * n));
    }
    let a = Left::Windows(windows);
    let kernel = MatMul { batch, m, n, k, a, b, epilogue: body, sums, splits };
    draw.sample(kernel, reads, writes)
}

/// Sizes from small tables to large networks.
pub(super) fn benchmarks() -> Vec<MatMul> {
    let mut kernels = vec![];
    // The layers of 64-128-64-1 at batch 32: forward, then the gradients of its weights and inputs.
    for (m, n, k) in [(32, 128, 64), (32, 64, 128), (32, 1, 64), (1024, 128, 64)] {
        kernels.push(product([1, m, n, k], false, true, true, 1));
    }
    kernels.push(product([1, 128, 64, 32], true, false, false, 1));
    kernels.push(product([1, 128, 64, 1024], true, false, false, 1));
    kernels.push(product([1, 32, 64, 128], false, false, false, 1));
    for size in [128, 256, 512, 1024] {
        kernels.push(product([1, size, size, size], false, true, false, 1));
    }
    kernels.push(product([1, 512, 512, 512], false, false, false, 1));
    kernels.push(product([1, 512, 512, 512], true, false, false, 1));
    kernels.push(product([16, 64, 64, 64], false, false, false, 1));
    kernels.push(product([1, 64, 64, 8192], true, false, false, 8));
    // A convolution of 32 images [32, 28, 28] with 64 kernels of 3 x 3, and the gradients of its input and
    // weights.
    kernels.extend([
        convolution(32, 32, 64, false),
        convolution(32, 64, 32, false),
        convolution(32, 32, 64, true),
    ]);
    kernels
}

/// `relu(A B + bias)`, or the plain product; either operand may be stored transposed.
pub(in crate::kernels) fn product(
    [batch, m, n, k]: [usize; 4],
    transpose_a: bool,
    transpose_b: bool,
    bias: bool,
    splits: usize,
) -> MatMul {
    let view = |rows: usize, columns: usize, transposed: bool| {
        let (row, col) = if transposed { (1, rows) } else { (columns, 1) };
        MatrixView { offset: 0, batch: if batch > 1 { rows * columns } else { 0 }, row, col }
    };
    let mut epilogue = Body::default();
    let mut result = epilogue.push(Inst::Accumulator);
    if bias {
        let view = View { offset: 0, strides: vec![0, 0, 1], guards: vec![] };
        let bias = epilogue.push(Inst::Load { operand: 2, view });
        let sum = epilogue.push(Inst::Binary(BinaryFn::Add, result, bias));
        result = epilogue.push(Inst::Unary(UnaryFn::Relu, sum));
    }
    epilogue.stores.push((result, 0));
    let sums = (transpose_a && batch == 1).then_some(Sums { output: 1, parts: splits });
    let (a, b) = (Left::Matrix(view(m, k, transpose_a)), view(k, n, transpose_b));
    MatMul { batch, m, n, k, a, b, epilogue, sums, splits }
}

/// A padded 3 x 3 convolution of `images` images of 28 x 28 from `channels` to `outputs` channels; or, if
/// `weights`, its weight gradient in eight parts.
fn convolution(images: usize, channels: usize, outputs: usize, weights: bool) -> MatMul {
    let axis = WindowAxis { positions: 28, taps: 3, extent: 28, stride: 1, step: 1, origin: -1, up: 1 };
    let windows = Windows {
        images,
        axes: [axis, axis],
        channels,
        offset: 0,
        batch: channels,
        strides: [28 * 28 * channels, 28 * channels, channels, 1],
        swapped: weights,
    };
    let [m, k] = windows.shape();
    let mut epilogue = Body::default();
    let result = epilogue.push(Inst::Accumulator);
    epilogue.stores.push((result, 0));
    let b = MatrixView { offset: 0, batch: outputs, row: outputs, col: 1 };
    let (a, splits) = (Left::Windows(windows), if weights { 8 } else { 1 });
    let sums = weights.then_some(Sums { output: 1, parts: splits });
    MatMul { batch: 1, m, n: outputs, k, a, b, epilogue, sums, splits }
}
