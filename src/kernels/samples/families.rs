//! One function a kernel family: random sizes, flags and operands.

use super::{Draw, Operand, Sample};
use crate::base::tensor::elements;
use crate::kernels::Kernel;
use crate::kernels::batch::{Batch, BatchColumn};
use crate::kernels::cross_entropy::CrossEntropy;
use crate::kernels::gather::{Gather, GatherGrad};
use crate::kernels::matmul::{Left, MatMul, MatrixView, WindowAxis, Windows};
use crate::kernels::norm::GradientNorm;
use crate::kernels::optimizer::Optimizer;
use crate::kernels::pointwise::Pointwise;
use crate::kernels::reduce::Reduce;
use crate::kernels::softmax::Softmax;
use crate::kernels::store::Store;
use crate::optim;
use crate::scalar::ReduceKind;
use crate::scalar::{Body, Inst};

/// Elements of the larger operands: enough for every path, few enough for the oracle.
const LIMIT: usize = 20_000;

pub(super) fn sample(draw: &mut Draw, kernel: Kernel, reads: Vec<Operand>, writes: Vec<Operand>) -> Sample {
    Sample { kernel, reads, writes, step: draw.step() }
}

/// The old contents of output 0 if a body reads them (then also its first instruction), else NaN.
fn output(draw: &mut Draw, len: usize, start: &mut Vec<Inst>) -> Operand {
    if draw.one_in(4) {
        start.push(Inst::Previous { output: 0 });
        return draw.floats(len);
    }
    Operand::unwritten(len)
}

pub(super) fn batch(draw: &mut Draw) -> Sample {
    let (rows, batch) = (draw.extent(), draw.extent());
    let batches = 1 + draw.below(3);
    let mut reads = vec![draw.integers(batch * batches, rows)];
    let mut columns = vec![];
    let mut writes = vec![];
    for stream in 0..1 + draw.below(3) as u32 {
        let width = draw.extent();
        let noise = if draw.one_in(2) { 0.25f32.to_bits() } else { 0 };
        // Windows that overlap, or plain rows.
        let (stride, offset) = if draw.one_in(2) { (draw.extent(), draw.below(9)) } else { (width, 0) };
        let column = BatchColumn { width, stride, offset, noise, stream };
        reads.push(draw.floats(column.words(rows)));
        columns.push(column);
        writes.push(Operand::unwritten(batch * width));
    }
    let first = draw.below(batches) * batch;
    let mut sample = sample(draw, Kernel::Batch(Batch { batch, columns }), reads, writes);
    sample.step.batch_start = first as u32;
    sample
}

/// A view of `rows x columns` matrices, stored either way round, and the elements it needs.
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
        let mut writes = vec![output(draw, batch * m * n, &mut start)];
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
    let row_sums = (batch == 1 && draw.one_in(2)).then_some(writes.len());
    if row_sums.is_some() {
        writes.push(Operand::unwritten(splits * m));
    }
    let a = Left::Matrix(a);
    let kernel = MatMul { batch, m, n, k, a, b, epilogue, row_sums, splits };
    sample(draw, Kernel::MatMul(kernel), reads, writes)
}

/// Windows of any geometry: with zeros all around, every position and tap is legal.
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
    let writes = vec![Operand::unwritten(splits * batch * m * n)];
    let a = Left::Windows(windows);
    let kernel = MatMul { batch, m, n, k, a, b, epilogue: body, row_sums: None, splits };
    sample(draw, Kernel::MatMul(kernel), reads, writes)
}

pub(super) fn pointwise(draw: &mut Draw) -> Sample {
    let rank = draw.below(5);
    let shape = draw.shape(rank, LIMIT);
    let mut start = vec![];
    let mut reads = vec![];
    let mut writes = vec![output(draw, elements(&shape), &mut start)];
    let (mut body, last) = draw.body(&shape, &start, &mut reads);
    body.stores.push((last, 0));
    if draw.one_in(2) {
        let other = draw.below(body.insts.len());
        body.stores.push((other as u32, 1));
        writes.push(Operand::unwritten(elements(&shape)));
    }
    sample(draw, Kernel::Pointwise(Pointwise { shape, body }), reads, writes)
}

pub(super) fn reduce(draw: &mut Draw) -> Sample {
    let kept_rank = draw.below(3);
    let kept = draw.shape(kept_rank, 2000);
    let reduced_rank = 1 + draw.below(2);
    let reduced = draw.shape(reduced_rank, (LIMIT / elements(&kept)).max(1));
    let kind = draw.choice(&[ReduceKind::Sum, ReduceKind::Sum, ReduceKind::Max]);
    let chunk = draw.one_in(4).then(|| draw.extent());
    let shape: Vec<usize> = kept.iter().chain(&reduced).copied().collect();
    let mut reads = vec![];
    let (prologue, value) = draw.body(&shape, &[], &mut reads);
    let mut kernel = Reduce { kind, kept, reduced, prologue, value, chunk, epilogue: Body::default() };
    let output_shape = kernel.output_shape();
    let mut start = vec![Inst::Accumulator];
    let writes = vec![output(draw, elements(&output_shape), &mut start)];
    let (mut epilogue, last) = draw.body(&output_shape, &start, &mut reads);
    epilogue.stores.push((last, 0));
    kernel.epilogue = epilogue;
    sample(draw, Kernel::Reduce(kernel), reads, writes)
}

pub(super) fn softmax(draw: &mut Draw) -> Sample {
    let (rows, columns, log) = (draw.extent(), draw.extent(), draw.one_in(2));
    let scale = draw.choice(&[1.0, 30.0]);
    let logits = draw.normals(rows * columns).iter().map(|x| x * scale).collect();
    let kernel = Kernel::Softmax(Softmax { rows, columns, log });
    sample(draw, kernel, vec![Operand::Floats(logits)], vec![Operand::unwritten(rows * columns)])
}

pub(super) fn cross_entropy(draw: &mut Draw) -> Sample {
    let (rows, classes) = (draw.extent(), draw.extent());
    let smoothing = draw.choice(&[0.0f32, 0.1]).to_bits();
    let weights = draw.normals(classes).iter().map(|w| 0.5 + w.abs()).collect();
    // Some labels are outside the classes.
    let labels = if draw.one_in(4) { classes + 1 } else { classes };
    let reads = vec![draw.floats(rows * classes), draw.integers(rows, labels), Operand::Floats(weights)];
    let (loss, delta) = draw.choice(&[(Some(0), Some(1)), (Some(0), None), (None, Some(0))]);
    let mut writes = vec![];
    if loss.is_some() {
        writes.push(Operand::unwritten(rows));
    }
    if delta.is_some() {
        writes.push(Operand::unwritten(rows * classes));
    }
    let kernel = CrossEntropy { rows, classes, smoothing, loss, delta };
    sample(draw, Kernel::CrossEntropy(kernel), reads, writes)
}

pub(super) fn gather(draw: &mut Draw) -> Sample {
    let (vocabulary, width, count) = (draw.extent(), draw.extent(), draw.extent());
    // Some indices are outside the table.
    let limit = if draw.one_in(4) { vocabulary + 1 } else { vocabulary };
    let reads = vec![draw.floats(vocabulary * width), draw.integers(count, limit)];
    let writes = vec![Operand::unwritten(count * width)];
    sample(draw, Kernel::Gather(Gather { vocabulary, width, count }), reads, writes)
}

pub(super) fn gather_grad(draw: &mut Draw) -> Sample {
    let (vocabulary, width, count) = (draw.extent(), draw.extent(), draw.extent());
    let limit = if draw.one_in(4) { vocabulary + 1 } else { vocabulary };
    let reads = vec![draw.integers(count, limit), draw.floats(count * width)];
    let writes = vec![Operand::unwritten(vocabulary * width)];
    sample(draw, Kernel::GatherGrad(GatherGrad { vocabulary, width, count }), reads, writes)
}

pub(super) fn gradient_norm(draw: &mut Draw) -> Sample {
    let len = 64 * draw.extent();
    let max_norm = draw.choice(&[0.5f32, 1e6]).to_bits();
    let stage = draw.below(2) as u32;
    let kernel = GradientNorm { len, stage, max_norm };
    if stage == 0 {
        let writes = vec![Operand::unwritten(kernel.partials())];
        let reads = vec![draw.floats(len)];
        return sample(draw, Kernel::GradientNorm(kernel), reads, writes);
    }
    let squares = draw.normals(kernel.partials()).iter().map(|x| x * x).collect();
    sample(draw, Kernel::GradientNorm(kernel), vec![Operand::Floats(squares)], vec![Operand::unwritten(2)])
}

pub(super) fn optimizer(draw: &mut Draw) -> Sample {
    let rule = draw.choice(&[0, 1, 2, 3, 4]);
    let rule: optim::Optimizer = match rule {
        0 => optim::Sgd { weight_decay: 0.01, ..optim::Sgd::default() }.into(),
        1 => optim::Sgd { momentum: 0.9, dampening: 0.1, ..optim::Sgd::default() }.into(),
        2 => optim::Adam { weight_decay: 0.01, ..optim::Adam::default() }.into(),
        3 => optim::AdamW::default().into(),
        _ => optim::RmsProp { momentum: 0.9, weight_decay: 0.01, ..optim::RmsProp::default() }.into(),
    };
    let (len, slots) = (Optimizer::BLOCK * draw.extent(), rule.slots());
    let kernel = Optimizer { len, slots, clipped: draw.one_in(2), body: rule.body() };
    let mask = Operand::Floats((0..len / Optimizer::BLOCK).map(|_| draw.below(2) as f32).collect());
    let mut reads = vec![draw.floats(len), mask];
    if kernel.clipped {
        reads.push(Operand::Floats(vec![4.0, 0.25]));
    }
    let mut writes = vec![draw.floats(len)];
    // Running squares are not negative.
    for _ in 0..slots {
        writes.push(Operand::Floats(draw.normals(len).iter().map(|x| x * x + 0.01).collect()));
    }
    sample(draw, Kernel::Optimizer(kernel), reads, writes)
}

pub(super) fn store(draw: &mut Draw) -> Sample {
    let widths: Vec<usize> = (0..1 + draw.below(3)).map(|_| draw.extent()).collect();
    let slots = 1 + draw.below(4);
    let reads = widths.iter().map(|&w| draw.floats(w)).collect();
    let writes = widths.iter().map(|&w| draw.floats(slots * w)).collect();
    let slot = draw.below(slots) as u32;
    let mut sample = sample(draw, Kernel::Store(Store { widths }), reads, writes);
    sample.step.slot = slot;
    sample
}
