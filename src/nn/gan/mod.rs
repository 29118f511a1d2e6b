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
use crate::nn::layers::{Activate, Activation, Dense, Dropout, Flatten, LayerConfig, Unflatten};
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::tensor::Tensor;
    use crate::graph::ops::EvalContext;
    use crate::graph::{Node, Op, Source, ValueId, reference};
    use crate::optim::Optimizer;

    const BATCH: usize = 3;

    fn pair(keys: &str, image: [usize; 3]) -> Gan {
        let text = format!("family = \"gan\"\nlatent = 2\nhidden = [5]\n{keys}");
        let config: ModelConfig = toml::from_str(&text).unwrap();
        let image = ImageShape::from(image);
        let opponent = Opponent { optimizer: Optimizer::default(), rate: 1.0, clip_norm: None, bound: None };
        Gan::new(&config, image.values(), Some(image), 2, opponent).unwrap()
    }

    /// Numbers for every source of a turn.
    fn bindings(turn: &Turn) -> BTreeMap<ValueId, Tensor> {
        let mut found = BTreeMap::new();
        for (at, node) in turn.graph.nodes.iter().enumerate() {
            let Op::Source(op) = &node.op else { continue };
            let label = matches!(&op.source, Source::Batch(name) if name == crate::nn::inputs::Y);
            let number = |i: usize| match label {
                true => (i % 2) as f64,
                false => (i as f64 * 1.7 + at as f64).sin() * 0.6,
            };
            let data = (0..node.ty.elements()).map(number).collect();
            found.insert(ValueId(at as u32), Tensor::new(node.ty.shape.clone(), data));
        }
        found
    }

    /// The gradients of both parts' losses, the gradient penalty among them, are those of finite differences.
    #[test]
    fn gradients_of_both_parts_are_those_of_finite_differences() {
        let penalised = "discriminator = [{ type = \"conv2d\", channels = 3, stride = 2, padding = 1 }, \
                         { type = \"group_norm\", groups = 1 }, { type = \"activation\", function = \"silu\" }, \
                         { type = \"avg_pool\" }, { type = \"flatten\" }, { type = \"layer_norm\" }, \
                         { type = \"dense\", units = 4 }, { type = \"activation\", function = \"tanh\" }]";
        for keys in [
            "channels = [3]\nconditional = true",
            "gan_loss = \"least_squares\"\nnorm = \"batch\"\nchannels = [3]\nkernel = 3",
            "gan_loss = \"wasserstein\"\noutput = \"sigmoid\"",
            "gan_loss = \"wasserstein_gp\"\nchannels = [3]\nconditional = true",
            &format!("gan_loss = \"wasserstein_gp\"\n{penalised}"),
        ] {
            let gan = pair(keys, [1, 4, 5]);
            for turn in gan.turns(BATCH).unwrap().iter().filter(|turn| turn.loss.is_some()) {
                let (bound, loss) = (bindings(turn), turn.loss.unwrap());
                let context = EvalContext::default();
                let value = |bound: &BTreeMap<ValueId, Tensor>| {
                    reference::evaluate(&turn.graph, bound, &context, &[loss]).unwrap()[0].data[0]
                };
                for (name, gradient) in &turn.gradients {
                    let found = reference::evaluate(&turn.graph, &bound, &context, &[*gradient]).unwrap();
                    let source = Source::Parameter(name.clone());
                    let of = |node: &Node| matches!(&node.op, Op::Source(op) if op.source == source);
                    let at = ValueId(turn.graph.nodes.iter().position(of).unwrap() as u32);
                    let count = bound[&at].data.len();
                    for element in [0, count / 2, count - 1] {
                        let moved = |by: f64| {
                            let mut bound = bound.clone();
                            bound.get_mut(&at).unwrap().data[element] += by;
                            value(&bound)
                        };
                        let h = 1e-5;
                        let expected = (moved(h) - moved(-h)) / (2.0 * h);
                        let found = found[0].data[element];
                        assert!(
                            (found - expected).abs() < 1e-4 * expected.abs().max(1.0),
                            "{keys}, {} {name}[{element}]: {found}, expected {expected}",
                            turn.name
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_generator_of_convolutions_gives_images_of_every_size() {
        for (height, width) in [(8, 8), (7, 5), (9, 6), (28, 4)] {
            for kernel in [2, 3, 4, 5] {
                let gan = pair(&format!("channels = [3, 4]\nkernel = {kernel}"), [2, height, width]);
                gan.turns(BATCH).unwrap();
                let drawn = gan.generator().graph(BATCH, false).unwrap();
                assert_eq!(drawn.graph.shape(drawn.predictions), &[BATCH, 2 * height * width]);
            }
        }
    }

    #[test]
    fn the_average_starts_with_the_weights_and_forgets_them() {
        let settings = pair("average = 0.99", [1, 4, 4]).settings;
        assert_eq!(settings.decay(1), 0.0);
        assert_eq!(settings.decay(11), 0.5);
        assert_eq!(settings.decay(100_000), 0.99);
    }
}
