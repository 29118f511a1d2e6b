//! The network and data of make.py in this folder, trained here and compared with PyTorch's losses.

use std::collections::BTreeMap;

use gridlight::base::step::StepRecord;
use gridlight::data::{Dataset, Target};
use gridlight::device::Device;
use gridlight::nn::Supervised;
use gridlight::nn::config::ModelConfig;
use gridlight::nn::inputs::Inputs;
use gridlight::nn::losses::Loss;
use gridlight::optim::{Adam, AdamW, Optimizer, RmsProp, Sgd};
use gridlight::train::engine::{Engine, Training};

/// The generator of tests/pytorch/make.py.
fn numbers(count: usize, seed: u64, scale: f32) -> Vec<f32> {
    let mut x = seed;
    let mut next = || {
        x = (1_103_515_245 * x + 12_345) % (1 << 31);
        (((x >> 16) % 128) as f32 - 64.0) / 64.0 * scale
    };
    (0..count).map(|_| next()).collect()
}

fn optimizers() -> Vec<(&'static str, Optimizer, f64, Option<f64>)> {
    let sgd = |momentum, dampening, nesterov, weight_decay| {
        Sgd { momentum, dampening, nesterov, weight_decay }.into()
    };
    vec![
        ("adam", Optimizer::default(), 1e-3, None),
        ("adam_decay", Adam { betas: [0.8, 0.99], eps: 1e-8, weight_decay: 0.1 }.into(), 1e-2, None),
        ("adamw", AdamW { weight_decay: 0.1, ..AdamW::default() }.into(), 1e-2, None),
        ("sgd", sgd(0.0, 0.0, false, 0.0), 1e-2, None),
        ("sgd_momentum", sgd(0.9, 0.5, false, 0.01), 1e-2, None),
        ("sgd_nesterov", sgd(0.9, 0.0, true, 0.0), 1e-2, None),
        ("rmsprop", Optimizer::named("rmsprop").unwrap(), 1e-3, None),
        (
            "rmsprop_centered",
            RmsProp { momentum: 0.5, centered: true, ..RmsProp::default() }.into(),
            1e-3,
            None,
        ),
        ("sgd_clipped", sgd(0.0, 0.0, false, 0.0), 1e-1, Some(0.5)),
    ]
}

fn losses(device: &dyn Device, optimizer: &Optimizer, rate: f64, clip_norm: Option<f64>) -> Vec<f32> {
    let data = Dataset {
        rows: 64,
        features: (0..8).map(|i| format!("x{i}")).collect(),
        x: numbers(512, 1, 1.0),
        categories: vec![],
        target: Some(Target::Numbers(numbers(64, 2, 1.0))),
        source_rows: (0..64).collect(),
        ..Dataset::default()
    };
    let config = ModelConfig { hidden: vec![16, 8], ..ModelConfig::default() };
    let model = Supervised::new(&config, Inputs { features: 8, ..Inputs::default() }, 1, Loss::Mse {});
    let training = Training { clip_norm, ..Training::new(&data, 16, optimizer.clone()) };
    let mut engine = Engine::new(device, &model, Some(&training), &data).unwrap();
    let sizes = [8, 16, 8, 1];
    let mut weights = vec![];
    for i in 0..3 {
        let (inputs, outputs) = (sizes[i], sizes[i + 1]);
        let weight = numbers(inputs * outputs, 10 + i as u64, 0.5);
        weights.push((format!("{}.weight", 2 * i), vec![outputs, inputs], weight));
        weights.push((format!("{}.bias", 2 * i), vec![outputs], numbers(outputs, 20 + i as u64, 0.5)));
    }
    engine.restore(&weights, false).unwrap();
    engine.set_order(0, &(0..64).collect::<Vec<u32>>()).unwrap();
    let mut found = vec![];
    for first in (0..200u32).step_by(4) {
        let record = |i: u32| StepRecord {
            step: first + i + 1,
            batch_start: 16 * i,
            learning_rate: rate as f32,
            optimizer: engine.optimizer_scalars(u64::from(first + i + 1)),
            ..StepRecord::default()
        };
        let mut steps: Vec<StepRecord> = (0..4).map(record).collect();
        found.extend(engine.train(&mut steps).unwrap());
    }
    found
}

/// Trains with every optimizer and compares each of 200 losses, with relative `tolerance`.
pub fn check_all(device: &dyn Device, tolerance: f64) -> Result<(), String> {
    for (name, optimizer, rate, clip) in optimizers() {
        check(device, name, &losses(device, &optimizer, rate, clip), tolerance)?;
    }
    Ok(())
}

fn check(device: &dyn Device, name: &str, losses: &[f32], tolerance: f64) -> Result<(), String> {
    let figures: BTreeMap<String, Vec<f64>> =
        serde_json::from_str(include_str!("trajectories.json")).map_err(|e| e.to_string())?;
    let expected = figures.get(name).ok_or("no figures of this name")?;
    for (step, (found, expected)) in losses.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs() / expected.abs();
        if error > tolerance || !found.is_finite() {
            return Err(format!(
                "{name} on {}, step {}: loss {found}, PyTorch {expected}: relative error {error:.2e}",
                device.info().name,
                step + 1
            ));
        }
    }
    Ok(())
}
