//! Checks of experiments on text.

use crate::nn::config::transformer::TokensOf;
use crate::nn::config::{Family, ModelConfig};
use crate::nn::layers::{Conv1d, LayerConfig};
use crate::nn::losses::{ClassWeights, Loss};
use crate::tasks::Settings;

/// The only loss for text.
pub(in crate::tasks) const LOSS: Loss =
    Loss::CrossEntropy { label_smoothing: 0.0, class_weights: ClassWeights::Each(vec![]) };

/// What is wrong: the key, and the reason.
type Problem = (&'static str, String);

/// The first key that does not apply to text, or has a value that it cannot have.
pub(in crate::tasks) fn check(settings: Settings) -> Result<(), Problem> {
    let Settings { data, model, train } = settings;
    let Some(text) = &data.text else {
        let given = [("model.tied", model.tied.is_some()), ("model.objective", model.objective.is_some())];
        return match given.iter().find(|(_, given)| *given) {
            Some((key, _)) => Err((
                key,
                "is a key of texts, whose symbols are embedded; remove it, or add [data.text]".into(),
            )),
            None => Ok(()),
        };
    };
    if let Some(problem) = text.problem() {
        return Err(problem);
    }
    check_data(settings)?;
    let predicts = text.column.is_some() && !model.is_masked();
    if predicts {
        return check_documents(settings);
    }
    if model.is_masked() {
        check_masked(model)?;
    } else {
        check_layers(model)?;
    }
    if train.loss != LOSS {
        let unit = text.tokens.name();
        let what = if model.is_masked() { format!("hidden {unit}s") } else { format!("the next {unit}") };
        let reason = match &train.loss {
            Loss::CrossEntropy { .. } => format!(
                "has settings, but the loss of a text is the plain cross-entropy of {what}; remove the key, or write \
                 \"cross_entropy\""
            ),
            other => format!(
                "= \"{}\" is not the loss of a text, which is \"cross_entropy\" of {what}; remove the key, or write \
                 \"cross_entropy\"",
                other.name()
            ),
        };
        return Err(("train.loss", reason));
    }
    if train.shuffle && !model.is_masked() && !attends(model) {
        let reason = "= true would separate consecutive sequences, whose states are carried over; remove the \
                      key, or write false";
        return Err(("train.shuffle", reason.into()));
    }
    Ok(())
}

/// Keys of `[data]` that do not go with texts.
fn check_data(settings: Settings) -> Result<(), Problem> {
    let data = settings.data;
    let of_rows = data.text.as_ref().and_then(|text| text.column.as_ref());
    let given = [
        ("data.features", data.features.is_some()),
        ("data.exclude", !data.exclude.is_empty()),
        ("data.labels", data.labels.is_some()),
        ("data.reshape", data.reshape.is_some()),
        ("data.image", data.image.is_some()),
        ("data.window", data.window.is_some()),
        ("data.augment", data.augment != Default::default()),
        ("data.target", data.target.is_some() && (of_rows.is_none() || settings.model.is_masked())),
        ("data.types", !data.types.is_empty() && of_rows.is_none()),
        ("data.derive", !data.derive.is_empty() && of_rows.is_none()),
    ];
    let Some((key, _)) = given.iter().find(|(_, given)| *given) else {
        return match (of_rows, &data.target) {
            (Some(column), Some(target)) if target.contains(column) => {
                let reason = format!("= \"{column}\" is the target; a model must not read what it predicts");
                Err(("data.text.column", reason))
            }
            _ => Ok(()),
        };
    };
    let unit = data.text.as_ref().map_or("symbol", |text| text.tokens.name());
    let reason = match of_rows {
        _ if settings.model.is_masked() && *key == "data.target" => {
            format!(
                "does not go with `model.objective` = \"masked\": what is predicted are hidden {unit}s; remove the key"
            )
        }
        None => format!(
            "does not go with [data.text]: a text has no columns, and the target is its next {unit}; remove the key, or \
             name the `column` of a table that holds texts"
        ),
        Some(column) => {
            format!(
                "does not go with [data.text]: rows are read by the text in `{column}` alone; remove the key"
            )
        }
    };
    Err((key, reason))
}

/// A model of the texts of rows must end with one row of numbers for each, and know where texts end.
fn check_documents(settings: Settings) -> Result<(), Problem> {
    let model = settings.model;
    if model.tied.is_some() {
        let reason = "is for models that predict symbols, and this one predicts a target; remove it";
        return Err(("model.tied", reason.into()));
    }
    if model.from.is_some() {
        let reason = "is for layers of this program where rows are texts; list them with [[model.layer]]";
        return Err(("model.from", reason.into()));
    }
    let families = matches!(model.family, Family::Mlp | Family::Rnn | Family::Tcn | Family::Transformer);
    if !families {
        let reason = "must be \"mlp\", \"rnn\", \"tcn\" or \"transformer\" for the texts of rows";
        return Err(("model.family", reason.into()));
    }
    let key = if model.layers.is_empty() { "model.bidirectional" } else { "model.layer" };
    for layer in model.listed(TokensOf::Documents, None).layers {
        use LayerConfig as L;
        let known = match &layer {
            L::Recurrent(layer) if layer.bidirectional => {
                let reason = "reads texts backwards too, from the padding after their ends; remove it";
                return Err((key, reason.into()));
            }
            L::Conv1d(layer) => layer.causal && layer.stride == 1,
            L::GlobalPool(_) | L::Recurrent(_) | L::BatchNorm(_) => true,
            layer => by_step(layer),
        };
        if !known {
            let reason = format!(
                "has a {} layer, which does not know where the texts of rows end; allowed are attention, transformer, \
                 recurrent, temporal_block, causal conv1d of stride 1, position, layer_norm, rms_norm, global_pool, dense, \
                 activation and dropout",
                layer.layer().name()
            );
            return Err(("model.layer", reason));
        }
    }
    Ok(())
}

/// Layers of a masked model see both sides of every symbol.
fn check_masked(model: &ModelConfig) -> Result<(), Problem> {
    let attends =
        |layer: &LayerConfig| matches!(layer, LayerConfig::Attention(_) | LayerConfig::Transformer(_));
    let layers = model.listed(TokensOf::Masked, None).layers;
    let listed = !model.layers.is_empty();
    if !(listed || model.family == Family::Transformer) || !layers.iter().any(attends) {
        let reason = "= \"masked\" is for `family = \"transformer\"`, whose attention sees both sides of a hidden \
                      symbol; set the family, or list attention or transformer layers";
        return Err(("model.objective", reason.into()));
    }
    for layer in &layers {
        let problem = match layer {
            LayerConfig::Attention(layer) if layer.causal => "an attention layer with `causal = true`".into(),
            LayerConfig::Transformer(layer) if layer.causal => {
                "a transformer layer with `causal = true`".into()
            }
            LayerConfig::Conv1d(_) | LayerConfig::TemporalBlock(_) => {
                format!("a {} layer, which does not know where texts end", layer.layer().name())
            }
            layer if !by_step(layer) => format!("a {} layer", layer.layer().name()),
            _ => continue,
        };
        let reason = format!(
            "has {problem}, and a hidden symbol is predicted from those on both sides; allowed are attention, transformer, \
             position, layer_norm, rms_norm, dense, activation and dropout"
        );
        return Err(("model.layer", reason));
    }
    Ok(())
}

/// Whether a layer gives each step of a sequence an output, without statistics over others.
fn by_step(layer: &LayerConfig) -> bool {
    use LayerConfig as L;
    matches!(
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
    )
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
        if !by_step(&layer) {
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
