//! The model of an experiment, as a training graph and as an evaluation graph.

use super::init::Init;
use super::inputs::{Inputs, TextShape, X, Y, category_source};
use super::layers::{Dense, LayerConfig};
use super::losses::{Loss, Losses};

use super::network::Network;
use super::tensors::{Parameter, State};

use super::vae::{self, Vae};
use crate::base::tensor::{DType, Shape};
use crate::graph::{Graph, GraphError, Source, ValueId, autodiff};
use crate::nn::config::ModelConfig;

/// A model: its configuration and sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Hidden layers and the output layer; empty for an autoencoder, which has its own.
    pub layers: Vec<LayerConfig>,
    /// Its inputs.
    pub inputs: Inputs,
    /// Number of outputs per row.
    pub outputs: usize,
    /// The loss to minimise.
    pub loss: Loss,
    /// The layers of an autoencoder, if it is one.
    pub vae: Option<Vae>,
    /// Whether a text model outputs the logits of the next symbol, rather than only the loss of the actual
    /// one.
    pub generates: bool,
    pub(super) embedding_width: Option<usize>,
}

/// One form of the model, as a graph.
#[derive(Clone, Debug)]
pub struct ModelGraph {
    /// The mathematics.
    pub graph: Graph,
    /// `[B, outputs]`, in the target's scaled units.
    pub predictions: ValueId,
    /// Loss of each row, `[B]`.
    pub loss_rows: ValueId,
    /// Named parts of it, each `[B]`, where evaluation reports them.
    pub parts: Vec<(&'static str, ValueId)>,
    /// The loss to minimise, a scalar.
    pub loss: ValueId,
    /// Trained tensors.
    pub parameters: Vec<Parameter>,
    /// Running statistics.
    pub states: Vec<State>,
    /// Recurrent states carried over to the next batch.
    pub carried: Vec<State>,
    /// Gradient of each parameter (training form only).
    pub gradients: Vec<(String, ValueId)>,
    /// New values of the states (training form only).
    pub updates: Vec<(String, ValueId)>,
    /// Layer, output shape without the batch, number of trained elements: for summaries.
    pub summary: Vec<(String, Shape, usize)>,
}

/// Default embedding width for a vocabulary of this size.
pub(super) fn default_embedding_width(vocabulary: usize) -> usize {
    vocabulary.div_ceil(2).clamp(1, 50)
}

impl Model {
    /// The model of a configuration for these inputs; `outputs` is the number its target needs.
    pub fn new(config: &ModelConfig, inputs: Inputs, outputs: usize, loss: Loss) -> Self {
        let embedding_width = config.embedding_width;
        if let Some(vae) = Vae::new(config, inputs.features, inputs.image, outputs) {
            let outputs = vae.settings.latent;
            let vae = Some(vae);
            return Self { layers: vec![], inputs, outputs, loss, vae, generates: false, embedding_width };
        }
        let mut layers = config.hidden_layers();
        layers.push(Dense { units: outputs, bias: true }.into());
        Self { layers, inputs, outputs, loss, vae: None, generates: false, embedding_width }
    }

    /// The decoder of an autoencoder, which maps codes to features.
    pub fn decoder(&self) -> Option<Self> {
        let mut vae = self.vae.clone()?;
        vae.decoder_only = true;
        let inputs = Inputs { features: vae.settings.latent, ..Inputs::default() };
        let outputs = vae.features;
        Some(Self { inputs, outputs, vae: Some(vae), ..self.clone() })
    }

    /// The text model that, given one symbol per row and its carried states, outputs the logits of the next
    /// symbol.
    pub fn generator(&self) -> Option<Self> {
        let text = TextShape { length: 1, ..self.inputs.text? };
        let inputs = Inputs { text: Some(text), ..Inputs::default() };
        Some(Self { inputs, generates: true, ..self.clone() })
    }

    /// Builds the graph for batches of `batch` rows; with gradients and batch statistics if `training`.
    ///
    /// # Errors
    /// If layer sizes do not match, naming the layer.
    pub fn graph(&self, batch: usize, training: bool) -> Result<ModelGraph, GraphError> {
        let mut graph = Graph::new();
        let mut net = Network::new(&mut graph, training);
        let losses = match (&self.vae, self.inputs.text) {
            (Some(vae), _) => vae::build(&mut net, vae, batch)?,
            (None, Some(text)) => self.language(&mut net, batch, text)?,
            (None, None) => self.supervised(&mut net, batch)?,
        };
        let Network { parameters, states, carried, updates, summary, .. } = net;
        let mut gradients = vec![];
        if training {
            let values: Vec<ValueId> = parameters.iter().map(|(_, v)| *v).collect();
            let found = autodiff::gradients(&mut graph, losses.mean, &values)?;
            gradients = parameters.iter().map(|(p, _)| p.name.clone()).zip(found).collect();
        }
        let parameters = parameters.into_iter().map(|(p, _)| p).collect();
        Ok(ModelGraph {
            graph,
            predictions: losses.predictions,
            loss_rows: losses.rows,
            parts: losses.parts,
            loss: losses.mean,
            parameters,
            states,
            carried,
            gradients,
            updates,
            summary,
        })
    }

    /// The layers in sequence, and their loss against the target.
    fn supervised(&self, net: &mut Network, batch: usize) -> Result<Losses, GraphError> {
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
        let (rows, mean) = self.loss.build(net.graph, h, target)?;
        Ok(Losses { predictions: h, rows, mean, parts: vec![] })
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
            let width = self.embedding_width.unwrap_or_else(|| default_embedding_width(*vocabulary));
            let name = format!("embedding.{column}.weight");
            let table = net.parameter(name, &[*vocabulary, width], Init::Normal, true)?;
            let ids = net.graph.source(Source::Batch(category_source(column)), &[batch], DType::U32)?;
            parts.push(net.graph.gather(table, ids)?);
        }
        net.graph.concat(&parts, 1)
    }
}
