//! Recurrences on the CPU: each thread takes rows of the batch through all steps. A step is one small matrix
//! product whose tiles stay in registers, over panels of the weights that are copied once, then the cell.
#![allow(unsafe_code, reason = "outputs are written in parts")]

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::rules::{self, Arithmetic, Rule};
use super::{Cell, Recurrence, RecurrenceGrad, Scan, units};
use crate::base::step::StepRecord;
use crate::kernels::matmul::MatrixView;
use crate::kernels::matmul::panels::{PanelProduct, Panels};
use crate::kernels::matmul::transpose::transpose;
use crate::kernels::native::NativeRun;
use crate::native::operands::Operands;
use crate::native::parts::part_range;
use crate::native::pool::{Pool, grown};
use crate::scalar::exact;
use crate::scalar::native::vectors::vectorised;

/// Most rows of a part: more would not use an element of the weights more often while it is in the cache.
const ROWS: usize = 64;
/// Fewest rows of a part if there are others: a tile of a product.
const FEWEST: usize = 4;
/// A prepared recurrence or gradient of one.
pub struct NativeRecurrence<K> {
    kernel: K,
    exact: bool,
}

impl<K> NativeRecurrence<K> {
    /// Prepares `kernel`.
    pub fn new(kernel: K, exact: bool) -> Self {
        Self { kernel, exact }
    }
}

impl NativeRun for NativeRecurrence<Recurrence> {
    fn run(&self, operands: &Operands, _step: &StepRecord, pool: &Pool) {
        let scan = self.kernel.scan;
        let transposed = MatrixView { offset: 0, batch: 0, row: 1, col: scan.hidden };
        let panels = Panels::of(scan.width(), scan.hidden);
        run_parts(scan, operands, panels, transposed, self.exact, pool, |rows| {
            vectorised(Forward { rows, kernel: &self.kernel });
        });
    }
}

impl NativeRun for NativeRecurrence<RecurrenceGrad> {
    fn run(&self, operands: &Operands, _step: &StepRecord, pool: &Pool) {
        let scan = self.kernel.scan;
        let view = MatrixView { offset: 0, batch: 0, row: scan.hidden, col: 1 };
        let panels = Panels::of(scan.hidden, scan.width());
        run_parts(scan, operands, panels, view, self.exact, pool, |rows| {
            vectorised(Backward { rows, kernel: &self.kernel });
        });
    }
}

/// Calls `work` with parts of the rows, each of which is independent of the others. `view` shows `W_hh` as
/// the right operand of a step's product, whose sizes are those of `panels`.
fn run_parts(
    scan: Scan,
    operands: &Operands,
    panels: Panels,
    view: MatrixView,
    exact: bool,
    pool: &Pool,
    work: impl Fn(Rows) + Sync,
) {
    let Panels { n, k, .. } = panels;
    let [mut copy] = Pool::take_buffers();
    let weights = grown(&mut copy, n * k);
    match exact {
        false => panels.copy_on(pool, operands.read(1), &view, weights),
        true if view.row == 1 => transpose(operands.read(1), view.col, [n, k], weights),
        true => weights.copy_from_slice(operands.read(1)),
    }
    let weights = &*weights;
    let parts = pool.threads().clamp(scan.batch.div_ceil(ROWS), scan.batch.div_ceil(FEWEST));
    pool.run(parts, |part| {
        let rows = part_range(scan.batch, parts, part);
        work(Rows { scan, operands, rows, weights, panels, exact });
    });
    Pool::return_buffers([copy]);
}

/// Rows that one thread takes through all steps.
struct Rows<'a> {
    scan: Scan,
    operands: &'a Operands,
    rows: Range<usize>,
    /// `W_hh^T` `[H, g H]` forward, `W_hh` `[g H, H]` backward: in panels, in exact mode row-major.
    weights: &'a [f32],
    panels: Panels,
    exact: bool,
}

impl<'a> Rows<'a> {
    /// These rows at step `t` of read operand `operand`, `[T, B, width]`.
    fn read(&self, operand: usize, t: usize, width: usize) -> &'a [f32] {
        let start = (t * self.scan.batch + self.rows.start) * width;
        &self.operands.read(operand)[start..start + self.rows.len() * width]
    }

    /// The same of a written operand, if it is bound; nothing else.
    fn write(&self, output: Option<usize>, t: usize, width: usize) -> &'a mut [f32] {
        let start = (t * self.scan.batch + self.rows.start) * width;
        let len = self.rows.len() * width;
        // SAFETY: parts have disjoint rows, and each step asks once.
        output.map_or(&mut [], |output| unsafe { self.operands.write(output, start, len) })
    }

    /// `out = left W`, in the order of `k`; in exact mode with each operation rounded by itself.
    #[inline(always)]
    fn product(&self, left: &[f32], out: &mut [f32]) {
        let (panels, right) = (self.panels, self.weights);
        let Panels { n, k, .. } = panels;
        if !self.exact {
            let [mut copy] = Pool::take_buffers();
            let (a, a_row, a_col, sums) = (left, k, 1, &mut []);
            PanelProduct { panels, right, a, a_row, a_col, copy: &mut copy, out, sums }.run();
            return Pool::return_buffers([copy]);
        }
        for (x, out) in left.chunks_exact(k).zip(out.chunks_exact_mut(n)) {
            out.fill(0.0);
            for (x, row) in x.iter().zip(right.chunks_exact(n)) {
                for (sum, w) in out.iter_mut().zip(row) {
                    *sum = exact::multiply_add(*x, *w, *sum);
                }
            }
        }
    }
}

impl Rows<'_> {
    /// Adds what gradients `delta` of `R` send through the weights to those of the states before.
    #[inline(always)]
    fn send_back<A: Arithmetic>(&self, delta: &[f32], sums: &mut [f32], dh: &mut [f32]) {
        self.product(delta, sums);
        for (dh, sum) in dh.iter_mut().zip(sums) {
            *dh = A::add(*dh, *sum);
        }
    }
}

/// A copy of `values` in `buffer`.
fn copied<'b>(buffer: &'b mut Vec<f32>, values: &[f32]) -> &'b mut [f32] {
    let copy = grown(buffer, values.len());
    copy.copy_from_slice(values);
    copy
}

/// Row `row` of a block of rows; no row of no block.
#[inline(always)]
fn row(block: &[f32], row: usize, width: usize) -> &[f32] {
    block.get(row * width..(row + 1) * width).unwrap_or(&[])
}

/// See [`row`].
#[inline(always)]
fn row_mut(block: &mut [f32], row: usize, width: usize) -> &mut [f32] {
    block.get_mut(row * width..(row + 1) * width).unwrap_or(&mut [])
}

struct Forward<'a> {
    rows: Rows<'a>,
    kernel: &'a Recurrence,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        match (self.rows.scan.cell, self.rows.exact) {
            (Cell::Tanh, false) => self.scan::<rules::Tanh, rules::Fast<S>>(),
            (Cell::Relu, false) => self.scan::<rules::Relu, rules::Fast<S>>(),
            (Cell::Lstm, false) => self.scan::<rules::Lstm, rules::Fast<S>>(),
            (Cell::Gru, false) => self.scan::<rules::Gru, rules::Fast<S>>(),
            (Cell::Tanh, true) => self.scan::<rules::Tanh, rules::Exact>(),
            (Cell::Relu, true) => self.scan::<rules::Relu, rules::Exact>(),
            (Cell::Lstm, true) => self.scan::<rules::Lstm, rules::Exact>(),
            (Cell::Gru, true) => self.scan::<rules::Gru, rules::Exact>(),
        }
    }
}

impl Forward<'_> {
    #[inline(always)]
    fn scan<R: Rule, A: Arithmetic>(self) {
        let Forward { rows, kernel: &Recurrence { scan, part, outputs } } = self;
        let (cell, hidden, width) = (R::CELL, scan.hidden, scan.width());
        let bias = if cell == Cell::Gru { rows.operands.read(3) } else { &[] };
        // The state before the part.
        let before = |operand, output| match part.first {
            0 => rows.read(operand, 0, hidden),
            first => rows.write(output, scan.time(first - 1), hidden),
        };
        let mut buffers = Pool::take_buffers();
        let [h, c, product] = &mut buffers;
        let h = copied(h, before(2, outputs[0]));
        let c = copied(c, if cell == Cell::Lstm { before(3, outputs[1]) } else { &[] });
        let product = grown(product, rows.rows.len() * width);
        for t in (part.first..part.end()).map(|step| scan.time(step)) {
            rows.product(h, product);
            let gates = rows.read(0, t, width);
            let states = rows.write(outputs[0], t, hidden);
            let cells = rows.write(outputs[1], t, hidden);
            let saved = rows.write(outputs[2], t, cell.saved() * hidden);
            for r in 0..rows.rows.len() {
                let mut step = units::Forward {
                    gates: row(gates, r, width),
                    product: row(product, r, width),
                    bias,
                    h: row_mut(h, r, hidden),
                    c: row_mut(c, r, hidden),
                    outputs: [
                        row_mut(states, r, hidden),
                        row_mut(cells, r, hidden),
                        row_mut(saved, r, cell.saved() * hidden),
                    ],
                };
                step.step::<R, A>();
            }
        }
        Pool::return_buffers(buffers);
    }
}

struct Backward<'a> {
    rows: Rows<'a>,
    kernel: &'a RecurrenceGrad,
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        match (self.rows.scan.cell, self.rows.exact) {
            (Cell::Tanh, false) => self.scan::<rules::Tanh, rules::Fast<S>>(),
            (Cell::Relu, false) => self.scan::<rules::Relu, rules::Fast<S>>(),
            (Cell::Lstm, false) => self.scan::<rules::Lstm, rules::Fast<S>>(),
            (Cell::Gru, false) => self.scan::<rules::Gru, rules::Fast<S>>(),
            (Cell::Tanh, true) => self.scan::<rules::Tanh, rules::Exact>(),
            (Cell::Relu, true) => self.scan::<rules::Relu, rules::Exact>(),
            (Cell::Lstm, true) => self.scan::<rules::Lstm, rules::Exact>(),
            (Cell::Gru, true) => self.scan::<rules::Gru, rules::Exact>(),
        }
    }
}

impl Backward<'_> {
    #[inline(always)]
    fn scan<R: Rule, A: Arithmetic>(self) {
        let Backward { rows, kernel } = self;
        let (scan, part) = (rows.scan, kernel.part);
        let (cell, hidden, width, count) = (R::CELL, scan.hidden, scan.width(), rows.rows.len());
        let mut buffers = Pool::take_buffers();
        let [dh, dc, sums, delta] = &mut buffers;
        let (dh, dc) = (grown(dh, count * hidden), grown(dc, count * hidden));
        let (sums, delta) = (grown(sums, count * hidden), grown(delta, count * width));
        dh.fill(0.0);
        dc.fill(0.0);
        // Whether `delta` is the gradient of `R` of the step after.
        let mut after = part.end() < scan.steps;
        if after {
            delta.copy_from_slice(rows.write(kernel.products(), scan.time(part.end()), width));
            match cell {
                Cell::Tanh | Cell::Relu => {}
                Cell::Lstm => dc.copy_from_slice(rows.write(kernel.outputs[3], 0, hidden)),
                Cell::Gru => dh.copy_from_slice(rows.write(kernel.outputs[2], 0, hidden)),
            }
        }
        for step in (part.first..part.end()).rev() {
            if std::mem::replace(&mut after, true) {
                rows.send_back::<A>(delta, sums, dh);
            }
            let t = scan.time(step);
            let seed = rows.read(0, t, hidden);
            // States of this step, and of the one before.
            let (saved, states): (&[f32], &[f32]) = match cell {
                Cell::Tanh | Cell::Relu => (&[], rows.read(2, t, hidden)),
                Cell::Lstm | Cell::Gru => (rows.read(2, t, 4 * hidden), rows.read(3, t, hidden)),
            };
            let before = match cell {
                Cell::Tanh | Cell::Relu => &[],
                _ if step == 0 => rows.read(4, 0, hidden),
                _ => rows.read(3, scan.time(step - 1), hidden),
            };
            let d_gates = rows.write(kernel.outputs[0], t, width);
            for r in 0..count {
                let mut step = units::Backward {
                    seed: (row(seed, r, hidden), kernel.seed),
                    states: row(states, r, hidden),
                    before: row(before, r, hidden),
                    saved: row(saved, r, 4 * hidden),
                    dh: row_mut(dh, r, hidden),
                    dc: row_mut(dc, r, hidden),
                    products: row_mut(delta, r, width),
                    gates: row_mut(d_gates, r, width),
                };
                step.step::<R, A>();
            }
            if kernel.outputs[1].is_some() {
                rows.write(kernel.outputs[1], t, width).copy_from_slice(delta);
            }
        }
        if kernel.closes {
            rows.send_back::<A>(delta, sums, dh);
        }
        for (output, carried) in [(kernel.outputs[2], &*dh), (kernel.outputs[3], &*dc)] {
            if output.is_some() {
                rows.write(output, 0, hidden).copy_from_slice(carried);
            }
        }
        Pool::return_buffers(buffers);
    }
}
