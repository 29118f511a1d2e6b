//! Samples and benchmarks of the kernels on edges: isolated rows, hubs, and edges in any order.

use super::{EdgeDot, EdgeSoftmax, End, NeighbourSum, Weights};
use crate::base::packed::Packed;
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

/// Graphs of at most `nodes` nodes and `edges` edges, one after the other: their sizes and their words. Some have no
/// edges, and sometimes a node has most.
fn graphs(draw: &mut Draw, batch: usize, nodes: usize, edges: usize) -> (Packed, Operand) {
    let mut all = vec![];
    let mut packed = Packed { nodes, edges, longest: 0 };
    for _ in 0..batch {
        let (count, nodes) = (draw.below(edges + 1), 1 + draw.below(nodes));
        let hub = draw.one_in(4).then(|| draw.below(nodes) as u32);
        let mut of: Vec<[u32; 2]> =
            (0..count).map(|_| [draw.below(nodes) as u32, hub.unwrap_or(draw.below(nodes) as u32)]).collect();
        of.sort_by_key(|edge| edge[1]);
        packed = packed.with(nodes, &of);
        all.push(of);
    }
    let mut words = vec![];
    all.iter().for_each(|edges| packed.pack(edges, &mut words));
    (packed, Operand::Integers(words))
}

/// Sums over the edges that each graph has.
fn own_sum(draw: &mut Draw) -> Sample {
    let [batch, rows, _, edges, width, heads] = sizes(draw);
    let end = draw.choice(&[End::Target, End::Source]);
    let weights = draw.choice(&[Weights::None, Weights::Each]);
    let heads = if weights == Weights::None { 1 } else { heads };
    let (packed, words) = graphs(draw, batch, rows, edges);
    let numbered = weights != Weights::None && end == End::Source;
    let kernel = NeighbourSum {
        batch,
        rows,
        columns: rows,
        edges,
        width,
        heads,
        weights,
        numbered,
        longest: packed.longest,
        own: Some(end),
    };
    let mut reads = vec![draw.floats(batch * rows * width), words.clone(), words.clone()];
    if weights != Weights::None {
        reads.push(draw.floats(kernel.weight_words()));
    }
    if numbered {
        reads.push(words);
    }
    draw.sample(kernel, reads, vec![Operand::unwritten(batch * rows * width)])
}

pub(super) fn sum(draw: &mut Draw) -> Sample {
    if draw.one_in(2) {
        return own_sum(draw);
    }
    let [batch, rows, columns, edges, width, heads] = sizes(draw);
    let weights = draw.choice(&[Weights::None, Weights::Shared, Weights::Each]);
    let numbered = weights != Weights::None && draw.one_in(2);
    let starts = starts(draw, rows, edges);
    let heads = if weights == Weights::None { 1 } else { heads };
    let longest = longest(&starts);
    let kernel =
        NeighbourSum { batch, rows, columns, edges, width, heads, weights, numbered, longest, own: None };
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
    if draw.one_in(2) {
        let (_, words) = graphs(draw, batch, rows, edges);
        let values = [(); 2].map(|()| draw.floats(batch * rows * width));
        let reads = values.into_iter().chain([words.clone(), words]).collect();
        let kernel = EdgeDot { batch, rows, columns: rows, edges, width, heads, own: true };
        return draw.sample(kernel, reads, vec![Operand::unwritten(batch * edges * heads)]);
    }
    let reads = vec![
        draw.floats(batch * rows * width),
        draw.floats(batch * columns * width),
        draw.integers(edges, rows),
        draw.integers(edges, columns),
    ];
    let kernel = EdgeDot { batch, rows, columns, edges, width, heads, own: false };
    draw.sample(kernel, reads, vec![Operand::unwritten(batch * edges * heads)])
}

pub(super) fn softmax(draw: &mut Draw) -> Sample {
    let [batch, rows, _, edges, _, heads] = sizes(draw);
    let own = draw.one_in(2);
    let (longest, starts) = if own {
        let (packed, words) = graphs(draw, batch, rows, edges);
        (packed.longest, words)
    } else {
        let starts = starts(draw, rows, edges);
        (longest(&starts), Operand::Integers(starts))
    };
    let scale = draw.choice(&[1.0, 30.0]);
    let scores = draw.normals(batch * edges * heads).iter().map(|x| x * scale).collect();
    let kernel = EdgeSoftmax { batch, rows, edges, heads, longest, own };
    let reads = vec![Operand::Floats(scores), starts];
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
        own: None,
    };
    let own = NeighbourSum { weights: Weights::Each, own: Some(End::Target), ..of([64, 30, 90, 64]) };
    BENCHMARKS.map(of).into_iter().chain([own]).collect()
}

pub(super) fn dot_benchmarks() -> Vec<EdgeDot> {
    let of = |[batch, rows, edges, width]: [usize; 4]| EdgeDot {
        batch,
        rows,
        columns: rows,
        edges,
        width,
        heads: 8,
        own: false,
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
        own: false,
    };
    BENCHMARKS.map(of).to_vec()
}
