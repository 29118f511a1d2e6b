//! Generative adversarial networks (Goodfellow et al. 2014, arXiv:1406.2661): which layers generator and
//! discriminator have, and the turns of a training step. `graph` makes the mathematics of them.
//!
//! Parameters are named like those of a PyTorch module with `generator` and `discriminator` of type
//! `nn.Sequential`. The running averages of the generator's have the same names after
//! [`AVERAGE`](super::network::AVERAGE).

mod graph;

use crate::base::image::ImageShape;
use crate::graph::GraphError;
use crate::nn::config::ModelConfig;
use crate::nn::config::adversarial::{Adversarial, OutputRange};
use crate::nn::layers::{
    Activate, Activation, Dense, Dropout, Flatten, LayerConfig, Unflatten,
};
use crate::nn::losses::Losses;
use crate::nn::model::{Model, ModelGraph, Opponent, Turn};
use crate::nn::network::Network;

/// How the names of the generator's parameters begin.
pub const GENERATOR: &str = "generator.";
/// How the names of the discriminator's parameters begin.
pub const DISCRIMINATOR: &str = "discriminator.";
/// Name of the part of a row's loss that the discriminator minimises, without the gradient penalty.
pub const DISCRIMINATOR_LOSS: &str = "discriminator";

/// Slope of the discriminator's `leaky_relu` (Radford et al. 2016, arXiv:1511.06434).
const SLOPE: f64 = 0.2;

/// An adversarial pair.
#[derive(Clone, Debug, PartialEq)]
pub struct Gan {
    /// Settings.
    pub settings: Adversarial,
    /// Number of features per row.
    pub features: usize,
    /// Number of classes that both parts read; 0 for none.
    pub classes: usize,
    /// Whether to build only the generator, which reads codes.
    generator_only: bool,
    /// The shape of the features, if they are images.
    image: Option<ImageShape>,
    generator: Vec<LayerConfig>,
    discriminator: Vec<LayerConfig>,
    /// How the discriminator is trained.
    opponent: Opponent,
}

impl Gan {
    /// The pair of a configuration for rows of `features` numbers; `None` for other families. `classes` is the
    /// number of classes of the target, `opponent` how the discriminator is trained.
    pub fn new(
        config: &ModelConfig,
        features: usize,
        image: Option<ImageShape>,
        classes: usize,
        opponent: Opponent,
    ) -> Option<Self> {
        let settings = config.adversarial()?;
        let own = |layers: &[LayerConfig]| (!layers.is_empty()).then(|| layers.to_vec());
        let mut discriminator = own(&config.discriminator).unwrap_or_else(|| judging(config, image));
        discriminator.push(Dense { units: 1, bias: true }.into());
        let generator = own(&config.generator).unwrap_or_else(|| drawing(config, image));
        Some(Self {
            settings,
            features,
            classes: if settings.conditional { classes } else { 0 },
            generator_only: false,
            image,
            generator,
            discriminator,
            opponent,
        })
    }

    /// The generator alone, which maps codes to features.
    pub fn generator(self) -> Self {
        Self { generator_only: true, ..self }
    }
}

/// The discriminator's hidden layers: convolutions that halve the image, then dense layers.
fn judging(config: &ModelConfig, image: Option<ImageShape>) -> Vec<LayerConfig> {
    let mut layers = vec![];
    let activate = |layers: &mut Vec<LayerConfig>| {
        layers.push(Activate { function: Activation::LeakyRelu, slope: Some(SLOPE) }.into());
        if config.dropout > 0.0 {
            layers.push(Dropout { rate: config.dropout }.into());
        }
    };
    if let (Some(_), channels @ [_, ..]) = (image, config.channels.as_deref().unwrap_or_default()) {
        for &channels in channels {
            layers.push(config.narrowing(channels));
            activate(&mut layers);
        }
        layers.push(Flatten {}.into());
    }
    for &units in &config.hidden {
        layers.push(Dense { units, bias: true }.into());
        activate(&mut layers);
    }
    layers
}

/// The generator's layers, the discriminator's in the opposite order. With convolutions, the last one gives
/// images; else the output layer is still missing.
fn drawing(config: &ModelConfig, image: Option<ImageShape>) -> Vec<LayerConfig> {
    // Dropout is the discriminator's.
    let config = &ModelConfig { dropout: 0.0, ..config.clone() };
    let mirrored: Vec<usize> = config.hidden.iter().rev().copied().collect();
    let mut layers = config.dense_layers(&mirrored);
    let channels = config.channels.as_deref().unwrap_or_default();
    if let (Some(image), [.., last]) = (image, channels) {
        let mut sizes = vec![[image.height, image.width]];
        for at in 0..channels.len() {
            sizes.push(config.narrowed(sizes[at]));
        }
        let [height, width] = sizes[channels.len()];
        let folded = ImageShape { channels: *last, height, width };
        layers.extend(config.dense_layers(&[folded.values()]));
        layers.push(Unflatten { shape: folded }.into());
        for at in (0..channels.len()).rev() {
            let outputs = if at > 0 { channels[at - 1] } else { image.channels };
            layers.push(config.widening(outputs, sizes[at]));
            if at > 0 {
                layers.extend(config.norm_and_activation());
            }
        }
    }
    layers
}

impl Model for Gan {
    fn build(&self, net: &mut Network, batch: usize) -> Result<Losses, GraphError> {
        match self.generator_only {
            true => graph::generator_only(net, self, batch),
            false => graph::evaluation(net, self, batch),
        }
    }

    fn turns(&self, batch: usize) -> Result<Vec<Turn>, GraphError> {
        let mut turns = vec![graph::discriminators_turn(self, batch)?, graph::generators_turn(self, batch)?];
        if self.settings.average > 0.0 {
            turns.push(graph::averaging(self)?);
        }
        Ok(turns)
    }

    /// The evaluation form; what is trained is in the turns.
    fn graph(&self, batch: usize, _training: bool) -> Result<ModelGraph, GraphError> {
        let mut found = graph::of(self, batch)?;
        if !self.generator_only {
            // With averages, the evaluation does not read the generator's own weights.
            let declared = graph::declared(self)?;
            found.parameters = declared.parameters;
            found.summary = declared.summary;
        }
        Ok(found)
    }
}

impl OutputRange {
    /// The layer that ends the generator, if there is one.
    fn layer(self) -> Option<LayerConfig> {
        match self {
            Self::Linear => None,
            Self::Sigmoid => Some(Activate::from(Activation::Sigmoid).into()),
        }
    }
}
