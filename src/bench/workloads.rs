//! The training steps that `gridlight bench` times, and their data.

use crate::base::image::ImageShape;
use crate::base::nodes::Nodes;
use crate::base::rng;
use crate::data::{CategoryIds, Dataset, Target, Text};
use crate::nn::config::adversarial::GanLoss;
use crate::nn::config::variational::Decoder;
use crate::nn::config::{Family, ModelConfig};
use crate::nn::inputs::{SequenceShape, TextShape};
use crate::nn::layers::recurrent::Cell;
use crate::nn::layers::{
    Activate, Activation, BatchNorm, Conv2d, Dense, Flatten, GlobalPool, GraphConv, LayerConfig, MaxPool,
    Padding, Pair, Pooling, Residual,
};
use crate::nn::losses::{ClassWeights, Loss};

/// Maximum rows of synthetic data.
const ROWS: usize = 8192;
/// Maximum numbers of synthetic data.
const NUMBERS: usize = 1 << 21;

/// A network and its batch.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Shown to users, and matched by the pattern.
    pub name: String,
    /// One word, for programs that are compared.
    pub word: &'static str,
    pub(super) batch: usize,
    pub(super) config: ModelConfig,
    /// Image shape `[C, H, W]`, or the number of features.
    pub(super) input: Input,
    pub(super) outputs: usize,
    pub(super) loss: Loss,
}

/// What a network reads.
#[derive(Clone, Copy, Debug)]
pub(super) enum Input {
    Features(usize),
    Image(ImageShape),
    Sequence(SequenceShape),
    Text(TextShape),
    Nodes(NodesShape),
}

/// A graph whose edges are drawn at random.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodesShape {
    nodes: usize,
    /// Each is two, one each way.
    edges: usize,
    features: usize,
}

impl NodesShape {
    /// The graph; features are normal.
    pub(super) fn draw(self) -> Nodes {
        let Self { nodes, edges, features } = self;
        let end = |edge: usize, end: u32| rng::word([1, 0], 2 + end, 0, edge as u32) % nodes as u32;
        let mut ends: Vec<[u32; 2]> = (0..edges)
            .flat_map(|edge| [[end(edge, 0), end(edge, 1)], [end(edge, 1), end(edge, 0)]])
            .collect();
        ends.sort_unstable();
        Nodes {
            names: (0..nodes).map(|node| node.to_string()).collect(),
            features: names(features),
            x: (0..nodes * features).map(|i| normal(0, i)).collect(),
            sources: ends.iter().map(|ends| ends[1]).collect(),
            targets: ends.iter().map(|ends| ends[0]).collect(),
            ..Nodes::default()
        }
    }
}

/// Names of features.
fn names(count: usize) -> Vec<String> {
    (0..count).map(|c| format!("x{c}")).collect()
}

/// A random number.
fn normal(stream: u32, i: usize) -> f32 {
    rng::normal(rng::word([1, 0], stream, 0, i as u32))
}

impl Input {
    pub(super) fn width(self) -> usize {
        match self {
            Self::Features(features) => features,
            Self::Image(ImageShape { channels, height, width }) => channels * height * width,
            Self::Sequence(SequenceShape { length, width }) => length * width,
            Self::Text(TextShape { length, .. }) => length,
            Self::Nodes(_) => 0,
        }
    }
}

/// Cross-entropy of classes that count alike.
fn cross_entropy() -> Loss {
    Loss::CrossEntropy { label_smoothing: 0.0, class_weights: ClassWeights::default() }
}

fn image(channels: usize, side: usize) -> Input {
    Input::Image(ImageShape { channels, height: side, width: side })
}

/// Dense layers of these widths on `features`, with ReLU and MSE.
fn mlp(word: &'static str, features: usize, hidden: &[usize], batch: usize) -> Workload {
    let widths: Vec<String> = hidden.iter().map(usize::to_string).collect();
    Workload {
        name: format!("mlp {features}-{}-1, batch {batch}", widths.join("-")),
        word,
        batch,
        config: ModelConfig { hidden: hidden.to_vec(), ..ModelConfig::default() },
        input: Input::Features(features),
        outputs: 1,
        loss: Loss::Mse {},
    }
}

fn network(word: &'static str, name: &str, batch: usize, layers: Vec<LayerConfig>, input: Input) -> Workload {
    Workload {
        name: format!("{name}, batch {batch}"),
        word,
        batch,
        config: ModelConfig { layers, family: Family::Cnn, ..ModelConfig::default() },
        input,
        outputs: 10,
        loss: cross_entropy(),
    }
}

/// A recurrent layer of `units` on sequences of 32 features.
fn recurrent(word: &'static str, cell: Cell, units: usize, length: usize, batch: usize) -> Workload {
    Workload {
        name: format!("{word} 32-{units}-1 of {length} steps, batch {batch}"),
        word,
        batch,
        config: ModelConfig {
            family: Family::Rnn,
            cell: Some(cell),
            hidden: vec![units],
            ..ModelConfig::default()
        },
        input: Input::Sequence(SequenceShape { length, width: 32 }),
        outputs: 1,
        loss: Loss::Mse {},
    }
}

fn transformer(
    word: &'static str,
    name: &str,
    batch: usize,
    [width, blocks]: [usize; 2],
    input: Input,
) -> Workload {
    Workload {
        name: format!("{name}, batch {batch}"),
        word,
        batch,
        config: ModelConfig {
            family: Family::Transformer,
            width: Some(width),
            blocks: Some(blocks),
            patch: Some(Pair::Both(2)),
            activation: Activation::Gelu,
            ..ModelConfig::default()
        },
        input,
        outputs: if matches!(input, Input::Text(_)) { 0 } else { 10 },
        loss: cross_entropy(),
    }
}

fn gpt(shape: [usize; 2], length: usize, batch: usize) -> Workload {
    let [width, blocks] = shape;
    let name = format!("gpt {blocks}x{width} of {length} characters");
    transformer("gpt", &name, batch, shape, Input::Text(TextShape { length, vocabulary: 77 }))
}

fn cnn(batch: usize) -> Workload {
    network("cnn", "cnn 32-64 of 1x28x28", batch, convolutional_layers(), image(1, 28))
}

/// What grows along a curve, and the steps along it.
pub(super) struct Growing {
    /// `batch`, `sequence` or `width`.
    pub of: &'static str,
    /// The network.
    pub name: &'static str,
    /// From the least to the largest.
    pub sizes: Vec<usize>,
    /// The step of a size.
    pub step: fn(usize) -> Workload,
}

/// How steps grow: with the batch from 1 to 4,096, with sequences and with widths from 16 to 4,096.
pub(super) fn growing() -> Vec<Growing> {
    let sizes = |least: u32| (least..=6).map(|power| 4usize.pow(power)).collect::<Vec<_>>();
    let of = |of, name, step| {
        let sizes = sizes(if of == "batch" { 0 } else { 2 });
        Growing { of, name, sizes, step }
    };
    vec![
        of("batch", "mlp 64-128-64-1", |batch| mlp("mlp", 64, &[128, 64], batch)),
        of("batch", "cnn 32-64 of 1x28x28", cnn),
        of("batch", "lstm 32-64-1 of 64 steps", |batch| recurrent("lstm", Cell::Lstm, 64, 64, batch)),
        of("sequence", "rnn 32-64-1, batch 8", |length| recurrent("rnn", Cell::Tanh, 64, length, 8)),
        of("sequence", "lstm 32-64-1, batch 8", |length| recurrent("lstm", Cell::Lstm, 64, length, 8)),
        of("sequence", "gpt 2x64, batch 4", |length| gpt([64, 2], length, 4)),
        of("width", "mlp 64-N-N-1, batch 64", |width| mlp("mlp", 64, &[width, width], 64)),
        of("width", "rnn 32-N-1 of 16 steps, batch 16", |units| recurrent("rnn", Cell::Tanh, units, 16, 16)),
    ]
}

/// The measured steps, all with Adam: Dense 64-128-64-1 with ReLU and MSE; a CNN of two convolutions; a
/// residual network; a tanh recurrent network and an LSTM; the variational autoencoder of PyTorch's examples; an
/// adversarial pair with gradient penalty; a transformer of text and one of images; graph convolutions of all nodes.
pub fn all() -> Vec<Workload> {
    vec![
        gpt([128, 4], 64, 64),
        transformer("vit", "vit 3x64 of 1x8x8", 32, [64, 3], image(1, 8)),
        recurrent("rnn", Cell::Tanh, 256, 64, 64),
        recurrent("lstm", Cell::Lstm, 256, 64, 64),
        Workload {
            name: "gcn 64-16-7 of 10,000 nodes, 100,000 edges".into(),
            word: "gcn",
            batch: 10_000,
            config: ModelConfig {
                layers: vec![
                    GraphConv { units: 16, bias: true }.into(),
                    Activate::from(Activation::Relu).into(),
                    GraphConv { units: 7, bias: true }.into(),
                ],
                ..ModelConfig::default()
            },
            input: Input::Nodes(NodesShape { nodes: 10_000, edges: 50_000, features: 64 }),
            outputs: 7,
            loss: cross_entropy(),
        },
        mlp("mlp32", 64, &[128, 64], 32),
        mlp("mlp1024", 64, &[128, 64], 1024),
        cnn(64),
        network("resblock", "resnet 16-32-64 of 3x32x32", 32, residual_layers(), image(3, 32)),
        Workload {
            name: "vae 784-400-20, batch 128".into(),
            word: "vae",
            batch: 128,
            config: ModelConfig {
                family: Family::Vae,
                hidden: vec![400],
                latent: Some(20),
                decoder: Some(Decoder::Bernoulli),
                ..ModelConfig::default()
            },
            input: Input::Features(784),
            outputs: 0,
            loss: Loss::Elbo {},
        },
        Workload {
            name: "wgan-gp 32-64 of 1x28x28, 5 critic steps of batch 64".into(),
            word: "wgan-gp",
            batch: 64,
            config: ModelConfig {
                family: Family::Gan,
                gan_loss: Some(GanLoss::WassersteinGp),
                channels: Some(vec![32, 64]),
                kernel: Some(Pair::Both(4)),
                hidden: vec![128],
                ..ModelConfig::default()
            },
            input: image(1, 28),
            outputs: 0,
            loss: Loss::Adversarial {},
        },
    ]
}

fn convolution(channels: usize, padding: usize, bias: bool) -> LayerConfig {
    let padding = Padding::Zeros(Pair::Both(padding));
    Conv2d { padding, bias, ..Conv2d::new(channels, Pair::Both(3)) }.into()
}

/// Two convolutions, pooling and a hidden layer.
fn convolutional_layers() -> Vec<LayerConfig> {
    let relu: LayerConfig = Activate::from(Activation::Relu).into();
    vec![
        convolution(32, 0, true),
        relu.clone(),
        convolution(64, 0, true),
        relu.clone(),
        MaxPool::new(Pair::Both(2)).into(),
        Flatten {}.into(),
        Dense { units: 128, bias: true }.into(),
        relu,
    ]
}

/// Convolution, three residual blocks, global pooling.
fn residual_layers() -> Vec<LayerConfig> {
    let block =
        |channels, stride| Residual { shortcut_norm: false, ..Residual::new(channels, stride) }.into();
    vec![
        convolution(16, 1, false),
        BatchNorm::default().into(),
        Activate::from(Activation::Relu).into(),
        block(16, 1),
        block(32, 2),
        block(64, 2),
        GlobalPool { kind: Pooling::Average }.into(),
    ]
}

impl Workload {
    /// Normal random numbers, and targets to match the network; for what learns the features, black and white pixels,
    /// a quarter of them white.
    pub(super) fn data(&self) -> Dataset {
        let width = self.input.width();
        let rows = match self.input {
            Input::Nodes(shape) => shape.nodes,
            _ => (NUMBERS / width / self.batch * self.batch).clamp(self.batch, ROWS),
        };
        if let Input::Text(TextShape { length, vocabulary }) = self.input {
            let symbol = |i: usize| rng::word([1, 0], 0, 0, i as u32) % vocabulary as u32;
            let symbols = (0..=rows * length).map(symbol).collect();
            return Dataset { rows, text: Some(Text { length, vocabulary, symbols }), ..Dataset::default() };
        }
        let pixel = |i: usize| f32::from(u8::from(rng::word([1, 0], 0, 0, i as u32) < 1 << 30));
        let learns_features = matches!(self.loss, Loss::Elbo {} | Loss::Adversarial {});
        let target = match self.loss.wants_labels() {
            _ if learns_features => None,
            true => Some(Target::Labels((0..rows).map(|i| (i % self.outputs) as u32).collect())),
            false => Some(Target::Numbers((0..rows).map(|i| normal(1, i)).collect())),
        };
        Dataset {
            rows,
            features: names(width),
            x: (0..rows * width).map(|i| if learns_features { pixel(i) } else { normal(0, i) }).collect(),
            categories: match self.input {
                Input::Nodes(_) => vec![CategoryIds {
                    name: "node".into(),
                    vocabulary: rows,
                    ids: (0..rows as u32).collect(),
                }],
                _ => vec![],
            },
            target,
            source_rows: (0..rows).collect(),
            ..Dataset::default()
        }
    }
}
