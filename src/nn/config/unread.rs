//! Keys that were set and that the model does not read.

use super::{Family, ModelConfig};
use crate::nn::layers::{Activation, NO_FUNCTION};

/// The first key that has another value than the default and says nothing of this model.
pub(crate) fn check(model: &ModelConfig) -> Result<(), (&'static str, String)> {
    let default = ModelConfig::default();
    let of_layers = [
        ("model.hidden", model.hidden != default.hidden),
        ("model.activation", model.activation != default.activation),
    ];
    let of_all =
        [("model.norm", model.norm != default.norm), ("model.dropout", model.dropout != default.dropout)];
    let of_images = [("model.channels", model.channels.is_some()), ("model.kernel", model.kernel.is_some())];
    let of_cnn = [("model.pool", model.pool.is_some())];
    let of_rnn = [
        ("model.cell", model.cell.is_some()),
        ("model.bidirectional", model.bidirectional.is_some()),
        ("model.dense", model.dense.is_some()),
    ];
    let first = |keys: &[&[(&'static str, bool)]]| {
        keys.iter().flat_map(|keys| keys.iter()).find(|(_, given)| *given).map(|(key, _)| *key)
    };
    let refuse = |key, reason: &str| Err((key, format!("{reason}; remove the key")));
    let found = match model.family {
        _ if !model.layers.is_empty() || model.from.is_some() => {
            first(&[&of_layers, &of_all, &of_images, &of_cnn, &of_rnn])
        }
        // Each checks the keys that one part alone reads.
        Family::Gan if !model.generator.is_empty() && !model.discriminator.is_empty() => first(&[&of_layers]),
        _ => None,
    };
    if let Some(key) = found {
        let reason = match &model.from {
            Some(_) => "is not read, because `model.from` gives the network",
            None => "is not read, because the model lists its layers",
        };
        return refuse(key, reason);
    }
    if model.activation == Activation::Swiglu && model.family != Family::Transformer {
        return Err(("model.activation", format!("= \"swiglu\" {NO_FUNCTION}")));
    }
    let images = matches!(model.family, Family::Cnn | Family::Tcn | Family::Unet | Family::Vae | Family::Gan);
    if let Some(key) = first(&[&of_images]).filter(|_| !images) {
        return refuse(key, "is a key of `family = \"cnn\"`, \"tcn\", \"unet\", \"vae\" and \"gan\"");
    }
    match first(&[&of_cnn]).filter(|_| model.family != Family::Cnn) {
        Some(key) => refuse(key, "is a key of `family = \"cnn\"`"),
        None => Ok(()),
    }
}

/// The first key that has another value than the default and that a network with a fixed form does not read.
pub(super) fn check_named(model: &ModelConfig) -> Result<(), (&'static str, String)> {
    let default = ModelConfig::default();
    let unread = [
        ("model.hidden", model.hidden != default.hidden),
        ("model.activation", model.activation != default.activation),
        ("model.norm", model.norm != default.norm),
        (
            "model.dropout",
            matches!(model.family, Family::Resnet | Family::Unet) && model.dropout != default.dropout,
        ),
    ];
    match unread.iter().find(|(_, given)| *given) {
        Some((key, _)) => {
            let reason = "is not read, because the family has layers of its own; remove the key, or list the layers \
                          with [[model.layer]]";
            Err((key, reason.into()))
        }
        None => Ok(()),
    }
}
