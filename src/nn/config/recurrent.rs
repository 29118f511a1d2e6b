//! Keys of the `rnn` family in the `[model]` table, and recurrent layers.

use serde::{Deserialize, Serialize};

use super::layer::LayerConfig;
use super::{Family, ModelConfig};
use crate::kernels::recurrence;

/// What a step of a recurrent layer computes, with PyTorch's definitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// `tanh(W x + U h + b)`
    Tanh,
    /// `max(W x + U h + b, 0)`
    Relu,
    /// Long short-term memory.
    #[default]
    Lstm,
    /// Gated recurrent unit.
    Gru,
}

impl Cell {
    /// The kernels' cell.
    pub fn kernel(self) -> recurrence::Cell {
        match self {
            Self::Tanh => recurrence::Cell::Tanh,
            Self::Relu => recurrence::Cell::Relu,
            Self::Lstm => recurrence::Cell::Lstm,
            Self::Gru => recurrence::Cell::Gru,
        }
    }
}

/// What a recurrent layer gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// The state after the last step, of both directions if there are two.
    #[default]
    Last,
    /// The states of all steps: a sequence.
    All,
}

/// Most layers of one stack.
const MAX_LAYERS: usize = 64;
/// Most hidden units of a recurrent layer.
const MAX_HIDDEN: usize = 8192;

impl ModelConfig {
    /// The recurrent layers of an `rnn`, then its dense ones.
    pub(super) fn recurrent_layers(&self) -> Vec<LayerConfig> {
        let mut layers: Vec<LayerConfig> = vec![];
        // Layers of one size are one stack, as PyTorch's are.
        for stack in self.hidden.chunk_by(|a, b| a == b) {
            if let Some(LayerConfig::Recurrent { output, .. }) = layers.last_mut() {
                *output = Output::All;
            }
            layers.push(LayerConfig::Recurrent {
                cell: self.cell.unwrap_or_default(),
                hidden: stack[0],
                layers: stack.len(),
                bidirectional: self.bidirectional.unwrap_or_default(),
                dropout: self.dropout,
                output: Output::Last,
            });
        }
        layers.extend(self.dense_layers(self.dense.as_deref().unwrap_or_default()));
        layers
    }
}

/// The first key that is out of range, or was given to another family.
pub(crate) fn check(model: &ModelConfig) -> Result<(), (&'static str, String)> {
    let given = [
        ("model.cell", model.cell.is_some()),
        ("model.bidirectional", model.bidirectional.is_some()),
        ("model.dense", model.dense.is_some()),
    ];
    if let (true, Some((key, _))) = (model.family != Family::Rnn, given.iter().find(|(_, given)| *given)) {
        return Err((key, "is a key of `family = \"rnn\"`; set the family or take the key out".into()));
    }
    if model.family == Family::Rnn && model.hidden.is_empty() && model.layers.is_empty() {
        return Err((
            "model.hidden",
            "is empty; `family = \"rnn\"` needs at least one recurrent layer".into(),
        ));
    }
    for layer in model.hidden_layers() {
        let LayerConfig::Recurrent { hidden, layers, dropout, .. } = layer else { continue };
        let key = if model.layers.is_empty() { "model.hidden" } else { "model.layer" };
        if !(1..=MAX_HIDDEN).contains(&hidden) {
            return Err((key, format!("has {hidden} recurrent units; allowed are 1 to {MAX_HIDDEN}")));
        }
        if !(1..=MAX_LAYERS).contains(&layers) {
            return Err((key, format!("has {layers} recurrent layers; allowed are 1 to {MAX_LAYERS}")));
        }
        if !(0.0..1.0).contains(&dropout) {
            return Err((key, format!("has dropout = {dropout}, which is not in 0..1")));
        }
    }
    Ok(())
}
