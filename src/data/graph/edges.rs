//! Edges as they are found, and in the order of their targets.

pub use crate::base::edges::Edge;
use crate::base::nodes::Nodes;

/// Edges, and what is to be told of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edges {
    /// Source, target and weight of each, in the order of their targets, then of their sources; each pair once.
    pub list: Vec<Edge>,
    /// For people.
    pub notes: Vec<String>,
}

impl Edges {
    /// Pairs of which each counts once, both ways unless `directed`; all weigh 1.
    pub fn of_pairs(pairs: Vec<[u32; 2]>, directed: bool) -> Self {
        let mut pairs = pairs;
        if !directed {
            let back: Vec<[u32; 2]> = pairs.iter().map(|&[source, target]| [target, source]).collect();
            pairs.extend(back);
        }
        pairs.sort_unstable_by_key(|&[source, target]| (target, source));
        pairs.dedup();
        Self {
            list: pairs.into_iter().map(|[source, target]| (source, target, 1.0)).collect(),
            notes: vec![],
        }
    }

    /// The edges of a graph that has nothing else yet.
    pub fn nodes(&self) -> Nodes {
        let weighted = self.list.iter().any(|edge| edge.2 != 1.0);
        Nodes {
            sources: self.list.iter().map(|edge| edge.0).collect(),
            targets: self.list.iter().map(|edge| edge.1).collect(),
            weights: if weighted { self.list.iter().map(|edge| edge.2).collect() } else { vec![] },
            ..Nodes::default()
        }
    }
}
