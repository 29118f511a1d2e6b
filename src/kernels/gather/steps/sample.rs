//! Samples and benchmarks of the steps of the gradient; some indices are out of range.

use super::{GradientStep, Step};
use crate::kernels::gather::PIECE;
use crate::kernels::samples::{Draw, Operand, Sample, ordered};

/// Vocabulary, width and count of a gradient that is computed in steps.
fn sizes(draw: &mut Draw) -> [usize; 3] {
    match draw.below(24) {
        0 => [7, 3, 70_001],
        1 => [50_000, 3, 70_001],
        2 => [1, draw.below(4) + 1, 1],
        3..8 => [draw.below(4) + 1, draw.below(4) + 1, 2 * PIECE + draw.below(3 * PIECE)],
        _ => [draw.extent(), draw.below(9) + 1, draw.extent()],
    }
}

/// A step, and random indices with their positions in runs of `run` that are in order.
fn indexed(
    draw: &mut Draw,
    run: impl FnOnce(&mut Draw, usize) -> usize,
) -> (GradientStep, usize, [Vec<u32>; 2]) {
    let [vocabulary, width, count] = sizes(draw);
    let limit = if draw.one_in(4) { vocabulary + 2 } else { vocabulary };
    let indices: Vec<u32> = (0..count).map(|_| draw.below(limit) as u32).collect();
    let run = run(draw, count);
    let order = ordered(&indices, vocabulary, run);
    (GradientStep { vocabulary, width, count, step: Step::Starts }, run, [indices, order])
}

pub(super) fn order(draw: &mut Draw) -> Sample {
    let runs = |draw: &mut Draw, _: usize| draw.choice(&[1, 1, 256, 4096, 65_536]);
    let (kernel, run, [indices, order]) = indexed(draw, runs);
    let writes = vec![Operand::unwritten_integers(kernel.count)];
    let mut reads = vec![Operand::Integers(indices)];
    reads.extend((run > 1).then_some(Operand::Integers(order)));
    draw.sample(GradientStep { step: Step::Order { run }, ..kernel }, reads, writes)
}

pub(super) fn starts(draw: &mut Draw) -> Sample {
    let (kernel, _, operands) = indexed(draw, |_, count| count);
    let writes = vec![Operand::unwritten_integers(kernel.words())];
    draw.sample(kernel, operands.map(Operand::Integers).into(), writes)
}

/// A step that reads positions in order.
fn summed(draw: &mut Draw, step: Step) -> Sample {
    let (kernel, _, [indices, order]) = indexed(draw, |_, count| count);
    let rows: Vec<u32> = order.iter().map(|&position| indices[position as usize]).collect();
    let before = |row: usize| rows.partition_point(|&other| (other as usize) < row) as u32;
    let starts = (0..=kernel.vocabulary).map(before).collect();
    let kernel = GradientStep { step, ..kernel };
    let mut reads = vec![Operand::Integers(order), Operand::Integers(starts)];
    reads.push(draw.floats(kernel.count * kernel.width));
    if step == Step::Sums && kernel.pieces() > 0 {
        reads.push(draw.floats(kernel.pieces() * kernel.width));
    }
    let writes = vec![Operand::unwritten(kernel.words())];
    draw.sample(kernel, reads, writes)
}

pub(super) fn pieces(draw: &mut Draw) -> Sample {
    loop {
        let sample = summed(draw, Step::Pieces);
        if !sample.writes[0].words().is_empty() {
            return sample;
        }
    }
}

pub(super) fn sums(draw: &mut Draw) -> Sample {
    summed(draw, Step::Sums)
}

pub(super) fn benchmarks() -> Vec<GradientStep> {
    let mut all = vec![];
    for (vocabulary, width, count) in [(1000, 64, 256), (100, 64, 6400), (7, 3, 70_001), (50_000, 3, 70_001)]
    {
        let step = |step| GradientStep { vocabulary, width, count, step };
        let mut run = 1;
        while run < count {
            all.push(step(Step::Order { run }));
            run = Step::merged(run);
        }
        all.push(step(Step::Starts));
        all.extend((count >= PIECE).then_some(step(Step::Pieces)));
        all.push(step(Step::Sums));
    }
    all
}
