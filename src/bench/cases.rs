//! The kernels that `gridlight bench` times: every family, from the sizes of small tables to those of large
//! networks.

use crate::kernels::augment::{Augment, Changes};
use crate::kernels::batch::{Batch, BatchColumn};
use crate::kernels::cross_entropy::CrossEntropy;
use crate::kernels::gather::{Gather, GatherGrad};
use crate::kernels::matmul::{Left, MatMul, MatrixView, WindowAxis, Windows};
use crate::kernels::norm::GradientNorm;
use crate::kernels::pointwise::Pointwise;
use crate::kernels::pool::{Collect, Divisor, Pool, PoolAxis, PoolGrad, Pooling};
use crate::kernels::recurrence::{Cell, Part, Path, Recurrence, RecurrenceGrad, Scan, Seed};
use crate::kernels::reduce::Reduce;
use crate::kernels::softmax::Softmax;
use crate::kernels::store::Store;
use crate::kernels::{Kernel, optimizer};
use crate::optim::Optimizer;
use crate::scalar::ReduceKind;
use crate::scalar::{BinaryFn, Body, Inst, UnaryFn, View};

/// All cases.
pub fn all() -> Vec<Kernel> {
    let mut kernels = vec![];
    // The layers of 64-128-64-1 at batch 32, forward, then the gradients of its weights and inputs.
    for (m, n, k) in [(32, 128, 64), (32, 64, 128), (32, 1, 64), (1024, 128, 64)] {
        kernels.push(matmul([1, m, n, k], false, true, true, 1));
    }
    kernels.push(matmul([1, 128, 64, 32], true, false, false, 1));
    kernels.push(matmul([1, 128, 64, 1024], true, false, false, 1));
    kernels.push(matmul([1, 32, 64, 128], false, false, false, 1));
    for size in [128, 256, 512, 1024] {
        kernels.push(matmul([1, size, size, size], false, true, false, 1));
    }
    kernels.push(matmul([1, 512, 512, 512], false, false, false, 1));
    kernels.push(matmul([1, 512, 512, 512], true, false, false, 1));
    kernels.push(matmul([16, 64, 64, 64], false, false, false, 1));
    kernels.push(matmul([1, 64, 64, 8192], true, false, false, 8));
    // A convolution of 32 images [32, 28, 28] with 64 kernels 3 x 3, and the gradients of its input and weights.
    kernels.extend([conv(32, 32, 64, false), conv(32, 64, 32, false), conv(32, 32, 64, true)]);
    for elements in [1 << 12, 1 << 20] {
        kernels.extend([UnaryFn::Relu, UnaryFn::Tanh, UnaryFn::Gelu].map(|f| unary(f, elements)));
    }
    kernels.extend([scale_and_shift(32, 128), scale_and_shift(4096, 512)]);
    for kind in [ReduceKind::Sum, ReduceKind::Max] {
        kernels.extend([reduce(kind, 32, 128, None), reduce(kind, 4096, 512, None)]);
    }
    kernels.push(reduce(ReduceKind::Sum, 1, 1 << 20, Some(1024)));
    kernels.extend([column_sums(32, 128), column_sums(4096, 512)]);
    for (rows, columns) in [(32, 10), (4096, 256), (64, 10_000)] {
        kernels.push(Kernel::new(Softmax { rows, columns, log: false }));
    }
    kernels.extend([cross_entropy(32, 10, 0.0), cross_entropy(1024, 1000, 0.0)]);
    let (vocabulary, width, count) = (10_000, 64, 4096);
    kernels.push(Kernel::new(Gather { vocabulary, width, count }));
    kernels.push(Kernel::new(GatherGrad { vocabulary: 1000, width, count: 256 }));
    for (images, extent, channels, window, stride) in
        [(64, 24, 64, 2, 2), (64, 28, 32, 2, 2), (64, 24, 64, 3, 2)]
    {
        kernels.extend(pooling(images, extent, channels, window, stride));
    }
    for (cell, steps, batch, hidden) in
        [(Cell::Tanh, 64, 64, 256), (Cell::Lstm, 16, 64, 256), (Cell::Gru, 32, 16, 64)]
    {
        kernels.extend(recurrence(Scan { cell, steps, batch, hidden, reverse: false }, Path::Sequence));
    }
    for (cell, hidden) in [(Cell::Tanh, 2048), (Cell::Lstm, 1024)] {
        kernels.extend(recurrence(Scan { cell, steps: 2, batch: 64, hidden, reverse: false }, Path::Step));
    }
    let max_norm = 1.0f32.to_bits();
    kernels.extend([0, 1].map(|stage| Kernel::new(GradientNorm { len: 1 << 20, stage, max_norm })));
    for rule in ["sgd", "adam"].iter().filter_map(|name| Optimizer::named(name)) {
        kernels.extend([1 << 14, 1 << 20].map(|len| update(&rule, len, false)));
    }
    kernels.extend([batch(32, 64, 0.0), batch(32, 64, 0.05), batch(1024, 64, 0.05)]);
    kernels.extend([augment(64, [1, 28, 28], 0.0), augment(128, [3, 32, 32], 0.17)]);
    kernels.push(Kernel::new(Store { widths: vec![1] }));
    kernels
}

/// A recurrence with every output that its gradient needs, and this gradient; of two steps the one that goes on from the
/// other if they are taken one by one.
fn recurrence(scan: Scan, path: Path) -> [Kernel; 2] {
    let lstm = scan.cell == Cell::Lstm;
    let [forward, backward] = match path {
        Path::Sequence => [Part::whole(scan.steps); 2],
        Path::Step => [1, 0].map(|first| Part { first, count: 1, path }),
    };
    let saved = if scan.cell.saved() > 0 { Some(1 + usize::from(lstm)) } else { None };
    let outputs = [Some(0), lstm.then_some(1), saved];
    let states = Kernel::new(Recurrence { scan, part: forward, outputs });
    let outputs = match scan.cell {
        Cell::Tanh | Cell::Relu => [Some(0), None, None, None],
        Cell::Lstm => [Some(0), None, None, Some(1)],
        Cell::Gru => [Some(0), Some(1), Some(2), None],
    };
    let (seed, closes) = (Seed::Hidden, false);
    [states, Kernel::new(RecurrenceGrad { scan, part: backward, closes, seed, outputs })]
}

/// `relu(A B + bias)`, or the plain product; either operand may be stored transposed.
fn matmul(
    [batch, m, n, k]: [usize; 4],
    transpose_a: bool,
    transpose_b: bool,
    bias: bool,
    splits: usize,
) -> Kernel {
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
    let row_sums = (transpose_a && batch == 1).then_some(1);
    let (a, b) = (Left::Matrix(view(m, k, transpose_a)), view(k, n, transpose_b));
    Kernel::new(MatMul { batch, m, n, k, a, b, epilogue, row_sums, splits })
}

/// Convolution of `images` images of 28 x 28 from `channels` to `outputs` channels by 3 x 3 taps, padded; or, if
/// `weights`, the gradient of its weights in eight parts.
fn conv(images: usize, channels: usize, outputs: usize, weights: bool) -> Kernel {
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
    Kernel::new(MatMul { batch: 1, m, n: outputs, k, a, b, epilogue, row_sums: None, splits })
}

/// `f(x)` for each element.
fn unary(f: UnaryFn, elements: usize) -> Kernel {
    let shape = vec![elements];
    let mut body = Body::default();
    let load = Inst::Load { operand: 0, view: View::contiguous(&shape) };
    let x = body.push(load);
    let y = body.push(Inst::Unary(f, x));
    body.stores.push((y, 0));
    Kernel::new(Pointwise { shape, body })
}

/// `relu(x * gain + bias)` with `gain` and `bias` of one row.
fn scale_and_shift(rows: usize, columns: usize) -> Kernel {
    let shape = vec![rows, columns];
    let mut body = Body::default();
    let row = View { offset: 0, strides: vec![0, 1], guards: vec![] };
    let x = body.push(Inst::Load { operand: 0, view: View::contiguous(&shape) });
    let gain = body.push(Inst::Load { operand: 1, view: row.clone() });
    let bias = body.push(Inst::Load { operand: 2, view: row });
    let scaled = body.push(Inst::Binary(BinaryFn::Mul, x, gain));
    let shifted = body.push(Inst::Binary(BinaryFn::Add, scaled, bias));
    let y = body.push(Inst::Unary(UnaryFn::Relu, shifted));
    body.stores.push((y, 0));
    Kernel::new(Pointwise { shape, body })
}

/// The sum of squares or the largest element over the last axis of `[kept, reduced]`.
fn reduce(kind: ReduceKind, kept: usize, reduced: usize, chunk: Option<usize>) -> Kernel {
    let shape = [kept, reduced];
    let mut prologue = Body::default();
    let x = prologue.push(Inst::Load { operand: 0, view: View::contiguous(&shape) });
    let value = match kind {
        ReduceKind::Sum => prologue.push(Inst::Unary(UnaryFn::Square, x)),
        ReduceKind::Max => x,
    };
    let mut epilogue = Body::default();
    let total = epilogue.push(Inst::Accumulator);
    epilogue.stores.push((total, 0));
    Kernel::new(Reduce { kind, kept: vec![kept], reduced: vec![reduced], prologue, value, chunk, epilogue })
}

/// The sum over rows of `[rows, columns]`: the gradient of a bias.
fn column_sums(rows: usize, columns: usize) -> Kernel {
    let mut prologue = Body::default();
    let view = View { offset: 0, strides: vec![1, columns as isize], guards: vec![] };
    let value = prologue.push(Inst::Load { operand: 0, view });
    let mut epilogue = Body::default();
    let total = epilogue.push(Inst::Accumulator);
    epilogue.stores.push((total, 0));
    let (kept, reduced) = (vec![columns], vec![rows]);
    Kernel::new(Reduce { kind: ReduceKind::Sum, kept, reduced, prologue, value, chunk: None, epilogue })
}

/// Maxima and averages of square windows and their gradients, for images `[images, extent, extent, channels]`; wide
/// windows are padded.
fn pooling(images: usize, extent: usize, channels: usize, taps: usize, stride: usize) -> [Kernel; 4] {
    let before = (taps - 1) / 2;
    let positions = (extent + 2 * before - taps) / stride + 1;
    let axis = PoolAxis { positions, taps, extent, stride, dilation: 1, before, after: before };
    let axes = [axis, axis];
    let pool = |pooling| Kernel::new(Pool { images, axes, channels, pooling });
    let gradient = |collect| Kernel::new(PoolGrad { images, axes, channels, collect });
    [
        pool(Pooling::Max { values: Some(0), taps: Some(1) }),
        gradient(Collect::Chosen),
        pool(Pooling::Average(Divisor::Padded)),
        gradient(Collect::Average(Divisor::Padded)),
    ]
}

/// Loss and gradient of `[rows, classes]`.
fn cross_entropy(rows: usize, classes: usize, smoothing: f32) -> Kernel {
    let (loss, delta) = (Some(0), Some(1));
    Kernel::new(CrossEntropy { rows, classes, smoothing: smoothing.to_bits(), loss, delta })
}

/// The update of `len` words by a rule of the experiment file.
fn update(rule: &Optimizer, len: usize, clipped: bool) -> Kernel {
    Kernel::new(optimizer::Optimizer { len, slots: rule.slots(), clipped, body: rule.body() })
}

/// Images mirrored, shifted, and turned by up to so many radians.
fn augment(images: usize, shape: [usize; 3], rotation: f32) -> Kernel {
    let changes =
        Changes { flip_horizontal: true, shift: 2, rotation: rotation.to_bits(), ..Changes::default() };
    let fill = vec![0; shape[0]];
    Kernel::new(Augment { batch: images, shape, changes, fill, stream: 9, noise: 0, noise_stream: 8 })
}

/// Rows of a features block, with noise if `noise` is not 0, and of a target.
fn batch(rows: usize, features: usize, noise: f32) -> Kernel {
    let block =
        |width, noise: f32| BatchColumn { noise: noise.to_bits(), stream: 9, ..BatchColumn::rows(width) };
    Kernel::new(Batch { batch: rows, columns: vec![block(features, noise), block(1, 0.0)] })
}
