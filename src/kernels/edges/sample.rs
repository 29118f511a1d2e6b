//! Samples and benchmarks of the kernels on edges: isolated rows, hubs, and edges in any order.

use super::{EdgeDot, EdgeSoftmax, NeighbourSum, Weights};
use crate::kernels::samples::{Draw, Operand, Sample};

/// Batch, rows, columns, edges, width and heads.
fn sizes(draw: &mut Draw) -> [usize; 6] {
    let heads = draw.choice(&[1, 1, 2, 3]);
    let part = draw.choice(&[1, 2, 3, 4, 5, 8, 16, 17]);
    let (rows, columns) = (draw.extent(), draw.extent());
    [draw.choice(&[1, 1, 2, 3]), rows, columns, draw.extent() * draw.choice(&[1, 2]), part * heads, heads]
}

/// Where the edges of each row start; some rows have none, and sometimes one has most.
fn starts(draw: &mut Draw, rows: usize, edges: usize) -> Vec<u32> {
    let hub = draw.one_in(4).then(|| draw.below(rows));
    let mut counts = vec![0u32; rows];
    for edge in 0..edges {
        let row = draw.below(rows);
        counts[hub.filter(|_| edge % 8 != 0).unwrap_or(row)] += 1;
    }
    let ends = counts.iter().scan(0, |end, count| {
        *end += count;
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

fn longest(starts: &[u32]) -> usize {
    starts.windows(2).map(|pair| (pair[1] - pair[0]) as usize).max().unwrap_or(0)
}

pub(super) fn sum(draw: &mut Draw) -> Sample {
    let [batch, rows, columns, edges, width, heads] = sizes(draw);
    let weights = draw.choice(&[Weights::None, Weights::Shared, Weights::Each]);
    let numbered = weights != Weights::None && draw.one_in(2);
    let starts = starts(draw, rows, edges);
    let heads = if weights == Weights::None { 1 } else { heads };
    let longest = longest(&starts);
    let kernel = NeighbourSum { batch, rows, columns, edges, width, heads, weights, numbered, longest };
    let values = draw.floats(batch * columns * width);
    let mut reads = vec![values, Operand::Integers(starts), draw.integers(edges, columns)];
    if weights != Weights::None {
        reads.push(draw.floats(kernel.weight_words()));
    }
    if numbered {
        reads.push(draw.integers(edges, edges));
    }
    draw.sample(kernel, reads, vec![Operand::unwritten(batch * rows * width)])
}

pub(super) fn dot(draw: &mut Draw) -> Sample {
    let [batch, rows, columns, edges, width, heads] = sizes(draw);
    let reads = vec![
        draw.floats(batch * rows * width),
        draw.floats(batch * columns * width),
        draw.integers(edges, rows),
        draw.integers(edges, columns),
    ];
    let kernel = EdgeDot { batch, rows, columns, edges, width, heads };
    draw.sample(kernel, reads, vec![Operand::unwritten(batch * edges * heads)])
}

pub(super) fn softmax(draw: &mut Draw) -> Sample {
    let [batch, rows, _, edges, _, heads] = sizes(draw);
    let starts = starts(draw, rows, edges);
    let scale = draw.choice(&[1.0, 30.0]);
    let scores = draw.normals(batch * edges * heads).iter().map(|x| x * scale).collect();
    let kernel = EdgeSoftmax { batch, rows, edges, heads, longest: longest(&starts) };
    let reads = vec![Operand::Floats(scores), Operand::Integers(starts)];
    draw.sample(kernel, reads, vec![Operand::unwritten(batch * edges * heads)])
}

/// Batch, nodes, edges and width.
const BENCHMARKS: [[usize; 4]; 3] = [[1, 34, 190, 16], [1, 10_000, 110_000, 16], [32, 100, 1000, 64]];

pub(super) fn sum_benchmarks() -> Vec<NeighbourSum> {
    let of = |[batch, rows, edges, width]: [usize; 4]| NeighbourSum {
        batch,
        rows,
        columns: rows,
        edges,
        width,
        heads: 1,
        weights: Weights::Shared,
        numbered: false,
        longest: edges.div_ceil(rows) + 1,
    };
    BENCHMARKS.map(of).to_vec()
}

pub(super) fn dot_benchmarks() -> Vec<EdgeDot> {
    let of = |[batch, rows, edges, width]: [usize; 4]| EdgeDot {
        batch,
        rows,
        columns: rows,
        edges,
        width,
        heads: 8,
    };
    BENCHMARKS.map(of).to_vec()
}

pub(super) fn softmax_benchmarks() -> Vec<EdgeSoftmax> {
    let of = |[batch, rows, edges, _]: [usize; 4]| EdgeSoftmax {
        batch,
        rows,
        edges,
        heads: 8,
        longest: edges.div_ceil(rows) + 1,
    };
    BENCHMARKS.map(of).to_vec()
}
