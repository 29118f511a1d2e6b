//! Layers in sequence, trained against a target.

use super::config::ModelConfig;
use super::init::Init;
use super::inputs::{Inputs, X, Y, category_source, embedding_width};
use super::layers::{Dense, LayerConfig};
use super::losses::{Loss, Losses};
use super::model::Model;
use super::network::Network;
use crate::base::tensor::DType;
use crate::graph::{GraphError, Source, ValueId};

/// Layers in sequence over the embedded inputs, and a loss against the target.
#[derive(Clone, Debug, PartialEq)]
pub struct Supervised {
    /// Hidden layers and the output layer.
    pub layers: Vec<LayerConfig>,
    /// Its inputs.
    pub inputs: Inputs,
    /// Number of outputs per row.
    pub outputs: usize,
    /// The loss to minimise.
    pub loss: Loss,
    embedding_width: Option<usize>,
}

impl Supervised {
    /// The model of a configuration for these inputs; `outputs` is the number its target needs.
    pub fn new(config: &ModelConfig, inputs: Inputs, outputs: usize, loss: Loss) -> Self {
        let mut layers = config.hidden_layers();
        layers.push(Dense { units: outputs, bias: true }.into());
        Self { layers, inputs, outputs, loss, embedding_width: config.embedding_width }
    }

    /// Numeric features and embedded categories, concatenated: `[B, width]`.
    fn input(&self, net: &mut Network, batch: usize) -> Result<ValueId, GraphError> {
        net.graph.set_layer("input");
        let mut parts = vec![];
        if self.inputs.features > 0 {
            parts.push(net.graph.source(
                Source::Batch(X.into()),
                &[batch, self.inputs.features],
                DType::F32,
            )?);
        }
        for (column, vocabulary) in &self.inputs.categories {
            let width = self.embedding_width.unwrap_or_else(|| embedding_width(*vocabulary));
            let name = format!("embedding.{column}.weight");
            let table = net.parameter(name, &[*vocabulary, width], Init::Normal, true)?;
            let ids = net.graph.source(Source::Batch(category_source(column)), &[batch], DType::U32)?;
            parts.push(net.graph.gather(table, ids)?);
        }
        net.graph.concat(&parts, 1)
    }
}

impl Model for Supervised {
    fn build(&self, net: &mut Network, batch: usize) -> Result<Losses, GraphError> {
        let mut h = self.input(net, batch)?;
        if !self.inputs.categories.is_empty() {
            let trained = net.parameters.iter().map(|(p, _)| p.shape.iter().product::<usize>()).sum();
            net.summary.push(("embedding".to_string(), net.graph.shape(h)[1..].to_vec(), trained));
        }
        // A dense layer reads the pixels as they come, one after the other.
        let dense = matches!(self.layers.first(), Some(LayerConfig::Dense(_)));
        if let (Some(image), false) = (self.inputs.image, dense) {
            h = net.images(h, [image.channels, image.height, image.width])?;
        }
        // Other layers treat windows as flat rows of numbers.
        let recurrent = matches!(self.layers.first(), Some(LayerConfig::Recurrent(_)));
        if let (Some(sequence), true) = (self.inputs.sequence, recurrent) {
            h = net.sequence(h, sequence.length, sequence.width)?;
        }
        h = net.layers(&self.layers, 0, h)?;
        net.graph.set_layer("loss");
        let target = if self.loss.wants_labels() {
            net.graph.source(Source::Batch(Y.into()), &[batch], DType::U32)?
        } else {
            net.graph.source(Source::Batch(Y.into()), &[batch, self.outputs], DType::F32)?
        };
        if let Some(offset) = self.loss.offset() {
            h = net.graph.add_scalar(h, offset)?;
        }
        let (rows, mean) = self.loss.build(net.graph, h, target)?;
        Ok(Losses { predictions: h, rows, mean, parts: vec![] })
    }
}
