//! Layers on the nodes of a fixed graph: what they read, and how edges are weighed.

use std::sync::Arc;

use super::network::Network;
use crate::base::nodes::Nodes;
use crate::graph::ops::Links;
use crate::graph::{GraphError, ValueId};

/// Edges as a sparse matrix `[targets, sources]`, numbered target by target, and their weights.
pub(super) struct Weighted {
    pub links: Links,
    pub weights: Vec<f32>,
}

impl Network<'_> {
    /// The values of the nodes of the network's graph, `[N, C]`, or `[B, N, 1, C]` of several at a time, as
    /// `[B, N, C]`, with the graph.
    pub(super) fn nodes(
        &mut self,
        layer: &'static str,
        x: ValueId,
    ) -> Result<(Arc<Nodes>, ValueId), GraphError> {
        let Some(graph) = self.nodes.clone() else {
            let reason = "reads the neighbours of nodes, and there is no graph; say where its edges are in [data.graph]";
            return Err(self.graph.error(layer, &[x], reason.into()));
        };
        let shape = match self.graph.shape(x)[..] {
            [nodes, width] if nodes == graph.count() => [1, nodes, width],
            [batch, nodes, 1, width] if nodes == graph.count() => [batch, nodes, width],
            _ => {
                let count = graph.count();
                let reason = format!(
                    "expected the values of {count} nodes; put graph layers before others that mix nodes"
                );
                return Err(self.graph.error(layer, &[x], reason));
            }
        };
        Ok((graph, self.graph.reshape(x, &shape)?))
    }

    /// Values `[B, N, C]` in the form that `x` has.
    pub(super) fn like_nodes(&mut self, y: ValueId, x: ValueId) -> Result<ValueId, GraphError> {
        let (from, to) = (self.graph.shape(y).to_vec(), self.graph.shape(x).to_vec());
        let shape = match to[..] {
            [nodes, _] => vec![nodes, from[2]],
            _ => vec![from[0], from[1], 1, from[2]],
        };
        self.graph.reshape(y, &shape)
    }

    /// The error that edges cannot be.
    fn edges_error(&self, layer: &'static str, reason: String) -> GraphError {
        self.graph.error(layer, &[], reason)
    }

    /// The edges and a loop at every node that has none, of weight 1, weighed by
    /// `w / sqrt(d[source] d[target])` with the sums `d` of the weights of a node's incoming edges (Kipf and Welling
    /// 2017, arXiv:1609.02907).
    pub(super) fn normalised(&self, layer: &'static str, graph: &Nodes) -> Result<Weighted, GraphError> {
        let mut looped = self.with_loops(layer, graph, true)?;
        let mut degrees = vec![0.0f64; graph.count()];
        for (&target, &weight) in looped.links.rows.iter().zip(&looped.weights) {
            degrees[target as usize] += f64::from(weight);
        }
        let root = |node: u32| match degrees[node as usize] {
            degree if degree > 0.0 => 1.0 / degree.sqrt(),
            _ => 0.0,
        };
        let ends = looped.links.rows.iter().zip(looped.links.columns.iter());
        for (weight, (&target, &source)) in looped.weights.iter_mut().zip(ends) {
            *weight = (root(source) * f64::from(*weight) * root(target)) as f32;
        }
        Ok(looped)
    }

    /// The edges and a loop at every node: of weight 1 where there is none, and also instead of what there is unless
    /// `keep`.
    pub(super) fn with_loops(
        &self,
        layer: &'static str,
        graph: &Nodes,
        keep: bool,
    ) -> Result<Weighted, GraphError> {
        let mut edges: Vec<(u32, u32, f32)> =
            graph.edges().filter(|(source, target, _)| keep || source != target).collect();
        let mut looped = vec![false; graph.count()];
        for (source, ..) in edges.iter().filter(|(source, target, _)| source == target) {
            looped[*source as usize] = true;
        }
        let missing = looped.iter().enumerate().filter(|(_, looped)| !**looped);
        edges.extend(missing.map(|(node, _)| (node as u32, node as u32, 1.0)));
        edges.sort_unstable_by_key(|&(source, target, _)| (target, source));
        self.weighted(layer, graph, &edges)
    }

    /// The edges, weighed by `w / sum of the weights of the target's incoming edges`.
    pub(super) fn averaged(&self, layer: &'static str, graph: &Nodes) -> Result<Weighted, GraphError> {
        let mut totals = vec![0.0f64; graph.count()];
        for (_, target, weight) in graph.edges() {
            totals[target as usize] += f64::from(weight);
        }
        let share = |(source, target, weight): (u32, u32, f32)| {
            let total = totals[target as usize];
            (source, target, if total > 0.0 { (f64::from(weight) / total) as f32 } else { 0.0 })
        };
        self.weighted(layer, graph, &graph.edges().map(share).collect::<Vec<_>>())
    }

    fn weighted(
        &self,
        layer: &'static str,
        graph: &Nodes,
        edges: &[(u32, u32, f32)],
    ) -> Result<Weighted, GraphError> {
        let (targets, sources) = (edges.iter().map(|e| e.1).collect(), edges.iter().map(|e| e.0).collect());
        let links = Links::new(targets, sources, [graph.count(); 2]);
        let links = links.map_err(|reason| self.edges_error(layer, reason))?;
        Ok(Weighted { links, weights: edges.iter().map(|e| e.2).collect() })
    }

    /// `x W^T` of each node, of `x` `[B, N, C]` and `W` `[units, C]`.
    pub(super) fn of_each_node(&mut self, x: ValueId, weight: ValueId) -> Result<ValueId, GraphError> {
        let (shape, units) = (self.graph.shape(x).to_vec(), self.graph.shape(weight)[0]);
        let rows = self.graph.reshape(x, &[shape[0] * shape[1], shape[2]])?;
        let products = self.graph.matmul_with(rows, weight, false, true)?;
        self.graph.reshape(products, &[shape[0], shape[1], units])
    }

    /// The weighted sum over the neighbours of each node, of `x` `[B, N, C]`.
    pub(super) fn neighbours(&mut self, x: ValueId, edges: &Weighted) -> Result<ValueId, GraphError> {
        let shape = [1, edges.weights.len(), 1];
        let weights = match edges.weights.is_empty() {
            true => None,
            false => Some(self.graph.constant(&shape, &edges.weights)?),
        };
        self.graph.neighbour_sum(x, weights, &edges.links)
    }
}
