//! Ordered reduction on the CPU.
//!
//! Along rows (reduced elements next to each other) 16 running results take every 16th element and are
//! combined at the end; along columns (kept elements next to each other) whole rows are added one after the
//! other. Which of the two is part of the kernel's geometry, so the order is the same at every run.
#![allow(unsafe_code, reason = "partial results are written from several threads")]

use pulp::{Simd, WithSimd};

use super::Reduce;
use crate::base::step::StepRecord;
use crate::base::tensor::elements;
use crate::kernels::native::NativeRun;
use crate::kernels::pointwise::native::{Reads, run_body};
use crate::native::operands::Operands;
use crate::native::parts::{part_range, parts_for};
use crate::native::pool::{Pool, grown};
use crate::scalar::ReduceKind;
use crate::scalar::native::vectors::vectorised;
use crate::scalar::native::{CHUNK, Inputs, NativeBody, Scratch};
use crate::scalar::{BinaryFn, Body, Inst};

const LANES: usize = 16;

/// A prepared reduction.
pub struct NativeReduce {
    kind: ReduceKind,
    /// Kept elements.
    kept: usize,
    /// Reduced elements per kept element.
    reduced: usize,
    /// Reduced elements per partial result.
    chunk: usize,
    chunks: usize,
    /// Over `kept ++ reduced`, or `reduced ++ kept` if `columns`.
    prologue: NativeBody,
    epilogue: NativeBody,
    columns: bool,
    /// One result after the other, as the shader adds them up.
    exact: bool,
    parts: usize,
    /// Few columns of many partial results: threads share the chunks instead.
    chunk_parts: usize,
}

impl NativeReduce {
    /// Prepares `kernel`.
    pub fn new(kernel: &Reduce, exact: bool) -> Self {
        let (kept, reduced) = (elements(&kernel.kept), kernel.reduced_len());
        // The order of exact mode is that of rows.
        let columns = !exact && walks_columns(kernel);
        let (prologue, shape) =
            if columns { columns_first(kernel) } else { (kernel.prologue.clone(), kernel.input_shape()) };
        let chunks = kernel.chunks();
        let plain = NativeBody::new(&kernel.epilogue, &kernel.output_shape()).is_plain_copy();
        let cost = kept * reduced * (kernel.prologue.insts.len() + 1) / 4;
        Self {
            kind: kernel.kind,
            kept,
            reduced,
            chunk: kernel.chunk.unwrap_or(reduced).max(1),
            chunks,
            prologue: NativeBody::with_result(&prologue, &shape, kernel.value).exact(exact),
            epilogue: NativeBody::new(&kernel.epilogue, &kernel.output_shape()).exact(exact),
            columns,
            exact,
            parts: parts_for(cost, if columns { kept.div_ceil(CHUNK) } else { kept * chunks }),
            chunk_parts: if columns && kept <= CHUNK && chunks > 1 && plain {
                parts_for(cost, chunks)
            } else {
                1
            },
        }
    }

    fn start(&self) -> f32 {
        match self.kind {
            ReduceKind::Sum => 0.0,
            ReduceKind::Max => f32::NEG_INFINITY,
        }
    }

    /// Results of outputs `range` (linear over kept x chunks), rows next to each other.
    #[inline(always)]
    fn rows(
        &self,
        inputs: &Inputs,
        range: &std::ops::Range<usize>,
        totals: &mut [f32],
        scratch: &mut Scratch,
    ) {
        if self.exact {
            return self.in_order(inputs, range, totals, scratch);
        }
        if self.chunks == 1 && (1..=CHUNK).contains(&self.reduced) {
            // Several short rows at once.
            let group = CHUNK / self.reduced;
            for (first, totals) in range.clone().step_by(group).zip(totals.chunks_mut(group)) {
                let count = totals.len() * self.reduced;
                let values = self.prologue.evaluate(inputs, first * self.reduced, count, scratch);
                for (row, total) in values.chunks_exact(self.reduced).zip(totals) {
                    let mut lanes = [self.start(); LANES];
                    self.add_to_lanes(&mut lanes, row);
                    *total = self.joined(&lanes);
                }
            }
            return;
        }
        for (output, total) in range.clone().zip(totals) {
            let (kept, chunk) = (output / self.chunks, output % self.chunks);
            let (first, end) = (chunk * self.chunk, ((chunk + 1) * self.chunk).min(self.reduced));
            let mut lanes = [self.start(); LANES];
            for at in (first..end).step_by(CHUNK) {
                let (first, count) = (kept * self.reduced + at, CHUNK.min(end - at));
                let values = self.prologue.evaluate(inputs, first, count, scratch);
                self.add_to_lanes(&mut lanes, values);
            }
            *total = self.joined(&lanes);
        }
    }

    /// Each result from its first element on.
    #[inline(always)]
    fn in_order(
        &self,
        inputs: &Inputs,
        range: &std::ops::Range<usize>,
        totals: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let combine = match self.kind {
            ReduceKind::Sum => BinaryFn::Add,
            ReduceKind::Max => BinaryFn::Max,
        };
        for (output, total) in range.clone().zip(totals) {
            let (kept, chunk) = (output / self.chunks, output % self.chunks);
            let (first, end) = (chunk * self.chunk, ((chunk + 1) * self.chunk).min(self.reduced));
            for at in (first..end).step_by(CHUNK) {
                let (start, count) = (kept * self.reduced + at, CHUNK.min(end - at));
                let values = self.prologue.evaluate(inputs, start, count, scratch).iter();
                let values = values.copied();
                *total = match at == first {
                    true => values.reduce(|a, b| combine.exact(a, b)).unwrap_or(self.start()),
                    false => values.fold(*total, |a, b| combine.exact(a, b)),
                };
            }
        }
    }

    /// Element `i` of `values` goes to lane `i % LANES`.
    #[inline(always)]
    fn add_to_lanes(&self, lanes: &mut [f32; LANES], values: &[f32]) {
        let mut groups = values.chunks_exact(LANES);
        for group in &mut groups {
            self.combine_all(lanes, group);
        }
        let rest = groups.remainder();
        self.combine_all(&mut lanes[..rest.len()], rest);
    }

    #[inline(always)]
    fn joined(&self, lanes: &[f32; LANES]) -> f32 {
        lanes.iter().fold(self.start(), |a, &b| self.combine(a, b))
    }

    /// Results of the kept elements `range`, for all chunks: element by element down the columns.
    #[inline(always)]
    fn down_columns(
        &self,
        inputs: &Inputs,
        range: &std::ops::Range<usize>,
        totals: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let mut sums = [0.0f32; CHUNK];
        for first in range.clone().step_by(CHUNK) {
            let count = CHUNK.min(range.end - first);
            for chunk in 0..self.chunks {
                self.chunk_of_columns(inputs, chunk, first, &mut sums[..count], scratch);
                for (i, &sum) in sums[..count].iter().enumerate() {
                    totals[(first - range.start + i) * self.chunks + chunk] = sum;
                }
            }
        }
    }

    /// One chunk of the columns from `first`: as many rows at once as a chunk of the body holds.
    #[inline(always)]
    fn chunk_of_columns(
        &self,
        inputs: &Inputs,
        chunk: usize,
        first: usize,
        sums: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let count = sums.len();
        let at_once = if count == self.kept { CHUNK / count } else { 1 };
        let end = ((chunk + 1) * self.chunk).min(self.reduced);
        sums.fill(self.start());
        for row in (chunk * self.chunk..end).step_by(at_once) {
            let rows = at_once.min(end - row);
            let values = self.prologue.evaluate(inputs, row * self.kept + first, rows * count, scratch);
            for values in values.chunks_exact(count) {
                self.combine_all(sums, values);
            }
        }
    }

    #[inline(always)]
    fn combine(&self, a: f32, b: f32) -> f32 {
        match self.kind {
            ReduceKind::Sum => a + b,
            ReduceKind::Max => {
                if a > b || a.is_nan() {
                    a
                } else {
                    b
                }
            }
        }
    }

    #[inline(always)]
    fn combine_all(&self, totals: &mut [f32], values: &[f32]) {
        match self.kind {
            ReduceKind::Sum => {
                for (total, x) in totals.iter_mut().zip(values) {
                    *total += x;
                }
            }
            ReduceKind::Max => {
                for (total, &x) in totals.iter_mut().zip(values) {
                    *total = if *total > x || total.is_nan() { *total } else { x };
                }
            }
        }
    }
}

/// The results of a range of outputs.
struct Part<'a> {
    kernel: &'a NativeReduce,
    inputs: &'a Inputs<'a>,
    range: &'a std::ops::Range<usize>,
    totals: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl WithSimd for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Part { kernel, inputs, range, totals, scratch } = self;
        if kernel.columns {
            let kept = range.start / kernel.chunks..range.end / kernel.chunks;
            kernel.down_columns(inputs, &kept, totals, scratch);
        } else {
            kernel.rows(inputs, range, totals, scratch);
        }
    }
}

impl NativeRun for NativeReduce {
    fn run(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        if self.chunk_parts > 1 {
            return self.run_chunks(operands, step, pool);
        }
        pool.run(self.parts, |part| {
            let range = if self.columns {
                let kept = part_range(self.kept, self.parts, part);
                kept.start * self.chunks..kept.end * self.chunks
            } else {
                part_range(self.kept * self.chunks, self.parts, part)
            };
            let reads = Reads::of(operands);
            let inputs = Inputs { reads: reads.get(), step, accumulator: &[] };
            let [mut totals] = Pool::take_buffers();
            let results = grown(&mut totals, range.len());
            Pool::with_scratch(|scratch| {
                let part = Part { kernel: self, inputs: &inputs, range: &range, totals: results, scratch };
                vectorised(part);
            });
            run_body(&self.epilogue, operands, step, results, range.start, range.len());
            Pool::return_buffers([totals]);
        });
    }
}

/// One chunk of all columns.
struct ChunkOfColumns<'a> {
    kernel: &'a NativeReduce,
    inputs: &'a Inputs<'a>,
    chunk: usize,
    sums: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl WithSimd for ChunkOfColumns<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let ChunkOfColumns { kernel, inputs, chunk, sums, scratch } = self;
        kernel.chunk_of_columns(inputs, chunk, 0, sums, scratch);
    }
}

impl NativeReduce {
    /// The partial results of all columns, a part of the chunks on each thread.
    fn run_chunks(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        pool.run(self.chunk_parts, |part| {
            let reads = Reads::of(operands);
            let inputs = &Inputs { reads: reads.get(), step, accumulator: &[] };
            let mut sums = [0.0; CHUNK];
            let sums = &mut sums[..self.kept];
            for chunk in part_range(self.chunks, self.chunk_parts, part) {
                Pool::with_scratch(|scratch| {
                    let sums = &mut *sums;
                    vectorised(ChunkOfColumns { kernel: self, inputs, chunk, sums, scratch });
                });
                for (column, &sum) in sums.iter().enumerate() {
                    // SAFETY: each chunk belongs to one part.
                    let total = unsafe { operands.write(0, column * self.chunks + chunk, 1) };
                    total[0] = sum;
                }
            }
        });
    }
}

/// Whether most loads have kept elements next to each other, and reduced ones not.
fn walks_columns(kernel: &Reduce) -> bool {
    let (Some(last_kept), true) = (kernel.kept.len().checked_sub(1), !kernel.reduced.is_empty()) else {
        return false;
    };
    let last_reduced = kernel.kept.len() + kernel.reduced.len() - 1;
    let draws = kernel.prologue.insts.iter().any(|i| matches!(i, Inst::Random { .. }));
    let strides = kernel.prologue.insts.iter().filter_map(|inst| match inst {
        Inst::Load { view, .. } => Some((view.strides[last_kept], view.strides[last_reduced])),
        _ => None,
    });
    // Random elements are numbered along `kept ++ reduced`.
    !draws
        && strides.clone().any(|(kept, reduced)| kept == 1 && reduced > 1)
        && strides.clone().all(|(_, r)| r != 1)
}

/// The prologue over `reduced ++ kept`, and that shape.
fn columns_first(kernel: &Reduce) -> (Body, Vec<usize>) {
    let kept = kernel.kept.len();
    let rotate = |list: &mut Vec<isize>| list.rotate_left(kept);
    let mut body = kernel.prologue.clone();
    for inst in &mut body.insts {
        if let Inst::Load { view, .. } = inst {
            rotate(&mut view.strides);
            for guard in &mut view.guards {
                guard.0 = if guard.0 < kept { guard.0 + kernel.reduced.len() } else { guard.0 - kept };
            }
        }
    }
    (body, kernel.reduced.iter().chain(&kernel.kept).copied().collect())
}
