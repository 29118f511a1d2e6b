//! The steps of a part, row by row.

use super::{Cell, Recurrence, RecurrenceGrad, Scan, Seed};
use crate::kernels::oracle::Operands;
use crate::oracle::recurrence::{Given, Later, Layer, State};
use crate::oracle::{Approx, Real};

/// One row of the batch in tensors `[T, B, width]`.
#[derive(Clone, Copy)]
struct Row<'a> {
    scan: &'a Scan,
    row: usize,
}

impl Row<'_> {
    /// Its values at time `t`.
    fn at<'d, T>(&self, data: &'d [T], t: usize, width: usize) -> &'d [T] {
        &data[(t * self.scan.batch + self.row) * width..][..width]
    }

    /// Writes its values at time `t` of an output that is wanted.
    fn put(&self, writes: &mut [Vec<Approx>], output: Option<usize>, t: usize, values: &[Approx]) {
        if let Some(output) = output {
            let start = (t * self.scan.batch + self.row) * values.len();
            writes[output][start..start + values.len()].copy_from_slice(values);
        }
    }
}

impl Recurrence {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let (scan, part, reads) = (&self.scan, self.part, operands.reads);
        let layer = match scan.cell {
            Cell::Tanh => Layer::Tanh(&reads[1]),
            Cell::Relu => Layer::Relu(&reads[1]),
            Cell::Lstm => Layer::Lstm(&reads[1]),
            Cell::Gru => Layer::Gru(&reads[1], &reads[3]),
        };
        for row in 0..scan.batch {
            let row = Row { scan, row };
            // A part goes on from the state that the one before has left.
            let state = |initial: usize, output: Option<usize>| match (part.first, output) {
                (1.., Some(output)) => {
                    row.at(&operands.previous[output], scan.time(part.first - 1), scan.hidden)
                }
                _ => row.at(&reads[initial], 0, scan.hidden),
            };
            let cells = if scan.cell == Cell::Lstm { state(3, self.outputs[1]) } else { &[] };
            let first = State::exact(state(2, self.outputs[0]), cells);
            let times = (part.first..part.end()).map(|step| scan.time(step));
            let gates = times.clone().map(|t| row.at(&reads[0], t, scan.width()));
            for (t, step) in times.zip(layer.forward(gates, first)) {
                row.put(writes, self.outputs[0], t, &step.state.h);
                row.put(writes, self.outputs[1], t, &step.state.c);
                row.put(writes, self.outputs[2], t, &step.saved);
            }
        }
    }
}

impl RecurrenceGrad {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let (scan, part, reads) = (&self.scan, self.part, operands.reads);
        let hidden = scan.hidden;
        let layer = match scan.cell {
            Cell::Tanh => Layer::Tanh(&reads[1]),
            Cell::Relu => Layer::Relu(&reads[1]),
            Cell::Lstm => Layer::Lstm(&reads[1]),
            // The gradient does not depend on the biases.
            Cell::Gru => Layer::Gru(&reads[1], &[]),
        };
        for row in 0..scan.batch {
            let row = Row { scan, row };
            let given = |step: usize| {
                let t = scan.time(step);
                let seed = row.at(&reads[0], t, hidden);
                let (dh, dc): (&[f64], &[f64]) = match self.seed {
                    Seed::Hidden => (seed, &[]),
                    Seed::Cell => (&[], seed),
                };
                match scan.cell {
                    Cell::Tanh | Cell::Relu => {
                        Given { dh, dc, saved: &[], after: row.at(&reads[2], t, hidden), before: &[] }
                    }
                    Cell::Lstm | Cell::Gru => Given {
                        dh,
                        dc,
                        saved: row.at(&reads[2], t, 4 * hidden),
                        after: row.at(&reads[3], t, hidden),
                        before: match step {
                            0 => row.at(&reads[4], 0, hidden),
                            _ => row.at(&reads[3], scan.time(step - 1), hidden),
                        },
                    },
                }
            };
            let later = self.left_by_later(row, operands);
            let steps = (part.first..part.end()).rev();
            let (gradients, later) = layer.backward(steps.clone().map(given), later);
            for (step, gradient) in steps.zip(gradients) {
                row.put(writes, self.outputs[0], scan.time(step), &gradient.gates);
                row.put(writes, self.outputs[1], scan.time(step), &gradient.products);
            }
            let dh = if self.closes { layer.arriving(&later, &[]) } else { later.h };
            row.put(writes, self.outputs[2], 0, &dh);
            row.put(writes, self.outputs[3], 0, &later.c);
        }
    }

    /// What the part after this one, if there is one, has left in the outputs.
    fn left_by_later(&self, row: Row, operands: &Operands) -> Later<Approx> {
        let (scan, end) = (&self.scan, self.part.end());
        let mut later = Later::nothing(scan.hidden);
        if end == scan.steps {
            return later;
        }
        let left = |output: Option<usize>, t: usize, width: usize| -> Option<Vec<Approx>> {
            let values = row.at(&operands.previous[output?], t, width);
            Some(values.iter().map(|&x| Approx::exact(x)).collect())
        };
        later.products = left(self.products(), scan.time(end), scan.width());
        match scan.cell {
            Cell::Tanh | Cell::Relu => {}
            Cell::Lstm => later.c = left(self.outputs[3], 0, scan.hidden).unwrap_or(later.c),
            Cell::Gru => later.h = left(self.outputs[2], 0, scan.hidden).unwrap_or(later.h),
        }
        later
    }
}
