//! Models on graphs: rows are whole graphs, of which batches are gathered like other rows.

use super::init::Init;
use super::inputs::{GraphShape, NODES, embedding_width, node_source};
use super::layers::LayerConfig;
use super::losses::Losses;
use super::network::Network;
use super::supervised::{Supervised, nothing_learnt};
use crate::base::tensor::DType;
use crate::graph::{GraphError, Source, ValueId};

impl Supervised {
    /// The model of graphs: layers up to `global_pool` are on the nodes of each, `[B, N, 1, C]`, the others on what it
    /// makes of them and the features of the whole graph, `[B, C]`.
    pub(super) fn build_on_graphs(
        &self,
        net: &mut Network,
        batch: usize,
        shape: &GraphShape,
    ) -> Result<Losses, GraphError> {
        let pool = self.layers.iter().position(|layer| matches!(layer, LayerConfig::GlobalPool(_)));
        let nodes = self.nodes_of_graphs(net, batch, shape)?;
        let Some(pool) = pool else {
            let reason = "the layers give values of each node, and the output is of the whole graph; put a \
                          `global_pool` layer before it";
            return Err(net.graph.error("output", &[nodes], reason.into()));
        };
        let mut h = net.layers(&self.layers[..=pool], 0, nodes)?;
        // What follows is of rows.
        (net.graphs, net.lengths) = (None, None);
        if self.inputs.features > 0 || !self.inputs.categories.is_empty() {
            let whole = self.input(net, batch)?;
            h = net.graph.concat(&[h, whole], 1)?;
        }
        h = net.layers(&self.layers[pool + 1..], pool + 1, h)?;
        if self.features_only {
            return nothing_learnt(net, h);
        }
        self.losses(net, batch, h)
    }

    /// What is known of the nodes of each graph, `[B, N, 1, width]`: numbers and embedded categories.
    fn nodes_of_graphs(
        &self,
        net: &mut Network,
        batch: usize,
        shape: &GraphShape,
    ) -> Result<ValueId, GraphError> {
        net.graph.set_layer("input");
        net.own_edges(shape, batch)?;
        let nodes = shape.packed.nodes;
        net.lengths(nodes, batch)?;
        let mut parts = vec![];
        if shape.features > 0 {
            let words = [batch, nodes * shape.features];
            let x = net.graph.source(Source::Batch(NODES.into()), &words, DType::F32)?;
            parts.push(net.graph.reshape(x, &[batch, nodes, shape.features])?);
        }
        for (column, vocabulary) in &shape.categories {
            let width = self.embedding_width.unwrap_or_else(|| embedding_width(*vocabulary));
            let name = format!("embedding.node.{column}.weight");
            let table = net.parameter(name, &[*vocabulary, width], Init::Normal, true)?;
            let ids = net.graph.source(Source::Batch(node_source(column)), &[batch, nodes], DType::U32)?;
            parts.push(net.graph.gather(table, ids)?);
        }
        let x = net.graph.concat(&parts, 2)?;
        let width = net.graph.shape(x)[2];
        net.graph.reshape(x, &[batch, nodes, 1, width])
    }
}
