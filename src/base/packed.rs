//! The edges of small graphs as rows of words, each padded to the largest, so that batches of graphs are gathered like
//! other rows.

use super::order::Order;

/// The sizes that the graphs of a batch are padded to. With `N` nodes and `E` edges, the words of a graph are: where the
/// edges of each target start (`N + 1`), the source of each edge (`E`) and its target (`E`), in the order of targets;
/// where those of each source start (`N + 1`), and, in the order of sources, their targets (`E`) and numbers (`E`).
/// What is not there is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Packed {
    /// Nodes of a graph.
    pub nodes: usize,
    /// Edges of a graph.
    pub edges: usize,
    /// Most edges of a node, by either end.
    pub longest: usize,
}

/// Where what is known of edges begins in the words of a graph; all 0 where it lies by itself, for all graphs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Places {
    /// Words of a graph.
    pub stride: usize,
    /// Where the edges of each end start.
    pub starts: usize,
    /// The other end of each edge.
    pub others: usize,
    /// The number of each edge.
    pub numbers: usize,
}

impl Packed {
    /// Words of a graph.
    pub fn words(&self) -> usize {
        2 * (self.nodes + 1) + 4 * self.edges
    }

    /// Where edges are found by their targets, or, if `flipped`, by their sources.
    pub fn places(&self, flipped: bool) -> Places {
        let (stride, own) = (self.words(), self.nodes + 1);
        match flipped {
            false => Places { stride, starts: 0, others: own, numbers: 0 },
            true => {
                let starts = own + 2 * self.edges;
                Places { stride, starts, others: starts + own, numbers: starts + own + self.edges }
            }
        }
    }

    /// Where the targets of edges are.
    pub fn targets(&self) -> usize {
        self.nodes + 1 + self.edges
    }

    /// Sizes that hold these edges too, source and target of each, of a graph of `nodes` nodes.
    pub fn with(&self, nodes: usize, edges: &[[u32; 2]]) -> Self {
        let most = |end: usize| {
            let mut counts = vec![0usize; nodes];
            for edge in edges {
                counts[edge[end] as usize] += 1;
            }
            counts.into_iter().max().unwrap_or(0)
        };
        Self {
            nodes: self.nodes.max(nodes).max(1),
            edges: self.edges.max(edges.len()).max(1),
            longest: self.longest.max(most(0)).max(most(1)),
        }
    }

    /// Appends the words of a graph whose edges, source and target of each, are in the order of their targets.
    pub fn pack(&self, edges: &[[u32; 2]], words: &mut Vec<u32>) {
        let starts = |end: usize, words: &mut Vec<u32>| {
            let mut counts = vec![0u32; self.nodes + 1];
            for edge in edges {
                counts[edge[end] as usize + 1] += 1;
            }
            let sums = counts.into_iter().scan(0, |sum, count| {
                *sum += count;
                Some(*sum)
            });
            words.extend(sums);
        };
        let put = |values: &mut dyn Iterator<Item = u32>, words: &mut Vec<u32>| {
            let end = words.len() + self.edges;
            words.extend(values);
            words.resize(end, 0);
        };
        let mut back: Vec<u32> = (0..edges.len() as u32).collect();
        back.order_by_key(|&edge| edges[edge as usize][0]);
        starts(1, words);
        put(&mut edges.iter().map(|edge| edge[0]), words);
        put(&mut edges.iter().map(|edge| edge[1]), words);
        starts(0, words);
        put(&mut back.iter().map(|&edge| edges[edge as usize][1]), words);
        put(&mut back.iter().copied(), words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_found_by_either_end() {
        let edges = [[1, 0], [2, 0], [0, 2]];
        let packed = Packed::default().with(2, &[[0, 0]]).with(3, &edges);
        assert_eq!(packed, Packed { nodes: 3, edges: 3, longest: 2 });
        let packed = Packed { nodes: 4, edges: 5, ..packed };
        let mut words = vec![];
        packed.pack(&edges, &mut words);
        assert_eq!(words.len(), packed.words());
        let parts = [0..5, 5..10, 10..15, 15..20, 20..25, 25..30];
        let [starts, sources, targets, back, others, numbers] = parts.map(|part| words[part].to_vec());
        assert_eq!((starts, back), (vec![0, 2, 2, 3, 3], vec![0, 1, 2, 3, 3]));
        assert_eq!((sources, targets), (vec![1, 2, 0, 0, 0], vec![0, 0, 2, 0, 0]));
        assert_eq!((others, numbers), (vec![2, 0, 0, 0, 0], vec![2, 0, 1, 0, 0]));
        assert_eq!(packed.places(false), Places { stride: 30, starts: 0, others: 5, numbers: 0 });
        assert_eq!(packed.places(true), Places { stride: 30, starts: 15, others: 20, numbers: 25 });
        assert_eq!(packed.targets(), 10);
    }
}
