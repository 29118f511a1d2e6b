//! The model of an experiment: its layers as a training graph and as an evaluation graph.

use super::init::Init;
use super::layers::{Network, layer_name};
use super::losses::Loss;
use crate::data::ImageShape;
use crate::experiment::model::{LayerConfig, ModelConfig};
use crate::graph::{Graph, GraphError, Source, ValueId, autodiff};
use crate::tensor::{DType, Shape};

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
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// Numeric features.
    pub features: usize,
    /// Category columns: name and number of indices.
    pub categories: Vec<(String, usize)>,
    /// What the numeric features are, if they are the values of an image: `features` is then its number of values.
    pub image: Option<ImageShape>,
}

/// A model: configuration and sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Hidden layers and the output layer.
    pub layers: Vec<LayerConfig>,
    /// What it reads.
    pub inputs: Inputs,
    /// Values it gives per row.
    pub outputs: usize,
    /// What is minimised.
    pub loss: Loss,
    embedding_width: Option<usize>,
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
    /// What is minimised, a scalar.
    pub loss: ValueId,
    /// Trained tensors.
    pub parameters: Vec<Parameter>,
    /// Running statistics.
    pub states: Vec<State>,
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

/// Name of the batch of a category column.
pub fn category_source(column: &str) -> String {
    format!("category.{column}")
}

impl Model {
    /// The model of a configuration for given inputs and outputs.
    pub fn new(config: &ModelConfig, inputs: Inputs, outputs: usize, loss: Loss) -> Self {
        let mut layers = config.hidden_layers();
        layers.push(LayerConfig::Dense { units: outputs, bias: true });
        Self { layers, inputs, outputs, loss, embedding_width: config.embedding_width }
    }

    /// The graph for batches of `batch` rows: with gradients and batch statistics if `training`.
    ///
    /// # Errors
    /// If layer sizes do not fit, naming the layer.
    pub fn graph(&self, batch: usize, training: bool) -> Result<ModelGraph, GraphError> {
        let mut graph = Graph::new();
        let mut net =
            Network { graph: &mut graph, training, parameters: vec![], states: vec![], updates: vec![] };
        let mut summary = vec![];
        let mut h = self.input(&mut net, batch)?;
        if !self.inputs.categories.is_empty() {
            let trained = net.parameters.iter().map(|(p, _)| p.shape.iter().product::<usize>()).sum();
            summary.push(("embedding".to_string(), net.graph.shape(h)[1..].to_vec(), trained));
        }
        if let Some(image) = self.inputs.image {
            h = net.images(h, [image.channels, image.height, image.width])?;
        }
        for (number, layer) in self.layers.iter().enumerate() {
            let before = net.parameters.len();
            h = net.layer(number, layer, h)?;
            let added = net.parameters[before..].iter();
            let trained = added.map(|(p, _)| p.shape.iter().product::<usize>()).sum();
            summary.push((layer_name(layer).to_string(), public_shape(net.graph.shape(h)), trained));
        }
        net.graph.set_layer("loss");
        let target = if self.loss.wants_labels() {
            net.graph.source(Source::Batch(Y.into()), &[batch], DType::U32)?
        } else {
            net.graph.source(Source::Batch(Y.into()), &[batch, self.outputs], DType::F32)?
        };
        let (loss_rows, loss) = self.loss.build(net.graph, h, target)?;
        let Network { parameters, states, updates, .. } = net;
        let mut gradients = vec![];
        if training {
            let values: Vec<ValueId> = parameters.iter().map(|(_, v)| *v).collect();
            let found = autodiff::gradients(&mut graph, loss, &values)?;
            gradients = parameters.iter().map(|(p, _)| p.name.clone()).zip(found).collect();
        }
        let parameters = parameters.into_iter().map(|(p, _)| p).collect();
        Ok(ModelGraph {
            graph,
            predictions: h,
            loss_rows,
            loss,
            parameters,
            states,
            gradients,
            updates,
            summary,
        })
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
            let width = self.embedding_width.unwrap_or_else(|| vocabulary.div_ceil(2).clamp(1, 50));
            let name = format!("embedding.{column}.weight");
            let table = net.parameter(name, &[*vocabulary, width], Init::Normal, true)?;
            let ids = net.graph.source(Source::Batch(category_source(column)), &[batch], DType::U32)?;
            parts.push(net.graph.gather(table, ids)?);
        }
        net.graph.concat(&parts, 1)
    }
}

/// A shape without the batch, images as `[C, H, W]`.
fn public_shape(shape: &[usize]) -> Shape {
    match *shape {
        [_, height, width, channels] => vec![channels, height, width],
        _ => shape[1..].to_vec(),
    }
}
