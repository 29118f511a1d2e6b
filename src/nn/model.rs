//! The model of an experiment: its layers as a training graph and as an evaluation graph.

use super::init::Init;
use super::layers::{Dense, LayerConfig};
use super::losses::Loss;
use super::network::Network;
use super::vae::{self, Vae};
use crate::base::image::ImageShape;
use crate::base::tensor::{DType, Shape};
use crate::graph::{Graph, GraphError, Source, ValueId, autodiff};
use crate::nn::config::ModelConfig;

/// A trained tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// `state_dict` name.
    pub name: String,
    /// Shape.
    pub shape: Shape,
    /// How it starts.
    pub init: Init,
    /// Whether weight decay applies.
    pub decay: bool,
}

/// A tensor that training renews without a gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// `state_dict` name.
    pub name: String,
    /// Shape.
    pub shape: Shape,
    /// First value.
    pub initial: f32,
}

/// What a model reads: numbers, and category columns with their vocabulary.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// Numeric features.
    pub features: usize,
    /// Category columns: name and number of indices.
    pub categories: Vec<(String, usize)>,
    /// What the numeric features are, if they are steps of a series: `features` is then its number of values.
    pub sequence: Option<SequenceShape>,
    /// What the numeric features are, if they are the values of an image: `features` is then its number of values.
    pub image: Option<ImageShape>,
    /// Symbols of a text, if the model reads one: it reads nothing else.
    pub text: Option<TextShape>,
}

/// A sequence of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextShape {
    /// Symbols of a sequence.
    pub length: usize,
    /// Number of symbols.
    pub vocabulary: usize,
}

/// A window of a series, step after step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceShape {
    /// Steps.
    pub length: usize,
    /// Values of a step.
    pub width: usize,
}

/// A model: configuration and sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Hidden layers and the output layer; empty for an autoencoder, which has its own.
    pub layers: Vec<LayerConfig>,
    /// What it reads.
    pub inputs: Inputs,
    /// Values it gives per row.
    pub outputs: usize,
    /// What is minimised.
    pub loss: Loss,
    /// The layers of an autoencoder, if it is one.
    pub vae: Option<Vae>,
    /// Whether a model of text gives the logits of the symbol that comes next, and not only how well it knew it.
    pub generates: bool,
    pub(super) embedding_width: Option<usize>,
}

/// What a network says of each row, and what is minimised.
pub(super) struct Losses {
    pub predictions: ValueId,
    /// `[B]`
    pub rows: ValueId,
    /// A scalar.
    pub mean: ValueId,
    /// Named parts of the loss, `[B]`.
    pub parts: Vec<(&'static str, ValueId)>,
}

/// One form of the model as a graph.
#[derive(Clone, Debug)]
pub struct ModelGraph {
    /// The mathematics.
    pub graph: Graph,
    /// `[B, outputs]`, before the target's scaling is undone.
    pub predictions: ValueId,
    /// Loss of each row, `[B]`.
    pub loss_rows: ValueId,
    /// Parts of it by name, each `[B]`, where evaluation shows them.
    pub parts: Vec<(&'static str, ValueId)>,
    /// What is minimised, a scalar.
    pub loss: ValueId,
    /// Trained tensors.
    pub parameters: Vec<Parameter>,
    /// Running statistics.
    pub states: Vec<State>,
    /// States of recurrent layers that the next batch goes on from.
    pub carried: Vec<State>,
    /// Gradient of each parameter (training form only).
    pub gradients: Vec<(String, ValueId)>,
    /// New values of states (training form only).
    pub updates: Vec<(String, ValueId)>,
    /// Layer, output shape without the batch, trained elements: for people.
    pub summary: Vec<(String, Shape, usize)>,
}

/// Name of the batch of numeric features.
pub const X: &str = "x";
/// Name of the batch of targets.
pub const Y: &str = "y";

/// Elements of the trained vector of one of so many categories, unless the experiment says otherwise.
pub(super) fn default_embedding_width(vocabulary: usize) -> usize {
    vocabulary.div_ceil(2).clamp(1, 50)
}

/// Name of the batch of a category column.
pub fn category_source(column: &str) -> String {
    format!("category.{column}")
}

impl Model {
    /// The model of a configuration for given inputs; `outputs` are those its target needs.
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

    /// The decoder of an autoencoder, which gives features for codes.
    pub fn decoder(&self) -> Option<Self> {
        let mut vae = self.vae.clone()?;
        vae.decoder_only = true;
        let inputs = Inputs { features: vae.settings.latent, ..Inputs::default() };
        let outputs = vae.features;
        Some(Self { inputs, outputs, vae: Some(vae), ..self.clone() })
    }

    /// The model of text that gives the logits of the next symbol for one symbol a row, going on from its states.
    pub fn generator(&self) -> Option<Self> {
        let text = TextShape { length: 1, ..self.inputs.text? };
        let inputs = Inputs { text: Some(text), ..Inputs::default() };
        Some(Self { inputs, generates: true, ..self.clone() })
    }

    /// The graph for batches of `batch` rows: with gradients and batch statistics if `training`.
    ///
    /// # Errors
    /// If layer sizes do not fit, naming the layer.
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

    /// The layers one after the other, and their loss against the target.
    fn supervised(&self, net: &mut Network, batch: usize) -> Result<Losses, GraphError> {
        let mut h = self.input(net, batch)?;
        if !self.inputs.categories.is_empty() {
            let trained = net.parameters.iter().map(|(p, _)| p.shape.iter().product::<usize>()).sum();
            net.summary.push(("embedding".to_string(), net.graph.shape(h)[1..].to_vec(), trained));
        }
        if let Some(image) = self.inputs.image {
            h = net.images(h, [image.channels, image.height, image.width])?;
        }
        // Other layers take windows as rows of numbers.
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

    /// Numeric features and embedded categories side by side, `[B, width]`.
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
