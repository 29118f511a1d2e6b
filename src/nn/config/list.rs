//! Reads the explicit layers of a model, with a message of its own for what is no list.

use std::fmt;

use serde::Deserializer;
use serde::de::{SeqAccess, Visitor};

use crate::nn::layers::LayerConfig;

/// Whose layers they are: the key.
struct Layers(&'static str);

impl<'de> Visitor<'de> for Layers {
    type Value = Vec<LayerConfig>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let key = self.0;
        write!(
            f,
            "a list of tables such as [{{ type = \"dense\", units = 64 }}], or a [[model.{key}]] table for each"
        )
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut layers = vec![];
        while let Some(layer) = list.next_element()? {
            layers.push(layer);
        }
        Ok(layers)
    }
}

/// The layers in order.
pub(super) fn layers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<LayerConfig>, D::Error> {
    deserializer.deserialize_seq(Layers("layer"))
}

/// The layers of a `gan`'s generator.
pub(super) fn generator<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<LayerConfig>, D::Error> {
    deserializer.deserialize_seq(Layers("generator"))
}

/// The layers of a `gan`'s discriminator.
pub(super) fn discriminator<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<LayerConfig>, D::Error> {
    deserializer.deserialize_seq(Layers("discriminator"))
}
