//! The autoencoder and images of vae.py in this folder, trained here and compared with PyTorch's figures.

use gridlight::base::step::StepRecord;
use gridlight::data::Dataset;
use gridlight::device::Device;
use gridlight::nn::Vae;
use gridlight::nn::config::variational::Decoder;
use gridlight::nn::config::{Family, ModelConfig};
use gridlight::nn::model::ModelGraph;
use gridlight::nn::vae::{KL, RECONSTRUCTION};
use gridlight::optim::Optimizer;
use gridlight::train::checkpoint::NamedTensor;
use gridlight::train::engine::{Engine, Training};
use serde::Deserialize;

use super::image_trajectory::{numbers, power};

const IMAGES: usize = 128;
const SIDE: usize = 28;
const BATCH: usize = 32;

/// The contents of vae.json.
#[derive(Deserialize)]
struct Figures {
    losses: Vec<f64>,
    before: [f64; 2],
    after: [f64; 2],
    gradients: Vec<[f64; 2]>,
}

/// The images of vae.py.
fn images() -> Dataset {
    let pixel = |number: usize, at: usize| {
        let bar = (at / SIDE + 2 * (at % SIDE) + 3 * number) / 6;
        if bar.is_multiple_of(3 + number % 3) { 1.0 } else { 0.125 }
    };
    Dataset {
        rows: IMAGES,
        features: (0..SIDE * SIDE).map(|i| format!("x{i}")).collect(),
        x: (0..IMAGES).flat_map(|number| (0..SIDE * SIDE).map(move |at| pixel(number, at))).collect(),
        source_rows: (0..IMAGES).collect(),
        ..Dataset::default()
    }
}

fn model() -> Vae {
    let config = ModelConfig {
        family: Family::Vae,
        hidden: vec![400],
        latent: Some(20),
        decoder: Some(Decoder::Bernoulli),
        ..ModelConfig::default()
    };
    Vae::new(&config, SIDE * SIDE, None, 0).unwrap()
}

/// Weights and biases in order, initialised as in vae.py.
fn filled(first: Vec<NamedTensor>) -> Vec<NamedTensor> {
    let mut fan = 1;
    let fill = |(at, (name, shape, data)): (usize, NamedTensor)| {
        if shape.len() > 1 {
            fan = shape[1];
        }
        (name, shape, numbers(data.len(), 100 + at as u64, power(fan)))
    };
    first.into_iter().enumerate().map(fill).collect()
}

fn record(engine: &Engine, step: u32) -> StepRecord {
    StepRecord {
        step: step + 1,
        batch_start: BATCH as u32 * (step % 4),
        learning_rate: 1e-3,
        optimizer: engine.optimizer_scalars(u64::from(step + 1)),
        ..StepRecord::default()
    }
}

/// Means of the parts of the loss over all images, with the noise of step 0.
fn parts(engine: &mut Engine) -> [f64; 2] {
    let predictions = engine.evaluate().unwrap();
    [RECONSTRUCTION, KL].map(|name| {
        let rows = predictions.part(name).unwrap();
        rows.iter().map(|&x| f64::from(x)).sum::<f64>() / rows.len() as f64
    })
}

/// Tracks the largest relative error and what it belongs to. NaN counts as the largest.
struct Worst(f64, String);

impl Worst {
    fn compare(&mut self, what: &str, found: f64, expected: f64, scale: f64) {
        let error = (found - expected).abs() / scale.abs();
        if error.is_nan() || error > self.0 {
            let error = if error.is_nan() { f64::INFINITY } else { error };
            *self = Self(error, format!("{what} is {found}, PyTorch's {expected}"));
        }
    }
}

/// Trains the autoencoder for 100 steps and compares losses, their parts and the first gradients, with
/// relative `tolerance`.
pub fn check_autoencoder(device: &dyn Device, tolerance: f64) -> Result<(), String> {
    let figures: Figures = serde_json::from_str(include_str!("vae.json")).map_err(|e| e.to_string())?;
    let (data, model) = (images(), model());
    let training = Training::new(&data, BATCH, Optimizer::default());
    let order: Vec<u32> = (0..IMAGES as u32).collect();
    let mut worst = Worst(0.0, String::new());

    // A single step whose gradients are kept.
    let gradients = |graph: &ModelGraph| graph.gradients.clone();
    let mut engine = Engine::watching(device, &model, Some(&training), &data, &gradients).unwrap();
    let weights = filled(engine.weights().unwrap());
    engine.restore(&weights, false).unwrap();
    engine.set_order(0, &order).unwrap();
    let mut first = [record(&engine, 0)];
    engine.train(&mut first).unwrap();
    let results = engine.results(0).unwrap();
    for (at, (weight, expected)) in weights.iter().zip(&figures.gradients).enumerate() {
        let (_, found) =
            results.iter().find(|(name, _)| *name == weight.0).ok_or("no gradient of this name")?;
        let pattern = numbers(found.len(), 200 + at as u64, 1.0);
        let length = found.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        let product: f64 = found.iter().zip(&pattern).map(|(&g, &p)| f64::from(g) * f64::from(p)).sum();
        worst.compare(&format!("length of the gradient of {}", weight.0), length, expected[0], expected[0]);
        // The signs differ, so the sum is less informative than its terms.
        worst.compare(
            &format!("product with the gradient of {}", weight.0),
            product,
            expected[1],
            expected[0],
        );
    }

    let mut engine = Engine::new(device, &model, Some(&training), &data).unwrap();
    engine.restore(&weights, false).unwrap();
    engine.set_order(0, &order).unwrap();
    let compare_parts = |when: &str, found: [f64; 2], expected: [f64; 2], worst: &mut Worst| {
        for (at, name) in [RECONSTRUCTION, KL].into_iter().enumerate() {
            worst.compare(&format!("{name} {when}"), found[at], expected[at], expected[at]);
        }
    };
    compare_parts("before", parts(&mut engine), figures.before, &mut worst);
    for (step, &expected) in figures.losses.iter().enumerate() {
        let mut one = [record(&engine, step as u32)];
        let found = f64::from(engine.train(&mut one).unwrap()[0]);
        worst.compare(&format!("loss of step {}", step + 1), found, expected, expected);
    }
    compare_parts("after", parts(&mut engine), figures.after, &mut worst);
    println!("autoencoder on {}: largest relative error {:.1e}: {}", device.info().name, worst.0, worst.1);
    if worst.0 > tolerance { Err(format!("relative error {:.2e}: {}", worst.0, worst.1)) } else { Ok(()) }
}
