//! Whole training steps: steps per second, and where the time goes.

use serde::{Deserialize, Serialize};

use super::fastest_of;
use crate::base::image::ImageShape;
use crate::base::rng;
use crate::base::step::StepRecord;
use crate::data::{Dataset, Target, Text};
use crate::device::Device;
use crate::nn::config::adversarial::GanLoss;
use crate::nn::config::variational::Decoder;
use crate::nn::config::{Family, ModelConfig};
use crate::nn::inputs::{Inputs, SequenceShape, TextShape};
use crate::nn::layers::recurrent::Cell;
use crate::nn::layers::{
    Activate, Activation, BatchNorm, Conv2d, Dense, Flatten, GlobalPool, LayerConfig, MaxPool, Padding, Pair,
    Pooling, Residual,
};
use crate::nn::losses::{ClassWeights, Loss};
use crate::nn::{Gan, Language, Model, Opponent, Supervised, Vae};
use crate::optim::Optimizer;
use crate::plan::Dispatch;
use crate::plan::Recompute;
use crate::train::TrainError;
use crate::train::engine::{Engine, Training};
use crate::train::precision::Precision;

/// One network's training step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepMeasurement {
    /// Network and batch.
    pub name: String,
    /// Steps per second, over many consecutive steps.
    pub steps_per_second: f64,
    /// Each launch, timed separately.
    pub kernels: Vec<KernelTime>,
}

/// One launch of a step: a single kernel, or several that run concurrently.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KernelTime {
    /// Kernel family.
    pub name: String,
    /// Sizes.
    pub shape: String,
    /// The layers it computes.
    pub layer: String,
    /// Seconds: the fastest of several profiles.
    pub seconds: f64,
}

/// Number of profiles; the fastest counts.
const PROFILES: usize = 7;
/// Maximum rows of synthetic data.
const ROWS: usize = 8192;
/// Maximum numbers of synthetic data.
const NUMBERS: usize = 1 << 21;

/// A network and its batch.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Shown to users, and matched by the pattern.
    pub name: String,
    batch: usize,
    config: ModelConfig,
    /// Image shape `[C, H, W]`, or the number of features.
    input: Input,
    outputs: usize,
    loss: Loss,
}

#[derive(Clone, Copy, Debug)]
enum Input {
    Features(usize),
    Image(ImageShape),
    Sequence(SequenceShape),
    Text(TextShape),
}

impl Input {
    fn width(self) -> usize {
        match self {
            Self::Features(features) => features,
            Self::Image(ImageShape { channels, height, width }) => channels * height * width,
            Self::Sequence(SequenceShape { length, width }) => length * width,
            Self::Text(TextShape { length, .. }) => length,
        }
    }
}

/// The measured steps, all with Adam: Dense 64-128-64-1 with ReLU and MSE; a CNN of two convolutions; a
/// residual network; a tanh recurrent network and an LSTM; the variational autoencoder of PyTorch's examples; an
/// adversarial pair with gradient penalty; a transformer of text and one of images.
pub fn all() -> Vec<Workload> {
    let mlp = |batch: usize| Workload {
        name: format!("mlp 64-128-64-1, batch {batch}"),
        batch,
        config: ModelConfig { hidden: vec![128, 64], ..ModelConfig::default() },
        input: Input::Features(64),
        outputs: 1,
        loss: Loss::Mse {},
    };
    let image = |channels, side| Input::Image(ImageShape { channels, height: side, width: side });
    let network = |name: &str, batch, layers, input| Workload {
        name: format!("{name}, batch {batch}"),
        batch,
        config: ModelConfig { layers, family: Family::Cnn, ..ModelConfig::default() },
        input,
        outputs: 10,
        loss: Loss::CrossEntropy { label_smoothing: 0.0, class_weights: ClassWeights::default() },
    };
    let recurrent = |name: &str, cell| Workload {
        name: format!("{name} 32-256-1 of 64 steps, batch 64"),
        batch: 64,
        config: ModelConfig {
            family: Family::Rnn,
            cell: Some(cell),
            hidden: vec![256],
            ..ModelConfig::default()
        },
        input: Input::Sequence(SequenceShape { length: 64, width: 32 }),
        outputs: 1,
        loss: Loss::Mse {},
    };
    let transformer = |name: &str, batch, [width, blocks]: [usize; 2], input, outputs| Workload {
        name: format!("{name}, batch {batch}"),
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
        outputs,
        loss: Loss::CrossEntropy { label_smoothing: 0.0, class_weights: ClassWeights::default() },
    };
    let text = Input::Text(TextShape { length: 64, vocabulary: 77 });
    vec![
        transformer("gpt 4x128 of 64 characters", 64, [128, 4], text, 0),
        transformer("vit 3x64 of 1x8x8", 32, [64, 3], image(1, 8), 10),
        recurrent("rnn", Cell::Tanh),
        recurrent("lstm", Cell::Lstm),
        mlp(32),
        mlp(1024),
        network("cnn 32-64 of 1x28x28", 64, convolutional_layers(), image(1, 28)),
        network("resnet 16-32-64 of 3x32x32", 32, residual_layers(), image(3, 32)),
        Workload {
            name: "vae 784-400-20, batch 128".into(),
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

/// Measures the training step of `workload`.
///
/// # Errors
/// If the device fails.
pub fn measure(device: &dyn Device, workload: &Workload) -> Result<StepMeasurement, TrainError> {
    let Workload { name, batch, config, input, outputs, loss } = workload;
    let batch = *batch;
    let table = workload.data();
    let rows = table.rows;
    let (sequence, image) = match *input {
        Input::Features(_) | Input::Text(_) => (None, None),
        Input::Image(image) => (None, Some(image)),
        Input::Sequence(sequence) => (Some(sequence), None),
    };
    let inputs = Inputs { features: input.width(), sequence, image, ..Inputs::default() };
    let optimizer = Optimizer::default();
    let opponent = Opponent { optimizer: optimizer.clone(), rate: 1.0, clip_norm: None, bound: None };
    let vae = Vae::new(config, inputs.features, image, *outputs);
    let gan = Gan::new(config, inputs.features, image, *outputs, opponent);
    let model: Box<dyn Model> = match (vae, gan, *input) {
        (Some(vae), _, _) => Box::new(vae),
        (None, Some(gan), _) => Box::new(gan),
        (None, None, Input::Text(text)) => Box::new(Language::new(config, text, loss.clone())),
        (None, None, _) => Box::new(Supervised::new(config, inputs, *outputs, loss.clone())),
    };
    let training = Training {
        data: &table,
        batch,
        accumulate: 1,
        noise: 0.0,
        images: None,
        optimizer: optimizer.clone(),
        decay: crate::optim::Decay::Weights,
        clip_norm: None,
        groups: vec![],
        recompute: Recompute::Off,
        precision: Precision::Single,
    };
    let mut engine = Engine::new(device, &*model, Some(&training), &table)?;
    engine.initialise([1, 0])?;
    engine.set_order(0, &(0..rows as u32).collect::<Vec<_>>())?;
    let together = batch * config.batches_per_step();
    let record = |at: usize| StepRecord {
        step: at as u32,
        batch_start: (at * together) as u32,
        learning_rate: 1e-3,
        optimizer: optimizer.scalars(at as u64 + 1),
        ..StepRecord::default()
    };
    let records: Vec<StepRecord> = (0..rows / together).map(record).collect();
    let seconds = fastest_of(&mut |count| {
        let mut steps: Vec<StepRecord> = records.iter().copied().cycle().take(count).collect();
        engine.run_steps(&mut steps)
    })?;
    let phases: Vec<usize> = engine.step().into_iter().map(|(phase, _)| phase).collect();
    let mut kernels: Vec<KernelTime> = phases
        .iter()
        .flat_map(|&phase| engine.compiled.program.phases[phase].launches())
        .map(|launch| {
            let joined =
                |of: &dyn Fn(&Dispatch) -> String| launch.iter().map(of).collect::<Vec<_>>().join(" | ");
            KernelTime {
                name: joined(&|d| d.kernel.name().into()),
                shape: joined(&|d| d.kernel.shape()),
                layer: joined(&|d| d.label.clone()),
                seconds: f64::INFINITY,
            }
        })
        .collect();
    for _ in 0..PROFILES {
        let mut profile = vec![];
        for &phase in &phases {
            profile.extend(engine.session().profile(phase, &records[0])?);
        }
        for (kernel, seconds) in kernels.iter_mut().zip(profile) {
            kernel.seconds = kernel.seconds.min(seconds);
        }
    }
    Ok(StepMeasurement { name: name.clone(), steps_per_second: 1.0 / seconds, kernels })
}

impl Workload {
    /// Normal random numbers, and targets to match the network; for what learns the features, black and white pixels,
    /// a quarter of them white.
    fn data(&self) -> Dataset {
        let width = self.input.width();
        let rows = (NUMBERS / width / self.batch * self.batch).clamp(self.batch, ROWS);
        if let Input::Text(TextShape { length, vocabulary }) = self.input {
            let symbol = |i: usize| rng::word([1, 0], 0, 0, i as u32) % vocabulary as u32;
            let symbols = (0..=rows * length).map(symbol).collect();
            return Dataset { rows, text: Some(Text { length, vocabulary, symbols }), ..Dataset::default() };
        }
        let normal = |stream: u32, i: usize| rng::normal(rng::word([1, 0], stream, 0, i as u32));
        let pixel = |i: usize| f32::from(u8::from(rng::word([1, 0], 0, 0, i as u32) < 1 << 30));
        let learns_features = matches!(self.loss, Loss::Elbo {} | Loss::Adversarial {});
        let target = match self.loss.wants_labels() {
            _ if learns_features => None,
            true => Some(Target::Labels((0..rows).map(|i| (i % self.outputs) as u32).collect())),
            false => Some(Target::Numbers((0..rows).map(|i| normal(1, i)).collect())),
        };
        Dataset {
            rows,
            features: (0..width).map(|c| format!("x{c}")).collect(),
            x: (0..rows * width).map(|i| if learns_features { pixel(i) } else { normal(0, i) }).collect(),
            categories: vec![],
            target,
            source_rows: (0..rows).collect(),
            ..Dataset::default()
        }
    }
}
