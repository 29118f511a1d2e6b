//! The networks and images of images.py in this folder, trained here and compared with PyTorch's losses.

use std::collections::BTreeMap;

use gridlight::base::image::ImageShape;
use gridlight::base::step::StepRecord;
use gridlight::data::{Dataset, Target};
use gridlight::device::Device;
use gridlight::nn::Supervised;
use gridlight::nn::config::ModelConfig;
use gridlight::nn::inputs::Inputs;
use gridlight::nn::losses::Loss;
use gridlight::optim::Optimizer;
use gridlight::train::checkpoint::NamedTensor;
use gridlight::train::engine::{Engine, Training};

/// Number of images per batch.
const IMAGES: usize = 32;
const BATCH: usize = 8;

const CNN: &str = r#"layer = [
    { type = "conv2d", channels = 32 },
    { type = "activation", function = "relu" },
    { type = "conv2d", channels = 64 },
    { type = "activation", function = "relu" },
    { type = "max_pool" },
    { type = "flatten" },
    { type = "dense", units = 128 },
    { type = "activation", function = "relu" },
]"#;

const RESNET: &str = r#"layer = [
    { type = "conv2d", channels = 16, padding = 1, bias = false },
    { type = "batch_norm" },
    { type = "activation", function = "relu" },
    { type = "residual", channels = 16 },
    { type = "residual", channels = 32, stride = 2, shortcut_norm = false },
    { type = "residual", channels = 64, stride = 2, shortcut_norm = false },
    { type = "global_pool" },
]"#;

/// The generator of images.py.
pub fn numbers(count: usize, seed: u64, scale: f32) -> Vec<f32> {
    let mut x = seed;
    let mut next = || {
        x = (1_103_515_245 * x + 12_345) % (1 << 31);
        (((x >> 16) % 128) as f32 - 64.0) / 64.0 * scale
    };
    (0..count).map(|_| next()).collect()
}

/// The power of two at or below `sqrt(3 / fan)`.
pub fn power(fan: usize) -> f32 {
    let mut scale = 1.0f32;
    while f64::from(scale * scale) * fan as f64 > 3.0 {
        scale /= 2.0;
    }
    scale
}

/// The engine's initial weights, with those of convolutions and dense layers replaced as in images.py.
fn filled(first: Vec<NamedTensor>) -> Vec<NamedTensor> {
    let (mut seed, mut fan) = (100, 0);
    let fill = |(name, shape, data): NamedTensor| {
        let is_weight = shape.len() > 1;
        if is_weight {
            fan = shape[1..].iter().product();
        }
        // A bias follows its weight; those of normalisations are unchanged.
        let of_normalisation =
            shape.len() == 1 && (name.contains("bn") || name.starts_with("1.") && fan == 27);
        if of_normalisation || name.contains("running") {
            return (name, shape, data);
        }
        let data = numbers(data.len(), seed, power(fan));
        seed += 1;
        (name, shape, data)
    };
    first.into_iter().map(fill).collect()
}

fn losses(device: &dyn Device, layers: &str, image: ImageShape) -> Vec<f32> {
    let values = image.values();
    let data = Dataset {
        rows: IMAGES,
        features: (0..values).map(|i| format!("x{i}")).collect(),
        x: numbers(IMAGES * values, 1, 1.0),
        categories: vec![],
        target: Some(Target::Labels((0..IMAGES as u32).map(|i| (7 * i + i / 10) % 10).collect())),
        source_rows: (0..IMAGES).collect(),
        ..Dataset::default()
    };
    let config: ModelConfig = toml::from_str(layers).unwrap();
    let inputs = Inputs { features: values, image: Some(image), ..Inputs::default() };
    let loss = Loss::CrossEntropy {
        label_smoothing: 0.0,
        class_weights: gridlight::nn::losses::ClassWeights::default(),
    };
    let model = Supervised::new(&config, inputs, 10, loss);
    let optimizer = Optimizer::default();
    let training = Training::new(&data, BATCH, optimizer);
    let mut engine = Engine::new(device, &model, Some(&training), &data).unwrap();
    engine.initialise([0, 0]).unwrap();
    let weights = filled(engine.weights().unwrap());
    engine.restore(&weights, false).unwrap();
    engine.set_order(0, &(0..IMAGES as u32).collect::<Vec<u32>>()).unwrap();
    let mut found = vec![];
    for step in 0..50u32 {
        let mut steps = [StepRecord {
            step: step + 1,
            batch_start: BATCH as u32 * (step % 4),
            learning_rate: 1e-3,
            optimizer: engine.optimizer_scalars(u64::from(step + 1)),
            ..StepRecord::default()
        }];
        found.extend(engine.train(&mut steps).unwrap());
    }
    found
}

/// Trains both networks and compares each of 50 losses, with relative `tolerance`.
pub fn check_images(device: &dyn Device, tolerance: f64) -> Result<(), String> {
    let figures: BTreeMap<String, Vec<f64>> =
        serde_json::from_str(include_str!("image_trajectories.json")).map_err(|e| e.to_string())?;
    let small = ImageShape { channels: 1, height: 12, width: 12 };
    let coloured = ImageShape { channels: 3, height: 16, width: 16 };
    for (name, layers, image) in [("cnn", CNN, small), ("resnet", RESNET, coloured)] {
        let expected = figures.get(name).ok_or("no figures of this name")?;
        let found = losses(device, layers, image);
        let mut worst = (0.0, 0);
        for (step, (found, expected)) in found.iter().zip(expected).enumerate() {
            let error = (f64::from(*found) - expected).abs() / expected.abs();
            // A NaN loss must not pass the comparison.
            if error.is_nan() || error > worst.0 {
                worst = (if error.is_nan() { f64::INFINITY } else { error }, step + 1);
            }
        }
        println!(
            "{name} on {}: largest relative error {:.1e}, step {}",
            device.info().name,
            worst.0,
            worst.1
        );
        if worst.0 > tolerance || found.len() != expected.len() {
            let (error, step) = worst;
            let pair = (found[step.max(1) - 1], expected[step.max(1) - 1]);
            return Err(format!(
                "{name}, step {step}: (loss, PyTorch's) {pair:?}, relative error {error:.2e}"
            ));
        }
    }
    Ok(())
}
