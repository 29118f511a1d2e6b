//! Layers of networks whose parameters have names of their own, instead of the layers' numbers.

use super::transformer::TokensOf;
use super::unet::OUTPUT;
use super::{Family, ModelConfig};
use crate::base::image::ImageShape;
use crate::nn::layers::LayerConfig;

/// A layer with a name that is not its number.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub name: String,
    pub layer: LayerConfig,
}

impl Named {
    pub fn new(name: impl Into<String>, layer: impl Into<LayerConfig>) -> Self {
        Self { name: name.into(), layer: layer.into() }
    }
}

/// Layers in order, and their names; no names if these are the numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Listed {
    pub layers: Vec<LayerConfig>,
    pub names: Vec<String>,
}

impl Listed {
    fn of(named: Vec<Named>) -> Self {
        let (names, layers) = named.into_iter().map(|Named { name, layer }| (name, layer)).unzip();
        Self { layers, names }
    }
}

impl ModelConfig {
    /// The layers for tokens of a kind, or images of a shape, with the output layer's name at the end of the names.
    pub(crate) fn listed(&self, tokens: TokensOf, image: Option<ImageShape>) -> Listed {
        let (named, output) = match self.family {
            _ if !self.layers.is_empty() => (vec![], ""),
            Family::Resnet => (self.classic(image), "fc"),
            Family::Alexnet => (self.classic(image), "classifier.6"),
            Family::Tcn => (self.temporal(tokens), "linear"),
            Family::Unet => (self.u_shaped(), OUTPUT),
            _ => (vec![], ""),
        };
        if named.is_empty() {
            return Listed { layers: self.layers_of(tokens), names: vec![] };
        }
        let mut listed = Listed::of(named);
        listed.names.push(output.into());
        listed
    }
}
