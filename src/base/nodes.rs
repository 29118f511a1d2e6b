//! A fixed graph: its nodes, what is known of them, and its edges.

/// The nodes of a graph and its edges. An edge leads from a source to a target, to which the source is a neighbour; an
/// undirected edge is two.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nodes {
    /// Names of the nodes.
    pub names: Vec<String>,
    /// Names of the features of a node; none if its features are the past of a series.
    pub features: Vec<String>,
    /// Their values, `[nodes, features]`.
    pub x: Vec<f32>,
    /// Columns for embeddings.
    pub categories: Vec<NodeCategory>,
    /// Whether a node has one more feature for each node, 1 for itself and 0 for the others.
    pub identity: bool,
    /// The source of each edge; edges are in the order of their targets, then of their sources.
    pub sources: Vec<u32>,
    /// The target of each edge.
    pub targets: Vec<u32>,
    /// The weight of each edge, not negative; empty if all weigh 1.
    pub weights: Vec<f32>,
}

/// The category of each node in a column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeCategory {
    /// Column name.
    pub name: String,
    /// Number of categories, with the one for names that training did not have.
    pub vocabulary: usize,
    /// One per node.
    pub ids: Vec<u32>,
}

impl Nodes {
    /// Number of nodes.
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// The weight of an edge.
    pub fn weight(&self, edge: usize) -> f32 {
        self.weights.get(edge).copied().unwrap_or(1.0)
    }

    /// Source, target and weight of each edge.
    pub fn edges(&self) -> impl Iterator<Item = (u32, u32, f32)> + '_ {
        let ends = self.sources.iter().zip(&self.targets).enumerate();
        ends.map(|(edge, (&source, &target))| (source, target, self.weight(edge)))
    }

    /// Nodes without any edge but to themselves.
    pub fn isolated(&self) -> usize {
        let mut met = vec![false; self.count()];
        for (source, target, _) in self.edges().filter(|(source, target, _)| source != target) {
            met[source as usize] = true;
            met[target as usize] = true;
        }
        met.iter().filter(|met| !**met).count()
    }
}
