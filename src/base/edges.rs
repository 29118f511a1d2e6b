//! How the layers of graphs weigh edges.

/// Source, target and weight of an edge.
pub type Edge = (u32, u32, f32);

/// The edges of a graph of `nodes` nodes and a loop at every node, in the order of their targets, then of their sources:
/// loops of weight 1 where there are none, and also instead of those that there are unless `keep`.
pub fn with_loops(nodes: usize, edges: impl Iterator<Item = Edge>, keep: bool) -> Vec<Edge> {
    let mut edges: Vec<Edge> = edges.filter(|(source, target, _)| keep || source != target).collect();
    let mut looped = vec![false; nodes];
    for (source, ..) in edges.iter().filter(|(source, target, _)| source == target) {
        looped[*source as usize] = true;
    }
    let missing = looped.iter().enumerate().filter(|(_, looped)| !**looped);
    edges.extend(missing.map(|(node, _)| (node as u32, node as u32, 1.0)));
    edges.sort_unstable_by_key(|&(source, target, _)| (target, source));
    edges
}

/// The weights `w / sqrt(d[source] d[target])` of edges, with the sums `d` of the weights of a node's incoming edges (Kipf
/// and Welling 2017, arXiv:1609.02907).
pub fn normalised(nodes: usize, edges: &[Edge]) -> Vec<f32> {
    let degrees = sums(nodes, edges);
    let root = |node: u32| match degrees[node as usize] {
        degree if degree > 0.0 => 1.0 / degree.sqrt(),
        _ => 0.0,
    };
    let weight = |&(source, target, weight): &Edge| (root(source) * f64::from(weight) * root(target)) as f32;
    edges.iter().map(weight).collect()
}

/// The weights `w / sum of the weights of the target's incoming edges`.
pub fn averaged(nodes: usize, edges: &[Edge]) -> Vec<f32> {
    let totals = sums(nodes, edges);
    let share = |&(_, target, weight): &Edge| match totals[target as usize] {
        total if total > 0.0 => (f64::from(weight) / total) as f32,
        _ => 0.0,
    };
    edges.iter().map(share).collect()
}

/// The sum of the weights of each node's incoming edges.
fn sums(nodes: usize, edges: &[Edge]) -> Vec<f64> {
    let mut sums = vec![0.0; nodes];
    for &(_, target, weight) in edges {
        sums[target as usize] += f64::from(weight);
    }
    sums
}
