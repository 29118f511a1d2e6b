//! Samples and benchmarks of recurrences: every cell, direction and choice of outputs.

use super::{Cell, Part, Path, Recurrence, RecurrenceGrad, Scan, Seed};
use crate::kernels::samples::{Draw, Operand, Sample};

fn scan(draw: &mut Draw) -> Scan {
    let hidden = draw.choice(&[1, 2, 3, 4, 5, 8, 12, 17, 33, 72, 140, 260]);
    // Error bounds grow with every step and with the number of products.
    let steps = 1 + draw.below(if hidden > 100 { 2 } else { 5 });
    Scan {
        cell: draw.choice(&[Cell::Tanh, Cell::Relu, Cell::Lstm, Cell::Gru]),
        steps,
        batch: draw.choice(&[1, 2, 3, 4, 5, 17, 35]),
        hidden,
        reverse: draw.one_in(2),
    }
}

/// A part of the scan; all of it half of the time.
fn part(draw: &mut Draw, scan: &Scan) -> Part {
    if draw.one_in(2) {
        return Part::whole(scan.steps);
    }
    let path = draw.choice(&[Path::Sequence, Path::Step]);
    let first = draw.below(scan.steps);
    let count = if path == Path::Step { 1 } else { 1 + draw.below(scan.steps - first) };
    Part { first, count, path }
}

/// Sets step `t` of a written operand `[T, B, width]` to values that a part continues from.
fn put_states(draw: &mut Draw, writes: &mut [Operand], output: Option<usize>, t: usize, len: usize) {
    let Operand::Floats(values) = states(draw, len) else { return };
    if let Some(Operand::Floats(written)) = output.map(|output| &mut writes[output]) {
        written[t * len..(t + 1) * len].copy_from_slice(&values);
    }
}

/// Weights small enough to keep states near 1.
fn weights(draw: &mut Draw, scan: &Scan) -> Operand {
    let scale = 1.0 / (scan.hidden as f32).sqrt();
    Operand::Floats(draw.normals(scan.width() * scan.hidden).into_iter().map(|x| scale * x).collect())
}

/// Numbers in (-1, 1), like states and gates.
fn states(draw: &mut Draw, len: usize) -> Operand {
    Operand::Floats(draw.normals(len).into_iter().map(f32::tanh).collect())
}

/// A choice of outputs with their lengths: at least one, and those that are needed; length 0 means absent.
fn outputs<const N: usize>(
    draw: &mut Draw,
    lengths: [usize; N],
    needed: &[usize],
) -> ([Option<usize>; N], Vec<Operand>) {
    let (mut chosen, mut writes) = ([None; N], vec![]);
    for (output, len) in lengths.into_iter().enumerate().filter(|(_, len)| *len > 0) {
        if output == 0 || needed.contains(&output) || draw.one_in(2) {
            chosen[output] = Some(writes.len());
            writes.push(Operand::unwritten(len));
        }
    }
    (chosen, writes)
}

pub(super) fn recurrence(draw: &mut Draw) -> Sample {
    let scan = scan(draw);
    let (state, units) = (scan.batch * scan.hidden, scan.steps * scan.batch * scan.hidden);
    let mut reads = vec![draw.floats(units * scan.cell.gates()), weights(draw, &scan), states(draw, state)];
    match scan.cell {
        Cell::Tanh | Cell::Relu => {}
        Cell::Lstm => reads.push(draw.floats(state)),
        Cell::Gru => reads.push(draw.floats(scan.width())),
    }
    let cells = if scan.cell == Cell::Lstm { units } else { 0 };
    let part = part(draw, &scan);
    let needed: &[usize] = if part.first > 0 { &[0, 1] } else { &[] };
    let (outputs, mut writes) = outputs(draw, [units, cells, units * scan.cell.saved()], needed);
    if part.first > 0 {
        for output in &outputs[..2] {
            put_states(draw, &mut writes, *output, scan.time(part.first - 1), state);
        }
    }
    draw.sample(Recurrence { scan, part, outputs }, reads, writes)
}

pub(super) fn recurrence_grad(draw: &mut Draw) -> Sample {
    let scan = scan(draw);
    let lstm = scan.cell == Cell::Lstm;
    let (state, units) = (scan.batch * scan.hidden, scan.steps * scan.batch * scan.hidden);
    let mut reads = vec![draw.floats(units), weights(draw, &scan)];
    if scan.cell.saved() > 0 {
        reads.push(states(draw, units * scan.cell.saved()));
    }
    reads.push(states(draw, units));
    if scan.cell.saved() > 0 {
        reads.push(states(draw, state));
    }
    let seed = if lstm && draw.one_in(2) { Seed::Cell } else { Seed::Hidden };
    let products = if scan.cell == Cell::Gru { units * scan.cell.gates() } else { 0 };
    let lengths = [units * scan.cell.gates(), products, state, if lstm { state } else { 0 }];
    let mut part = part(draw, &scan);
    // Outputs needed by a part that continues another, or that another continues.
    let needed: &[usize] = if part.count < scan.steps { &[0, 1, 2, 3] } else { &[] };
    let (outputs, mut writes) = outputs(draw, lengths, needed);
    let closes = outputs[2].is_some() && part.first == 0 && (part.path == Path::Sequence || draw.one_in(2));
    if closes && part.path == Path::Step {
        // The last product is a separate kernel.
        part.count = 0;
    }
    let continues = part.end() < scan.steps;
    let kernel = RecurrenceGrad { scan, part, closes, seed, outputs };
    if continues {
        for (output, t, len) in [
            (outputs[0], scan.time(part.end()), state * scan.cell.gates()),
            (outputs[1], scan.time(part.end()), state * scan.cell.gates()),
            (outputs[2], 0, state),
            (outputs[3], 0, state),
        ] {
            put_states(draw, &mut writes, output, t, len);
        }
    }
    draw.sample(kernel, reads, writes)
}

/// Scans of all steps, and of wide layers that run step by step.
fn typical() -> [(Scan, Path); 5] {
    let scan = |(cell, steps, batch, hidden)| Scan { cell, steps, batch, hidden, reverse: false };
    let whole = [(Cell::Tanh, 64, 64, 256), (Cell::Lstm, 16, 64, 256), (Cell::Gru, 32, 16, 64)].map(scan);
    let steps = [(Cell::Tanh, 2, 64, 2048), (Cell::Lstm, 2, 64, 1024)].map(scan);
    let [a, b, c] = whole.map(|scan| (scan, Path::Sequence));
    let [d, e] = steps.map(|scan| (scan, Path::Step));
    [a, b, c, d, e]
}

/// With every output that the gradient needs. When steps run one at a time, the second of two steps, which
/// continues from the first.
pub(super) fn benchmarks() -> Vec<Recurrence> {
    let kernel = |(scan, path): (Scan, Path)| {
        let lstm = scan.cell == Cell::Lstm;
        let part = match path {
            Path::Sequence => Part::whole(scan.steps),
            Path::Step => Part { first: 1, count: 1, path },
        };
        let saved = if scan.cell.saved() > 0 { Some(1 + usize::from(lstm)) } else { None };
        Recurrence { scan, part, outputs: [Some(0), lstm.then_some(1), saved] }
    };
    typical().map(kernel).to_vec()
}

pub(super) fn gradient_benchmarks() -> Vec<RecurrenceGrad> {
    let kernel = |(scan, path): (Scan, Path)| {
        let part = match path {
            Path::Sequence => Part::whole(scan.steps),
            Path::Step => Part { first: 0, count: 1, path },
        };
        let outputs = match scan.cell {
            Cell::Tanh | Cell::Relu => [Some(0), None, None, None],
            Cell::Lstm => [Some(0), None, None, Some(1)],
            Cell::Gru => [Some(0), Some(1), Some(2), None],
        };
        RecurrenceGrad { scan, part, closes: false, seed: Seed::Hidden, outputs }
    };
    typical().map(kernel).to_vec()
}
