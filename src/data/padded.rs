//! Graphs of rows as a model reads them: each padded to the largest.

use crate::base::edges::{Edge, averaged, normalised};
use crate::base::nodes::NodeCategory;
use crate::base::packed::Packed;

/// The graphs of rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graphs {
    /// The sizes that they are padded to.
    pub packed: Packed,
    /// Names of the numeric features of a node.
    pub features: Vec<String>,
    /// Their values, `[rows, nodes, features]`, 0 in the place of nodes that a graph lacks.
    pub x: Vec<f32>,
    /// Category columns of nodes, `[rows, nodes]` each.
    pub categories: Vec<NodeCategory>,
    /// Nodes of each graph.
    pub counts: Vec<u32>,
    /// Edges, with a loop at every node: `[rows, packed.words()]`.
    pub links: Vec<u32>,
    /// Their weights by both ends, `[rows, edges]`.
    pub normalised: Vec<f32>,
    /// Their weights as shares of the target's, 0 of loops that were added, `[rows, edges]`.
    pub averaged: Vec<f32>,
}

/// Source and target of edges.
pub(super) fn ends(edges: &[Edge]) -> Vec<[u32; 2]> {
    edges.iter().map(|edge| [edge.0, edge.1]).collect()
}

impl Graphs {
    /// Words of all graphs.
    pub fn words(&self) -> usize {
        let ids: usize = self.categories.iter().map(|category| category.ids.len()).sum();
        self.x.len() + ids + self.counts.len() + self.links.len() + 2 * self.averaged.len()
    }

    /// Adds a graph of `count` nodes with the edges that it has, in order, and with these and a loop at every node.
    pub(super) fn add_edges(&mut self, count: usize, looped: &[Edge], edges: &[Edge]) {
        self.counts.push(count as u32);
        self.packed.pack(&ends(looped), &mut self.links);
        let end = self.counts.len() * self.packed.edges;
        self.normalised.extend(normalised(count, looped));
        self.normalised.resize(end, 0.0);
        let mut shares = edges.iter().zip(averaged(count, edges)).peekable();
        self.averaged.extend(looped.iter().map(|(source, target, _)| {
            let own = shares.next_if(|((from, to, _), _)| (from, to) == (source, target));
            own.map_or(0.0, |(_, share)| share)
        }));
        self.averaged.resize(end, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::edges::with_loops;

    #[test]
    fn edges_have_a_loop_at_every_node_and_shares_without_it() {
        let edges = [(1, 0, 1.0), (2, 0, 3.0), (2, 2, 2.0)];
        let looped = with_loops(3, edges.into_iter(), true);
        let mut graphs = Graphs { packed: Packed { nodes: 4, edges: 6, longest: 3 }, ..Graphs::default() };
        graphs.add_edges(3, &looped, &edges);
        assert_eq!(ends(&looped), [[0, 0], [1, 0], [2, 0], [1, 1], [2, 2]]);
        assert_eq!(graphs.averaged, [0.0, 0.25, 0.75, 0.0, 1.0, 0.0]);
        let root = |d: f64| 1.0 / d.sqrt();
        let expected =
            [1.0 / 5.0, root(5.0), 3.0 * root(5.0) * root(2.0), 1.0, 2.0 * root(2.0) * root(2.0), 0.0];
        for (found, expected) in graphs.normalised.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} {expected}");
        }
        assert_eq!((graphs.counts[0], graphs.links.len()), (3, graphs.packed.words()));
    }
}
