//! Keys of the `rnn` family in the `[model]` table.

use super::{Family, ModelConfig};
use crate::nn::layers::LayerConfig;
use crate::nn::layers::keys::check_units;
use crate::nn::layers::recurrent::{Output, Recurrent};

impl ModelConfig {
    /// The recurrent layers of an `rnn`, then its dense layers.
    pub(super) fn recurrent_layers(&self) -> Vec<LayerConfig> {
        let mut layers: Vec<LayerConfig> = vec![];
        // Consecutive layers of equal size form one stack, as in PyTorch.
        for sizes in self.hidden.chunk_by(|a, b| a == b) {
            if let Some(LayerConfig::Recurrent(before)) = layers.last_mut() {
                before.output = Output::All;
            }
            let stack = Recurrent {
                cell: self.cell.unwrap_or_default(),
                hidden: sizes[0],
                layers: sizes.len(),
                bidirectional: self.bidirectional.unwrap_or_default(),
                dropout: self.dropout,
                output: Output::Last,
            };
            layers.push(stack.into());
        }
        layers.extend(self.dense_layers(self.dense.as_deref().unwrap_or_default()));
        layers
    }
}

/// The first key that is out of range, or that belongs to another family.
pub(crate) fn check(model: &ModelConfig) -> Result<(), (&'static str, String)> {
    let given = [
        ("model.cell", model.cell.is_some()),
        ("model.bidirectional", model.bidirectional.is_some()),
        ("model.dense", model.dense.is_some()),
    ];
    if let (true, Some((key, _))) = (model.family != Family::Rnn, given.iter().find(|(_, given)| *given)) {
        return Err((key, "is a key of `family = \"rnn\"`; set the family or remove the key".into()));
    }
    if model.family == Family::Rnn && model.hidden.is_empty() && model.layers.is_empty() {
        return Err((
            "model.hidden",
            "is empty; `family = \"rnn\"` needs at least one recurrent layer".into(),
        ));
    }
    for &units in model.dense.iter().flatten() {
        check_units(units).map_err(|reason| ("model.dense", reason))?;
    }
    if model.family == Family::Transformer && model.layers.is_empty() {
        // Its layers have other keys.
        return Ok(());
    }
    if matches!(model.family, Family::Resnet | Family::Alexnet | Family::Tcn) && model.layers.is_empty() {
        // So have these, which are checked with them.
        return Ok(());
    }
    let key = if model.layers.is_empty() { "model.hidden" } else { "model.layer" };
    model.hidden_layers().iter().try_for_each(|layer| layer.layer().check().map_err(|reason| (key, reason)))
}
