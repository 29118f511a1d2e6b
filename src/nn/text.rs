//! Language models: symbols in, a distribution of the next symbol at every step out.

use super::config::transformer::TokensOf;
use super::config::{Listed, ModelConfig};
use super::init::Init;
use super::inputs::{TextShape, X, Y};
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
    names: Vec<String>,
    text: TextShape,
    loss: Loss,
    generates: bool,
    embedding_width: usize,
    lora: Option<Lora>,
    /// Whether the embedding is the output layer too.
    tied: bool,
    /// Steps to keep, if symbols are read one at a time and attention keeps those before.
    cached: Option<usize>,
}

/// Standard deviation of a tied embedding at first, that of GPT-2.
pub(super) const DEVIATION: f32 = 0.02;

impl Language {
    /// The model of a configuration for texts of this shape.
    pub fn new(config: &ModelConfig, text: TextShape, loss: Loss) -> Self {
        let Listed { mut layers, names } = config.listed(TokensOf::Text, None);
        let tied = config.tied == Some(true);
        if !tied {
            layers.push(Dense { units: text.vocabulary, bias: true }.into());
        }
        let embedding_width = config.symbol_width(text.vocabulary);
        let lora = config.lora.as_ref().map(Lora::of);
        Self { layers, names, text, loss, generates: false, embedding_width, lora, tied, cached: None }
    }

    /// The model that outputs the logits of the next symbol at every step.
    pub fn with_logits(self) -> Self {
        Self { generates: true, ..self }
    }

    /// The model that outputs the logits of the next symbol: given one symbol per row and its carried states, or,
    /// where layers read whole sequences and [`Language::can_cache`] not, at each symbol of these.
    pub fn generator(self) -> Self {
        let cached = self.can_cache().then_some(self.text.length);
        let length = if self.attends() && cached.is_none() { self.text.length } else { 1 };
        Self { text: TextShape { length, ..self.text }, generates: true, cached, ..self }
    }

    /// Whether layers attend to earlier steps and treat each by itself otherwise, so that keys and values of these can be
    /// kept.
    pub fn can_cache(&self) -> bool {
        use LayerConfig as L;
        let by_step = |layer: &LayerConfig| {
            !layer.layer().reads_steps()
                || matches!(layer, L::Attention(_) | L::Transformer(_) | L::Position(_))
        };
        self.attends() && self.layers.iter().all(by_step)
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
        if let Some(length) = self.cached {
            net.begin_cache(length)?;
        }
        let width = self.embedding_width;
        // As output weights, those of PyTorch's embedding would give logits of the order of the square root of `width`.
        let init = if self.tied { Init::SmallNormal { deviation: DEVIATION } } else { Init::Normal };
        let table = net.parameter("embedding.weight".into(), &[vocabulary, width], init, true)?;
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
        net.names = self.names.clone();
        h = net.layers(&layers[..steps], 0, h)?;
        let width = net.graph.shape(h).last().copied().unwrap_or(0);
        h = net.graph.reshape(h, &[batch * length, width])?;
        let mut logits = net.layers(&layers[steps..], steps, h)?;
        if self.tied {
            net.graph.set_layer("output");
            logits = net.graph.matmul_with(logits, table, false, true)?;
            net.summary.push(("output (tied)".into(), vec![length, vocabulary], 0));
        }
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
