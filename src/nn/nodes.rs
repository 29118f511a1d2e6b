//! Layers on the nodes of a fixed graph, or of each graph of a batch: what they read, and how edges are weighed.

use super::inputs::{AVERAGED, GraphShape, LINKS, NORMALISED};
use super::network::{Graphs, Network};
use crate::base::edges::{Edge, averaged, normalised, with_loops};
use crate::base::nodes::Nodes;
use crate::base::tensor::DType;
use crate::graph::edges::Own;
use crate::graph::ops::Links;
use crate::graph::{Built, Graph, GraphError, Source, ValueId};

/// Edges as a sparse matrix `[targets, sources]`, numbered target by target.
pub(super) enum Edges {
    /// Of the only graph.
    Fixed(Links),
    /// Of each graph of a batch.
    Own(Own),
}

/// Edges and their weights, `[1, edges, 1]` or `[B, edges, 1]`; none of no edges.
pub(super) struct Weighted {
    edges: Edges,
    weights: Option<ValueId>,
}

impl Edges {
    /// The sum over the neighbours of each node of `x` `[B, N, C]`, times weights `[B, E, H]`.
    pub(super) fn sum(&self, g: &mut Graph, x: ValueId, weights: ValueId) -> Built {
        match self {
            Self::Fixed(links) => g.neighbour_sum(x, Some(weights), links),
            Self::Own(own) => g.own_neighbour_sum(x, Some(weights), *own),
        }
    }

    /// For each edge what its source has and what its target has, added up: of `[B, N, H]` both, `[B, E, H]`.
    pub(super) fn both_ends(&self, g: &mut Graph, sources: ValueId, targets: ValueId) -> Built {
        match self {
            Self::Fixed(links) => {
                let at_source = g.neighbour_sum(sources, None, &links.flipped().of_rows().flipped())?;
                let at_target = g.neighbour_sum(targets, None, &links.of_rows().flipped())?;
                g.add(at_source, at_target)
            }
            Self::Own(own) => g.own_edge_sum(targets, sources, *own),
        }
    }

    /// Softmax of `[B, E, H]` over the edges to each node.
    pub(super) fn softmax(&self, g: &mut Graph, x: ValueId) -> Built {
        match self {
            Self::Fixed(links) => g.edge_softmax(x, links),
            Self::Own(own) => g.own_edge_softmax(x, *own),
        }
    }
}

impl Network<'_> {
    /// Declares the edges of the graphs of a batch, for the layers that read them.
    pub(super) fn own_edges(&mut self, shape: &GraphShape, batch: usize) -> Result<(), GraphError> {
        let packed = shape.packed;
        let words = self.graph.source(Source::Batch(LINKS.into()), &[batch, packed.words()], DType::U32)?;
        self.graphs = Some(Graphs { batch, own: Own { packed, words, flipped: false } });
        Ok(())
    }

    /// The values of the nodes of the network's graph, `[N, C]`, or `[B, N, 1, C]` of several at a time, as
    /// `[B, N, C]`.
    pub(super) fn nodes(&mut self, layer: &'static str, x: ValueId) -> Result<ValueId, GraphError> {
        let count = match (&self.nodes, &self.graphs) {
            (Some(graph), _) => graph.count(),
            (None, Some(graphs)) => graphs.own.packed.nodes,
            (None, None) => {
                let reason = "reads the neighbours of nodes, and there is no graph; say where its edges are in [data.graph]";
                return Err(self.graph.error(layer, &[x], reason.into()));
            }
        };
        let shape = match self.graph.shape(x)[..] {
            [nodes, width] if nodes == count && self.graphs.is_none() => [1, nodes, width],
            [batch, nodes, 1, width] if nodes == count => [batch, nodes, width],
            _ => {
                let reason = format!(
                    "expected the values of {count} nodes; put graph layers before others that mix nodes"
                );
                return Err(self.graph.error(layer, &[x], reason));
            }
        };
        self.graph.reshape(x, &shape)
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

    /// The edges and a loop at every node that has none, of weight 1, weighed by both ends ([`normalised`]).
    pub(super) fn normalised(&mut self, layer: &'static str) -> Result<Weighted, GraphError> {
        self.weighted(layer, NORMALISED, |nodes| {
            let edges = with_loops(nodes.count(), nodes.edges(), true);
            let weights = normalised(nodes.count(), &edges);
            (edges, weights)
        })
    }

    /// The edges, weighed as shares of the target's ([`averaged`]).
    pub(super) fn averaged(&mut self, layer: &'static str) -> Result<Weighted, GraphError> {
        self.weighted(layer, AVERAGED, |nodes| {
            let edges: Vec<Edge> = nodes.edges().collect();
            let weights = averaged(nodes.count(), &edges);
            (edges, weights)
        })
    }

    /// The edges and a loop at every node, whatever they weigh.
    pub(super) fn looped(&self, layer: &'static str) -> Result<Edges, GraphError> {
        match (&self.nodes, &self.graphs) {
            (None, Some(graphs)) => Ok(Edges::Own(graphs.own)),
            (nodes, _) => {
                let nodes = nodes.as_deref().cloned().unwrap_or_default();
                self.fixed(layer, &nodes, &with_loops(nodes.count(), nodes.edges(), false))
            }
        }
    }

    /// The weights of the batch `name`, or those that `of` gives the only graph.
    fn weighted(
        &mut self,
        layer: &'static str,
        name: &str,
        of: impl Fn(&Nodes) -> (Vec<Edge>, Vec<f32>),
    ) -> Result<Weighted, GraphError> {
        if let (None, Some(Graphs { batch, own })) = (&self.nodes, self.graphs) {
            let shape = [batch, own.packed.edges];
            let weights = self.graph.source(Source::Batch(name.into()), &shape, DType::F32)?;
            let weights = self.graph.reshape(weights, &[batch, own.packed.edges, 1])?;
            return Ok(Weighted { edges: Edges::Own(own), weights: Some(weights) });
        }
        let nodes = self.nodes.clone().unwrap_or_default();
        let (edges, weights) = of(&nodes);
        let weights = match weights.is_empty() {
            true => None,
            false => Some(self.graph.constant(&[1, weights.len(), 1], &weights)?),
        };
        Ok(Weighted { edges: self.fixed(layer, &nodes, &edges)?, weights })
    }

    /// The edges of the only graph.
    fn fixed(&self, layer: &'static str, nodes: &Nodes, edges: &[Edge]) -> Result<Edges, GraphError> {
        let (targets, sources) = (edges.iter().map(|e| e.1).collect(), edges.iter().map(|e| e.0).collect());
        let links = Links::new(targets, sources, [nodes.count(); 2]);
        links.map(Edges::Fixed).map_err(|reason| self.graph.error(layer, &[], reason))
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
        match (&edges.edges, edges.weights) {
            (edges, Some(weights)) => edges.sum(self.graph, x, weights),
            (Edges::Fixed(links), None) => self.graph.neighbour_sum(x, None, links),
            (Edges::Own(own), None) => self.graph.own_neighbour_sum(x, None, *own),
        }
    }
}
