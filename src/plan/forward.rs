//! The forward pass of a training graph: what the backward pass needs of it, and where it may be cut into parts.

use super::spec::PassSpec;
use crate::graph::ops::Lowering;
use crate::graph::{Graph, Op, ValueId};

/// Operations per element of a kernel's result from which it counts as dear.
const DEAR: u64 = 64;
/// Most parts that a forward pass is cut into.
const MOST_PARTS: usize = 64;

/// What one node of the forward pass is to memory and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// Bound from outside, constant, or drawn wherever it is needed.
    Leaf,
    /// Another reading of the same elements.
    View,
    /// Few operations per element.
    Cheap,
    /// A matrix product, a convolution or another kernel with many operations per element.
    Dear,
}

/// The forward pass of a training graph.
pub(super) struct Forward {
    /// Whether a node is of it.
    pub is: Vec<bool>,
    /// What each node is.
    pub sorts: Vec<Sort>,
    /// Bytes of each node's value.
    bytes: Vec<u64>,
    /// Bytes that the backward pass needs of each node, if all is kept.
    needed: Vec<u64>,
    /// Bytes of values that later nodes of the forward pass read, after each node.
    live: Vec<u64>,
    /// Position after which no node of the forward pass reads a value.
    pub last_use: Vec<usize>,
}

/// The last node of each part of a forward pass but the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cuts(pub Vec<usize>);

impl Cuts {
    /// The part that a node is in.
    pub fn part(&self, node: usize) -> usize {
        self.0.partition_point(|&cut| cut < node)
    }
}

impl Forward {
    /// The forward pass of `pass`: what its first result, the loss, and new states depend on. `None` if it computes no
    /// gradients.
    pub fn of(pass: &PassSpec) -> Option<Self> {
        let loss = pass.results.first().filter(|_| !pass.gradients.is_empty())?.1;
        let graph = pass.graph;
        let count = graph.nodes.len();
        let mut is = vec![false; count];
        let mut stack: Vec<ValueId> = pass.states.iter().map(|s| s.1).chain([loss]).collect();
        while let Some(value) = stack.pop() {
            if !std::mem::replace(&mut is[value.index()], true) {
                stack.extend(&graph.node(value).inputs);
            }
        }
        let sorts: Vec<Sort> = (0..count).map(|at| sort(graph, ValueId(at as u32))).collect();
        // The value whose memory a view reads.
        let base = |mut value: ValueId| {
            while sorts[value.index()] == Sort::View {
                value = graph.node(value).inputs[0];
            }
            value.index()
        };
        let bytes: Vec<u64> = graph.nodes.iter().map(|node| 4 * node.ty.elements() as u64).collect();
        let (mut needed, mut last_use): (Vec<u64>, Vec<usize>) = (vec![0; count], (0..count).collect());
        for (at, node) in graph.nodes.iter().enumerate() {
            for input in node.inputs.iter().filter(|input| is[input.index()]) {
                let from = base(*input);
                match (is[at], sorts[from]) {
                    (_, Sort::Leaf) => {}
                    (true, _) => {
                        last_use[input.index()] = last_use[input.index()].max(at);
                        last_use[from] = last_use[from].max(at);
                    }
                    (false, _) => needed[from] = bytes[from],
                }
            }
        }
        let mut changes = vec![0i64; count + 1];
        for at in (0..count).filter(|&at| is[at] && matches!(sorts[at], Sort::Cheap | Sort::Dear)) {
            let size = bytes[at] as i64;
            changes[at] += size;
            changes[last_use[at]] -= size;
        }
        let sums = changes.iter().take(count).scan(0, |sum, change| {
            *sum += change;
            Some(*sum as u64)
        });
        let live = sums.collect();
        Some(Self { is, sorts, bytes, needed, live, last_use })
    }

    /// Whether a node of the forward pass is kept for the backward pass: later parts of the forward pass read it, or
    /// it is dear and those are kept.
    pub fn is_kept(&self, node: usize, cuts: &Cuts, keeps_dear: bool) -> bool {
        self.sorts[node] != Sort::View
            && ((keeps_dear && self.sorts[node] == Sort::Dear)
                || cuts.part(self.last_use[node]) > cuts.part(node))
    }

    /// Number of parts beyond which cutting is not tried.
    pub fn most_parts(&self) -> usize {
        self.needed.iter().filter(|&&bytes| bytes > 0).count().clamp(1, MOST_PARTS)
    }

    /// Cuts into at most `parts` parts of which the backward pass needs about equally many bytes, where few bytes pass
    /// from one to the next.
    pub fn cuts(&self, parts: usize) -> Cuts {
        let total: u64 = self.needed.iter().sum();
        let mut sums = vec![];
        let mut sum = 0;
        for bytes in &self.needed {
            sum += bytes;
            sums.push(sum);
        }
        let mut cuts: Vec<usize> = vec![];
        for number in 1..parts as u64 {
            let ideal = total * number / parts as u64;
            let slack = total / (2 * parts as u64);
            let first = cuts.last().map_or(0, |cut| cut + 1);
            let near = (first..self.is.len())
                .filter(|&at| self.is[at] && sums[at] + slack >= ideal && sums[at] <= ideal + slack);
            let best = near.min_by_key(|&at| (self.live[at], sums[at].abs_diff(ideal)));
            cuts.extend(best);
        }
        Cuts(cuts)
    }

    /// About how many bytes a training step takes if all parts but the last are computed again: what is kept, and what
    /// the largest part needs.
    pub fn estimate(&self, cuts: &Cuts, keeps_dear: bool) -> u64 {
        let mut parts = vec![0; cuts.0.len() + 1];
        let mut kept = 0;
        for at in (0..self.is.len()).filter(|&at| self.is[at]) {
            let part = cuts.part(at);
            if part < cuts.0.len() && self.is_kept(at, cuts, keeps_dear) {
                kept += if cuts.part(self.last_use[at]) > part { self.bytes[at] } else { self.needed[at] };
            } else {
                parts[part] += self.needed[at];
            }
        }
        kept + parts.into_iter().max().unwrap_or(0)
    }
}

fn sort(graph: &Graph, value: ValueId) -> Sort {
    let node = graph.node(value);
    let types: Vec<_> = node.inputs.iter().map(|&input| graph.ty(input)).collect();
    match node.op.def().lower(&types, &node.ty) {
        Lowering::Leaf => Sort::Leaf,
        // Random numbers and scalars of the step.
        Lowering::Scalar(_) if node.inputs.is_empty() => Sort::Leaf,
        Lowering::View(_) => Sort::View,
        Lowering::MatMul { .. } | Lowering::Conv { .. } => Sort::Dear,
        Lowering::Kernel { kernel, .. } if kernel.cost().flops > DEAR * node.ty.elements() as u64 => {
            Sort::Dear
        }
        _ => Sort::Cheap,
    }
}

/// Whether a node reads nothing and is not bound from outside: random numbers, which are drawn anew.
pub(super) fn is_drawn(op: &Op) -> bool {
    matches!(op, Op::Random(_))
}
