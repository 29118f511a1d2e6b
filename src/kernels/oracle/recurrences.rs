//! Recurrences: unit by unit, step by step.

use super::{Approx, FUNCTION, Operands, ROUNDOFF, sum};
use crate::kernels::recurrence::{Cell, Recurrence, RecurrenceGrad, Scan, Seed};

fn add(a: Approx, b: Approx) -> Approx {
    sum([a, b].into_iter())
}

fn mul(a: Approx, b: Approx) -> Approx {
    let error = a.value.abs() * b.error + b.value.abs() * a.error + a.error * b.error;
    Approx { value: a.value * b.value, error }.rounded(ROUNDOFF)
}

/// `1 - a`
fn rest(a: Approx) -> Approx {
    add(Approx::exact(1.0), Approx { value: -a.value, error: a.error })
}

fn sub(a: Approx, b: Approx) -> Approx {
    add(a, Approx { value: -b.value, error: b.error })
}

/// The steepest slopes are 1 and 1/4, the ranges 2 and 1 wide.
fn tanh(x: Approx) -> Approx {
    Approx { value: x.value.tanh(), error: x.error.min(2.0) }.rounded(FUNCTION)
}

fn sigmoid(x: Approx) -> Approx {
    Approx { value: 1.0 / (1.0 + (-x.value).exp()), error: (x.error / 4.0).min(1.0) }.rounded(FUNCTION)
}

/// `d y (1 - y)`
fn through_sigmoid(d: Approx, y: Approx) -> Approx {
    mul(d, mul(y, rest(y)))
}

/// `d (1 - y^2)`
fn through_tanh(d: Approx, y: Approx) -> Approx {
    mul(d, rest(mul(y, y)))
}

/// Writes an element of an output that is wanted.
fn put(writes: &mut [Vec<Approx>], output: Option<usize>, element: usize, value: Approx) {
    if let Some(output) = output {
        writes[output][element] = value;
    }
}

/// Numbers of one row at one step.
#[derive(Clone, Copy)]
struct At<'a> {
    scan: &'a Scan,
    row: usize,
}

impl At<'_> {
    /// Element `column` of the row at time `t` of a tensor `[T, B, width]`.
    fn element(&self, t: usize, width: usize, column: usize) -> usize {
        (t * self.scan.batch + self.row) * width + column
    }
}

pub(super) fn recurrence(kernel: &Recurrence, operands: &Operands, writes: &mut [Vec<Approx>]) {
    let (scan, part) = (&kernel.scan, kernel.part);
    let (cell, hidden, width) = (scan.cell, scan.hidden, scan.width());
    let [gates, weights, first] = [0, 1, 2].map(|i| &operands.reads[i]);
    let saved_width = cell.saved() * hidden;
    for row in 0..scan.batch {
        let at = At { scan, row };
        // The state before the part.
        let state = |initial: &[f64], output: Option<usize>| -> Vec<Approx> {
            let (from, t) = match (part.first, output) {
                (1.., Some(output)) => (&operands.previous[output][..], scan.time(part.first - 1)),
                _ => (initial, 0),
            };
            (0..hidden).map(|j| Approx::exact(from[at.element(t, hidden, j)])).collect()
        };
        let mut h = state(first, kernel.outputs[0]);
        let mut c = if cell == Cell::Lstm { state(&operands.reads[3], kernel.outputs[1]) } else { h.clone() };
        for t in (part.first..part.end()).map(|step| scan.time(step)) {
            let before = h.clone();
            for j in 0..hidden {
                let product = |gate: usize| {
                    let weight = |k: usize| Approx::exact(weights[(gate * hidden + j) * hidden + k]);
                    let product = sum((0..hidden).map(|k| mul(before[k], weight(k))));
                    match cell {
                        Cell::Gru => add(product, Approx::exact(operands.reads[3][gate * hidden + j])),
                        _ => product,
                    }
                };
                let given = |gate: usize| Approx::exact(gates[at.element(t, width, gate * hidden + j)]);
                let total = |gate: usize| add(given(gate), product(gate));
                let mut saved = vec![];
                h[j] = match cell {
                    Cell::Tanh => tanh(total(0)),
                    Cell::Relu => {
                        let x = total(0);
                        let on = x.value > 0.0 || x.value.is_nan();
                        Approx { value: if on { x.value } else { 0.0 }, error: x.error }
                    }
                    Cell::Lstm => {
                        saved = vec![sigmoid(total(0)), sigmoid(total(1)), tanh(total(2)), sigmoid(total(3))];
                        c[j] = add(mul(saved[1], c[j]), mul(saved[0], saved[2]));
                        mul(saved[3], tanh(c[j]))
                    }
                    Cell::Gru => {
                        let (reset, keep, product) = (sigmoid(total(0)), sigmoid(total(1)), product(2));
                        let new = tanh(add(given(2), mul(reset, product)));
                        saved = vec![reset, keep, new, product];
                        add(mul(keep, sub(before[j], new)), new)
                    }
                };
                put(writes, kernel.outputs[0], at.element(t, hidden, j), h[j]);
                put(writes, kernel.outputs[1], at.element(t, hidden, j), c[j]);
                for (gate, value) in saved.into_iter().enumerate() {
                    put(writes, kernel.outputs[2], at.element(t, saved_width, gate * hidden + j), value);
                }
            }
        }
    }
}

pub(super) fn recurrence_grad(kernel: &RecurrenceGrad, operands: &Operands, writes: &mut [Vec<Approx>]) {
    let (scan, part) = (&kernel.scan, kernel.part);
    let (cell, hidden, width) = (scan.cell, scan.hidden, scan.width());
    let read = |operand: usize, element: usize| Approx::exact(operands.reads[operand][element]);
    for row in 0..scan.batch {
        let at = At { scan, row };
        let mut dh = vec![Approx::default(); hidden];
        let mut dc = vec![Approx::default(); hidden];
        // Gradient of `R` of the step after, by gate.
        let mut delta = vec![Approx::default(); width];
        let mut after = part.end() < scan.steps;
        if after {
            let left = |output: Option<usize>, t: usize, width: usize| -> Vec<Approx> {
                let Some(output) = output else { return vec![Approx::default(); width] };
                (0..width)
                    .map(|j| Approx::exact(operands.previous[output][at.element(t, width, j)]))
                    .collect()
            };
            delta = left(kernel.outputs[usize::from(cell == Cell::Gru)], scan.time(part.end()), width);
            match cell {
                Cell::Tanh | Cell::Relu => {}
                Cell::Lstm => dc = left(kernel.outputs[3], 0, hidden),
                Cell::Gru => dh = left(kernel.outputs[2], 0, hidden),
            }
        }
        let send_back = |delta: &[Approx], dh: &mut [Approx]| {
            for j in 0..hidden {
                let terms = (0..width).map(|m| mul(delta[m], read(1, m * hidden + j)));
                dh[j] = add(dh[j], sum(terms));
            }
        };
        for step in (part.first..part.end()).rev() {
            let t = scan.time(step);
            if std::mem::replace(&mut after, true) {
                send_back(&delta, &mut dh);
            }
            for j in 0..hidden {
                let seed = read(0, at.element(t, hidden, j));
                let seeded = if kernel.seed == Seed::Hidden { &mut dh[j] } else { &mut dc[j] };
                *seeded = add(*seeded, seed);
                let saved = |gate: usize| read(2, at.element(t, 4 * hidden, gate * hidden + j));
                let before = match step {
                    0 => |at: &At, j: usize, _: usize| (4, at.element(0, at.scan.hidden, j)),
                    _ => |at: &At, j: usize, step: usize| {
                        (3, at.element(at.scan.time(step - 1), at.scan.hidden, j))
                    },
                };
                let before = || {
                    let (operand, element) = before(&at, j, step);
                    read(operand, element)
                };
                let (d_gates, d_products) = match cell {
                    Cell::Tanh => {
                        let d = through_tanh(dh[j], read(2, at.element(t, hidden, j)));
                        dh[j] = Approx::default();
                        (vec![d], vec![d])
                    }
                    Cell::Relu => {
                        let on = operands.reads[2][at.element(t, hidden, j)] > 0.0;
                        let d = if on { dh[j] } else { Approx::default() };
                        dh[j] = Approx::default();
                        (vec![d], vec![d])
                    }
                    Cell::Lstm => {
                        let [input, forget, new, output] = [0, 1, 2, 3].map(saved);
                        let squashed = tanh(read(3, at.element(t, hidden, j)));
                        let d_cell = add(dc[j], through_tanh(mul(dh[j], output), squashed));
                        let d = vec![
                            through_sigmoid(mul(d_cell, new), input),
                            through_sigmoid(mul(d_cell, before()), forget),
                            through_tanh(mul(d_cell, input), new),
                            through_sigmoid(mul(dh[j], squashed), output),
                        ];
                        (dh[j], dc[j]) = (Approx::default(), mul(d_cell, forget));
                        (d.clone(), d)
                    }
                    Cell::Gru => {
                        let [reset, keep, new, product] = [0, 1, 2, 3].map(saved);
                        let d_new = through_tanh(mul(dh[j], rest(keep)), new);
                        let d_keep = through_sigmoid(mul(dh[j], sub(before(), new)), keep);
                        let d_reset = through_sigmoid(mul(d_new, product), reset);
                        dh[j] = mul(dh[j], keep);
                        (vec![d_reset, d_keep, d_new], vec![d_reset, d_keep, mul(d_new, reset)])
                    }
                };
                for (gate, (d_gate, d_product)) in d_gates.into_iter().zip(d_products).enumerate() {
                    let column = gate * hidden + j;
                    put(writes, kernel.outputs[0], at.element(t, width, column), d_gate);
                    put(writes, kernel.outputs[1], at.element(t, width, column), d_product);
                    delta[column] = d_product;
                }
            }
        }
        if kernel.closes {
            send_back(&delta, &mut dh);
        }
        for j in 0..hidden {
            put(writes, kernel.outputs[2], at.element(0, hidden, j), dh[j]);
            put(writes, kernel.outputs[3], at.element(0, hidden, j), dc[j]);
        }
    }
}
