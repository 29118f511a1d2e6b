//! Checks of experiments on text.

use crate::nn::config::transformer::TokensOf;
use crate::nn::config::{Family, ModelConfig};
use crate::nn::layers::{Conv1d, LayerConfig};
use crate::nn::losses::{ClassWeights, Loss};
use crate::tasks::Settings;

/// The only loss for text.
pub(in crate::tasks) const LOSS: Loss =
    Loss::CrossEntropy { label_smoothing: 0.0, class_weights: ClassWeights::Each(vec![]) };

/// The first key that does not apply to text, or has a value that it cannot have.
pub(in crate::tasks) fn check(settings: Settings) -> Result<(), (&'static str, String)> {
    let Settings { data, model, train } = settings;
    let Some(text) = data.text else {
        return match model.tied {
            Some(_) => Err(("model.tied", "is a key of texts, whose symbols are embedded; remove it".into())),
            None => Ok(()),
        };
    };
    if let Some(problem) = text.problem() {
        return Err(problem);
    }
    let given = [
        ("data.target", data.target.is_some()),
        ("data.features", data.features.is_some()),
        ("data.exclude", !data.exclude.is_empty()),
        ("data.labels", data.labels.is_some()),
        ("data.types", !data.types.is_empty()),
        ("data.derive", !data.derive.is_empty()),
        ("data.reshape", data.reshape.is_some()),
        ("data.image", data.image.is_some()),
        ("data.window", data.window.is_some()),
        ("data.augment", data.augment != Default::default()),
    ];
    if let Some((key, _)) = given.iter().find(|(_, given)| *given) {
        let reason = "does not go with [data.text]: a text has no columns, and the target is its next \
                      character; remove the key";
        return Err((key, reason.into()));
    }
    check_layers(model)?;
    if train.loss != LOSS {
        let reason = match &train.loss {
            Loss::CrossEntropy { .. } => {
                "has settings, but the loss of a text is the plain cross-entropy of the next character; \
                 remove the key, or write \"cross_entropy\""
                    .into()
            }
            other => format!(
                "= \"{}\" is not the loss of a text, which is \"cross_entropy\" of the next character; \
                 remove the key, or write \"cross_entropy\"",
                other.name()
            ),
        };
        return Err(("train.loss", reason));
    }
    if train.shuffle && !attends(model) {
        let reason = "= true would separate consecutive sequences, whose states are carried over; remove the \
                      key, or write false";
        return Err(("train.shuffle", reason.into()));
    }
    Ok(())
}

/// Whether a model attends to whole sequences, instead of carrying states from one to the next.
pub(in crate::tasks) fn attends(model: &ModelConfig) -> bool {
    let attends =
        |layer: &LayerConfig| layer.layer().reads_steps() && !matches!(layer, LayerConfig::Recurrent(_));
    model.listed(TokensOf::Text, None).layers.iter().any(attends)
}

/// Layers that read steps must come first, and must not see the characters to predict.
fn check_layers(model: &ModelConfig) -> Result<(), (&'static str, String)> {
    if model.layers.is_empty() && !matches!(model.family, Family::Rnn | Family::Transformer | Family::Tcn) {
        return Err(("model.family", "must be \"rnn\", \"transformer\" or \"tcn\" for a text".into()));
    }
    if attends(model) {
        return check_attending(model);
    }
    let key = if model.layers.is_empty() { "model.bidirectional" } else { "model.layer" };
    let mut others = false;
    for (at, layer) in model.hidden_layers().iter().enumerate() {
        match layer {
            LayerConfig::Recurrent(layer) if layer.bidirectional => {
                let reason = "reads a text backwards too, from the characters to predict; remove it";
                return Err((key, reason.into()));
            }
            LayerConfig::Recurrent(_) if others => {
                return Err((key, "has a recurrent layer after others; for a text they come first".into()));
            }
            LayerConfig::Recurrent(_) => {}
            _ if at == 0 => return Err((key, "must start with a recurrent layer for a text".into())),
            _ => others = true,
        }
    }
    Ok(())
}

/// Where layers attend, none may see the characters to predict, and none may carry states.
fn check_attending(model: &ModelConfig) -> Result<(), (&'static str, String)> {
    for layer in model.listed(TokensOf::Text, None).layers {
        let problem = match layer {
            LayerConfig::Attention(ref layer) if !layer.causal => Some("has an attention layer"),
            LayerConfig::Transformer(ref layer) if !layer.causal => Some("has a transformer layer"),
            LayerConfig::Conv1d(ref layer) if !layer.causal => Some("has a conv1d layer"),
            _ => None,
        };
        if let Some(problem) = problem {
            let reason = "that sees the characters to predict; set `causal = true`";
            return Err(("model.layer", format!("{problem} {reason}")));
        }
        use LayerConfig as L;
        let by_step = matches!(
            layer,
            L::Attention(_)
                | L::Transformer(_)
                | L::TemporalBlock(_)
                | L::Conv1d(Conv1d { stride: 1, .. })
                | L::Position(_)
                | L::LayerNorm(_)
                | L::RmsNorm(_)
                | L::Dense(_)
                | L::Activation(_)
                | L::Dropout(_)
        );
        if !by_step {
            let reason = format!(
                "has a {} layer, which does not go with whole sequences of a text; allowed are attention, transformer, \
                 temporal_block, conv1d of stride 1, position, layer_norm, rms_norm, dense, activation and dropout",
                layer.layer().name()
            );
            return Err(("model.layer", reason));
        }
    }
    Ok(())
}
