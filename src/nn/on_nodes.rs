//! Models on the nodes of a graph: all nodes are computed at once, from their features or the past of their series.

use std::sync::Arc;

use super::init::Init;
use super::inputs::{SequenceShape, category_source, embedding_width};
use super::losses::Losses;
use super::network::Network;
use super::relative;
use super::supervised::{Supervised, nothing_learnt};
use crate::base::nodes::Nodes;
use crate::base::tensor::DType;
use crate::graph::{GraphError, Source, ValueId};

impl Supervised {
    /// The model on a graph.
    pub(super) fn build_on_nodes(
        &self,
        net: &mut Network,
        batch: usize,
        graph: &Arc<Nodes>,
    ) -> Result<Losses, GraphError> {
        net.nodes = Some(graph.clone());
        match self.inputs.sequence {
            Some(sequence) => self.series_on_nodes(net, batch, graph, sequence),
            None => self.rows_of_nodes(net, batch, graph),
        }
    }

    /// The nodes of a batch, by their numbers; of the last layer's features, those that it is about.
    fn rows_of_nodes(&self, net: &mut Network, batch: usize, graph: &Nodes) -> Result<Losses, GraphError> {
        let h = self.node_features(net, graph)?;
        // The output layer reads each node by itself.
        let last = self.layers.last().map(|layer| layer.layer());
        let split = match last {
            Some(layer) if layer.mixes_nodes().is_none() && !self.features_only => self.layers.len() - 1,
            _ => self.layers.len(),
        };
        let h = net.layers(&self.layers[..split], 0, h)?;
        if net.graph.shape(h).len() != 2 {
            let reason =
                "the layers give each node a sequence or an image, and the output takes a row of numbers";
            return Err(net.graph.error("output", &[h], reason.into()));
        }
        net.graph.set_layer("nodes of the batch");
        let [(name, _)] = &self.inputs.categories[..] else {
            return Err(net.graph.error(
                "nodes",
                &[h],
                "expected a single column, the names of nodes".into(),
            ));
        };
        let ids = net.graph.source(Source::Batch(category_source(name)), &[batch], DType::U32)?;
        let h = net.graph.gather(h, ids)?;
        if self.features_only {
            return nothing_learnt(net, h);
        }
        let h = net.layers(&self.layers[split..], split, h)?;
        self.losses(net, batch, h)
    }

    /// What is known of the nodes, `[N, width]`: numbers, embedded categories and which node it is.
    fn node_features(&self, net: &mut Network, graph: &Nodes) -> Result<ValueId, GraphError> {
        net.graph.set_layer("input");
        let (nodes, width) = (graph.count(), graph.features.len());
        let mut parts = vec![];
        if width > 0 {
            parts.push(net.graph.constant(&[nodes, width], &graph.x)?);
        }
        for category in &graph.categories {
            let width = self.embedding_width.unwrap_or_else(|| embedding_width(category.vocabulary));
            let name = format!("embedding.{}.weight", category.name);
            let table = net.parameter(name, &[category.vocabulary, width], Init::Normal, true)?;
            let ids = net.graph.words(&category.ids)?;
            parts.push(net.graph.gather(table, ids)?);
        }
        if graph.identity {
            parts.push(identity(net, nodes)?);
        }
        net.graph.concat(&parts, 1)
    }

    /// Windows `[B, T * width]`, whose first columns of each step are the nodes' own: each node reads its own past and
    /// the other columns, and predicts its own steps.
    fn series_on_nodes(
        &self,
        net: &mut Network,
        batch: usize,
        graph: &Nodes,
        sequence: SequenceShape,
    ) -> Result<Losses, GraphError> {
        let mut x = self.input(net, batch)?;
        let mut last = None;
        if self.inputs.relative > 0 {
            let found = relative::differences(net.graph, x, sequence, self.inputs.relative)?;
            (x, last) = (found.0, Some(found.1));
        }
        let (nodes, SequenceShape { length, width }) = (graph.count(), sequence);
        let others = width.checked_sub(nodes).ok_or_else(|| {
            net.graph.error("nodes", &[x], format!("{width} columns cannot hold the past of {nodes} nodes"))
        })?;
        let g = &mut *net.graph;
        let steps = g.reshape(x, &[batch, length, width])?;
        let own = g.slice(steps, &[0, 0, 0], &[batch, length, nodes])?;
        let mut parts = vec![g.permute(own, &[0, 2, 1])?];
        if others > 0 {
            let rest = g.slice(steps, &[0, 0, nodes], &[batch, length, others])?;
            let rest = g.reshape(rest, &[batch, 1, length * others])?;
            parts.push(g.broadcast(rest, &[batch, nodes, length * others])?);
        }
        if graph.identity {
            // Repeated for each window by adding nothing, as exported models have no other form for it.
            let identity = identity(net, nodes)?;
            let first = net.graph.slice(parts[0], &[0, 0, 0], &[batch, nodes, 1])?;
            let nothing = net.graph.mul_scalar(first, 0.0)?;
            parts.push(net.graph.add(nothing, identity)?);
        }
        let h = net.graph.concat(&parts, 2)?;
        let features = net.graph.shape(h)[2];
        let h = net.graph.reshape(h, &[batch, nodes, 1, features])?;
        let h = net.layers(&self.layers, 0, h)?;
        let [_, found, 1, outputs] = net.graph.shape(h)[..] else {
            let reason = "the layers no longer give values of nodes; leave out those that are not of single nodes or \
                          of a graph";
            return Err(net.graph.error("output", &[h], reason.into()));
        };
        if found != nodes {
            let reason = format!("the layers give values of {found} nodes, and the graph has {nodes}");
            return Err(net.graph.error("output", &[h], reason));
        }
        if self.features_only {
            let rows = net.graph.reshape(h, &[batch, nodes * outputs])?;
            return nothing_learnt(net, rows);
        }
        // Outputs are steps, then targets, then quantiles.
        let quantiles = self.loss.quantiles().len().max(1);
        let h = net.graph.reshape(h, &[batch, nodes, outputs / quantiles, quantiles])?;
        let h = net.graph.permute(h, &[0, 2, 1, 3])?;
        let mut h = net.graph.reshape(h, &[batch, nodes * outputs])?;
        if let Some(last) = last {
            h = relative::values(net.graph, h, last, quantiles)?;
        }
        self.losses(net, batch, h)
    }
}

/// One feature for each node, 1 for itself: `[N, N]`.
fn identity(net: &mut Network, nodes: usize) -> Result<ValueId, GraphError> {
    let ones: Vec<f32> = (0..nodes * nodes).map(|at| f32::from(u8::from(at % (nodes + 1) == 0))).collect();
    net.graph.constant(&[nodes, nodes], &ones)
}
