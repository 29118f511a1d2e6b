//! Language models: symbols in, a distribution of the next symbol at every step out.

use super::config::transformer::TokensOf;
use super::config::{Family, ModelConfig};
use super::init::Init;
use super::inputs::{TextShape, X, Y, embedding_width};
use super::layers::recurrent::Output;
use super::layers::{Dense, LayerConfig};
use super::lora::Lora;
use super::losses::{Loss, Losses};
use super::model::Model;
use super::network::Network;
use crate::base::tensor::DType;
use crate::graph::{GraphError, Source};

/// A language model over sequences of symbols `u32[B, T]`: an embedding, recurrent layers with states carried
/// from batch to batch or layers that attend to earlier steps, and the other layers applied to every step. The loss of a row is the mean cross-entropy
/// of its steps in nats. The predictions are the cross-entropies of the steps `[B, T]`, or, if the model
/// generates, the logits `[B T, symbols]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Language {
    layers: Vec<LayerConfig>,
    text: TextShape,
    loss: Loss,
    generates: bool,
    embedding_width: usize,
    lora: Option<Lora>,
}

impl Language {
    /// The model of a configuration for texts of this shape.
    pub fn new(config: &ModelConfig, text: TextShape, loss: Loss) -> Self {
        let mut layers = config.layers_of(TokensOf::Text);
        layers.push(Dense { units: text.vocabulary, bias: true }.into());
        let embedding_width = match config.family {
            Family::Transformer => config.embedding_width.unwrap_or(config.token_width()),
            _ => config.embedding_width.unwrap_or_else(|| embedding_width(text.vocabulary)),
        };
        let lora = config.lora.as_ref().map(Lora::of);
        Self { layers, text, loss, generates: false, embedding_width, lora }
    }

    /// The model that outputs the logits of the next symbol at every step.
    pub fn with_logits(self) -> Self {
        Self { generates: true, ..self }
    }

    /// The model that outputs the logits of the next symbol: given one symbol per row and its carried states, or,
    /// where layers attend to all steps, at each symbol of whole sequences.
    pub fn generator(self) -> Self {
        let length = if self.attends() { self.text.length } else { 1 };
        Self { text: TextShape { length, ..self.text }, generates: true, ..self }
    }

    /// Whether layers attend to the steps of a sequence, instead of carrying states from one to the next.
    pub fn attends(&self) -> bool {
        let attends =
            |layer: &LayerConfig| layer.layer().reads_steps() && !matches!(layer, LayerConfig::Recurrent(_));
        self.layers.iter().any(attends)
    }
}

impl Model for Language {
    fn generates(&self) -> bool {
        self.generates
    }

    fn build(&self, net: &mut Network, batch: usize) -> Result<Losses, GraphError> {
        let TextShape { length, vocabulary } = self.text;
        net.lora.clone_from(&self.lora);
        net.graph.set_layer("input");
        net.carries = !self.attends();
        let width = self.embedding_width;
        let table = net.parameter("embedding.weight".into(), &[vocabulary, width], Init::Normal, true)?;
        let symbols = net.graph.source(Source::Batch(X.into()), &[batch, length], DType::U32)?;
        let vectors = net.graph.gather(table, symbols)?;
        net.summary.push(("embedding".into(), vec![length, width], vocabulary * width));
        let mut h = net.graph.reshape(vectors, &[batch, length, 1, width])?;
        let mut layers = self.layers.clone();
        for layer in &mut layers {
            if let LayerConfig::Recurrent(recurrent) = layer {
                recurrent.output = Output::All;
            }
        }
        // What follows takes each step by itself.
        let steps = layers.iter().rposition(|layer| layer.layer().reads_steps()).map_or(0, |last| last + 1);
        h = net.layers(&layers[..steps], 0, h)?;
        let width = net.graph.shape(h).last().copied().unwrap_or(0);
        h = net.graph.reshape(h, &[batch * length, width])?;
        let logits = net.layers(&layers[steps..], steps, h)?;
        net.graph.set_layer("loss");
        let next = net.graph.source(Source::Batch(Y.into()), &[batch, length], DType::U32)?;
        let next = net.graph.reshape(next, &[batch * length])?;
        let (steps, mean) = self.loss.build(net.graph, logits, next)?;
        let steps = net.graph.reshape(steps, &[batch, length])?;
        let rows = net.graph.mean(steps, &[1], false)?;
        let predictions = if self.generates { logits } else { steps };
        Ok(Losses { predictions, rows, mean, parts: vec![] })
    }
}
