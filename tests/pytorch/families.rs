//! The networks of families.py in this folder: loss and gradients compared with PyTorch's.

use std::collections::BTreeMap;

use gridlight::base::image::ImageShape;
use gridlight::base::step::StepRecord;
use gridlight::data::{Dataset, Target};
use gridlight::device::Device;
use gridlight::nn::config::ModelConfig;
use gridlight::nn::inputs::{Inputs, PixelOutputs, SequenceShape};
use gridlight::nn::losses::{ClassWeights, Loss};
use gridlight::nn::{Model, Supervised};
use gridlight::optim::Optimizer;
use gridlight::train::checkpoint::NamedTensor;
use gridlight::train::engine::{Engine, Training};
use serde::Deserialize;

#[derive(Deserialize)]
struct Figures {
    loss: f64,
    gradients: BTreeMap<String, Gradient>,
}

/// The norm of a gradient, and its elements at eight places.
#[derive(Deserialize)]
struct Gradient {
    shape: Vec<usize>,
    norm: f64,
    some: Vec<f64>,
}

/// A network, and what it reads: rows, and channels, height and width of images or steps and values of sequences.
struct Network {
    name: &'static str,
    config: &'static str,
    rows: usize,
    shape: Vec<usize>,
    outputs: usize,
    /// Whether it is small enough for any device.
    small: bool,
}

/// `normed` has the convolution in groups and the normalisation of the AlexNet of 2012.
const NORMED: &str = r#"layer = [
    { type = "conv2d", channels = 12, padding = 1 },
    { type = "activation", function = "relu" },
    { type = "local_response_norm", size = 5, alpha = 0.5, beta = 0.75, k = 2.0 },
    { type = "max_pool", size = 3, stride = 2 },
    { type = "conv2d", channels = 16, padding = 1, groups = 2 },
    { type = "activation", function = "relu" },
    { type = "local_response_norm", size = 4, alpha = 0.3 },
    { type = "adaptive_pool", size = [2, 3] },
    { type = "flatten" },
]"#;

fn networks() -> [Network; 7] {
    let of = |name, config, rows, shape: &[usize], outputs, small| Network {
        name,
        config,
        rows,
        shape: shape.to_vec(),
        outputs,
        small,
    };
    [
        of("resnet18", "family = \"resnet\"", 3, &[3, 64, 64], 7, false),
        of("resnet50", "family = \"resnet\"\ndepth = 50", 2, &[3, 12, 12], 7, false),
        of("resnet20", "family = \"resnet\"\ndepth = 20", 4, &[3, 16, 16], 7, true),
        of("alexnet", "family = \"alexnet\"", 2, &[3, 70, 64], 7, false),
        of("tcn", "family = \"tcn\"\nchannels = [8, 8, 12]", 6, &[20, 3], 1, true),
        of("normed", NORMED, 3, &[4, 11, 14], 5, true),
        of("unet", "family = \"unet\"\nchannels = [6, 8, 12]", 2, &[3, 11, 14], 4, true),
    ]
}

/// The generator of families.py.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    const CYCLE: usize = 4099;
    let mut x = seed;
    let mut next = || {
        x = (1_103_515_245 * x + 12_345) % (1 << 31);
        (((x >> 16) % 128) as f32 - 64.0) / 64.0
    };
    let cycle: Vec<f32> = (0..count.min(CYCLE)).map(|_| next()).collect();
    cycle.iter().copied().cycle().take(count).collect()
}

/// The power of two at or below `sqrt(3 / fan)`.
fn power(fan: usize) -> f32 {
    let mut scale = 1.0f32;
    while f64::from(scale * scale) * fan as f64 > 3.0 {
        scale /= 2.0;
    }
    scale
}

/// The weights of families.py.
fn weights(figures: &Figures) -> Vec<NamedTensor> {
    let fill = |(at, (name, gradient)): (usize, (&String, &Gradient))| {
        let shape = gradient.shape.clone();
        let count = shape.iter().product();
        let scale = power(shape[1..].iter().product());
        let value = |x: f32| match () {
            () if name.ends_with("weight_g") => 1.0 + x / 2.0,
            () if shape.len() > 1 => x * scale,
            () if name.ends_with("bn3.weight") => 0.25 + x / 16.0,
            () if name.ends_with("weight") => 1.0 + x / 4.0,
            () => x / 4.0,
        };
        let data = numbers(count, 100 + at as u64).into_iter().map(value).collect();
        (name.clone(), shape, data)
    };
    figures.gradients.iter().enumerate().map(fill).collect()
}

fn model_and_data(network: &Network) -> (Supervised, Dataset) {
    let config: ModelConfig = toml::from_str(network.config).expect("a model table");
    let features: usize = network.shape.iter().product();
    let mut inputs = Inputs { features, ..Inputs::default() };
    match network.shape[..] {
        [channels, height, width] => inputs.image = Some(ImageShape { channels, height, width }),
        _ => inputs.sequence = Some(SequenceShape { length: network.shape[0], width: network.shape[1] }),
    }
    // A U-shaped network has outputs for each pixel.
    let pixels = match (network.name, inputs.image) {
        ("unet", Some(ImageShape { height, width, .. })) => {
            inputs.pixels = Some(PixelOutputs { size: [height, width], each: network.outputs });
            height * width
        }
        _ => 1,
    };
    let (loss, target) = match network.outputs {
        1 => (Loss::Mse {}, Target::Numbers(numbers(network.rows, 2))),
        outputs => {
            let labels = (0..network.rows * pixels).map(|i| ((3 * i + 1) % outputs) as u32).collect();
            let loss = Loss::CrossEntropy { label_smoothing: 0.0, class_weights: ClassWeights::default() };
            (loss, Target::Labels(labels))
        }
    };
    let data = Dataset {
        rows: network.rows,
        features: (0..features).map(|i| format!("x{i}")).collect(),
        x: numbers(network.rows * features, 1),
        target: Some(target),
        source_rows: (0..network.rows).collect(),
        targets: if pixels > 1 { pixels } else { 0 },
        ..Dataset::default()
    };
    (Supervised::new(&config, inputs, network.outputs * pixels, loss), data)
}

fn check(device: &dyn Device, network: &Network, figures: &Figures, tolerance: f64) -> Result<(), String> {
    let (model, data) = model_and_data(network);
    let training = Training::new(&data, network.rows, Optimizer::default());
    let mut engine = Engine::new(device, &model, Some(&training), &data).map_err(|e| e.to_string())?;
    engine.initialise([0, 0]).map_err(|e| e.to_string())?;
    // Statistics keep the values they start from; PyTorch's names and shapes are all that is restored.
    let mut all = weights(figures);
    let states = engine.weights().map_err(|e| e.to_string())?;
    all.extend(states.into_iter().filter(|(name, ..)| name.contains(".running_")));
    engine.restore(&all, false).map_err(|e| e.to_string())?;
    engine.set_order(0, &(0..network.rows as u32).collect::<Vec<u32>>()).map_err(|e| e.to_string())?;
    let mut steps = [StepRecord {
        step: 1,
        learning_rate: 1e-3,
        optimizer: engine.optimizer_scalars(1),
        ..StepRecord::default()
    }];
    let loss = engine.train(&mut steps).map_err(|e| e.to_string())?[0];
    let gradients = engine.last_gradients().map_err(|e| e.to_string())?;
    let fail = |what: String| Err(format!("{} on {}: {what}", network.name, device.info().name));
    let off = (f64::from(loss) - figures.loss).abs() / figures.loss.abs();
    if off.is_nan() || off > tolerance {
        return fail(format!("loss {loss}, PyTorch {}", figures.loss));
    }
    if gradients.len() != figures.gradients.len() {
        return fail(format!("{} gradients, PyTorch {}", gradients.len(), figures.gradients.len()));
    }
    let graph = model.graph(network.rows, true).map_err(|e| e.to_string())?;
    let largest = figures.gradients.values().map(|g| g.norm).fold(0.0, f64::max);
    let mut worst = (0.0, "");
    for (name, lying) in &gradients {
        let expected = &figures.gradients[name];
        let found = graph.arrangement(name).from_memory(lying.clone());
        let norm = found.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        // Gradients that cancel are rounding errors of the others.
        let measure = if expected.norm < 1e-6 * largest { largest } else { expected.norm };
        let element = |at: usize| f64::from(found[at * (found.len() - 1) / 7]);
        let deviations = expected.some.iter().enumerate().map(|(at, some)| {
            (element(at) - some).abs() / (some.abs() + measure / (found.len() as f64).sqrt())
        });
        let error = deviations.fold((norm - expected.norm).abs() / measure, f64::max);
        if error.is_nan() || error > tolerance {
            return fail(format!("gradient of {name}: relative error {error:.2e}"));
        }
        if error > worst.0 {
            worst = (error, name);
        }
    }
    println!(
        "{} on {}: largest relative error {:.1e}, of {}",
        network.name,
        device.info().name,
        worst.0,
        worst.1
    );
    Ok(())
}

/// Compares loss and gradients of each network, with relative `tolerance`; of the small ones alone if `small`.
pub fn check_families(device: &dyn Device, tolerance: f64, small: bool) -> Result<(), String> {
    let figures: BTreeMap<String, Figures> =
        serde_json::from_str(include_str!("families.json")).map_err(|e| e.to_string())?;
    for network in networks().iter().filter(|network| network.small || !small) {
        check(device, network, &figures[network.name], tolerance)?;
    }
    Ok(())
}
