//! The networks and data of transformer.py in this folder, trained here and compared with PyTorch's losses.

use std::collections::BTreeMap;

use gridlight::base::image::ImageShape;
use gridlight::base::step::StepRecord;
use gridlight::data::{Dataset, Target, Text};
use gridlight::device::Device;
use gridlight::nn::config::ModelConfig;
use gridlight::nn::inputs::{Inputs, SequenceShape, TextShape};
use gridlight::nn::losses::{ClassWeights, Loss};
use gridlight::nn::{Language, Model, Supervised};
use gridlight::optim::Optimizer;
use gridlight::train::engine::{Engine, Training};

const ROWS: usize = 24;
const BATCH: usize = 8;

/// The generator of transformer.py.
fn integers(count: usize, seed: u64) -> Vec<u64> {
    let mut x = seed;
    let mut next = || {
        x = (1_103_515_245 * x + 12_345) % (1 << 31);
        x >> 16
    };
    (0..count).map(|_| next()).collect()
}

fn numbers(count: usize, seed: u64, scale: f32) -> Vec<f32> {
    integers(count, seed).into_iter().map(|x| ((x % 128) as f32 - 64.0) / 64.0 * scale).collect()
}

fn model(text: &str) -> ModelConfig {
    toml::from_str(text).expect("a model table")
}

fn cross_entropy() -> Loss {
    Loss::CrossEntropy { label_smoothing: 0.0, class_weights: ClassWeights::default() }
}

fn text() -> (Box<dyn Model>, Dataset) {
    text_with("activation = \"gelu\"")
}

fn gated() -> (Box<dyn Model>, Dataset) {
    text_with("activation = \"swiglu\"\ntied = true")
}

fn text_with(keys: &str) -> (Box<dyn Model>, Dataset) {
    let config = model(&format!("family = \"transformer\"\nwidth = 16\nheads = 4\nblocks = 2\n{keys}"));
    let shape = TextShape { length: 12, vocabulary: 13 };
    let symbols = integers(ROWS * 12 + 1, 1).into_iter().map(|x| (x % 13) as u32).collect();
    let text = Some(Text { length: 12, vocabulary: 13, symbols });
    let data = Dataset { rows: ROWS, text, ..Dataset::default() };
    (Box::new(Language::new(&config, shape, cross_entropy())), data)
}

/// Rows of `x` with these targets.
fn rows(features: usize, x: Vec<f32>, target: Target) -> Dataset {
    Dataset {
        rows: ROWS,
        features: (0..features).map(|i| format!("x{i}")).collect(),
        x,
        target: Some(target),
        source_rows: (0..ROWS).collect(),
        ..Dataset::default()
    }
}

fn images() -> (Box<dyn Model>, Dataset) {
    let config = model("family = \"transformer\"\nwidth = 12\nheads = 3\nblocks = 2\nactivation = \"gelu\"");
    let image = Some(ImageShape { channels: 1, height: 8, width: 8 });
    let inputs = Inputs { features: 64, image, ..Inputs::default() };
    let labels = integers(ROWS, 3).into_iter().map(|x| (x % 5) as u32).collect();
    let data = rows(64, numbers(ROWS * 64, 2, 1.0), Target::Labels(labels));
    (Box::new(Supervised::new(&config, inputs, 5, cross_entropy())), data)
}

fn windows() -> (Box<dyn Model>, Dataset) {
    let config = model(
        r#"
        layer = [
            { type = "tokens", width = 16 },
            { type = "position", kind = "sinusoidal" },
            { type = "transformer", heads = 2, hidden = 24, dropout = 0.0 },
            { type = "attention", heads = 4 },
            { type = "global_pool" },
        ]"#,
    );
    let sequence = Some(SequenceShape { length: 9, width: 3 });
    let inputs = Inputs { features: 27, sequence, ..Inputs::default() };
    let data = rows(27, numbers(ROWS * 27, 4, 1.0), Target::Numbers(numbers(ROWS, 5, 1.0)));
    (Box::new(Supervised::new(&config, inputs, 1, Loss::Mse {})), data)
}

/// The weights of transformer.py.
fn weights(model: &dyn Model) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let graph = model.graph(BATCH, true).expect("a graph");
    let mut shapes: Vec<(String, Vec<usize>)> =
        graph.parameters.iter().map(|p| (p.name.clone(), p.shape.clone())).collect();
    shapes.sort();
    let fill = |(at, (name, shape)): (usize, (String, Vec<usize>))| {
        let mut data = numbers(shape.iter().product(), 100 + at as u64, 0.3);
        if shape.len() == 1 && name.ends_with(".weight") {
            data.iter_mut().for_each(|x| *x += 1.0);
        }
        (name, shape, data)
    };
    shapes.into_iter().enumerate().map(fill).collect()
}

fn losses(device: &dyn Device, model: &dyn Model, data: &Dataset) -> Vec<f32> {
    let training = Training::new(data, BATCH, Optimizer::default());
    let mut engine = Engine::new(device, model, Some(&training), data).expect("an engine");
    engine.restore(&weights(model), false).expect("PyTorch's names and shapes");
    engine.set_order(0, &(0..ROWS as u32).collect::<Vec<u32>>()).expect("an order");
    let mut found = vec![];
    for step in 1..=50u32 {
        let mut record = [StepRecord {
            step,
            batch_start: BATCH as u32 * ((step - 1) % 3),
            learning_rate: 3e-3,
            optimizer: engine.optimizer_scalars(u64::from(step)),
            ..StepRecord::default()
        }];
        found.extend(engine.train(&mut record).expect("a step"));
    }
    found
}

/// Trains each network and compares each of 50 losses, with relative `tolerance`.
pub fn check_transformers(device: &dyn Device, tolerance: f64) -> Result<(), String> {
    let figures: BTreeMap<String, Vec<f64>> =
        serde_json::from_str(include_str!("transformer.json")).map_err(|e| e.to_string())?;
    for (name, (model, data)) in
        [("text", text()), ("gated", gated()), ("images", images()), ("windows", windows())]
    {
        let found = losses(device, &*model, &data);
        let expected = figures.get(name).ok_or("no figures of this name")?;
        for (step, (found, expected)) in found.iter().zip(expected).enumerate() {
            let error = (f64::from(*found) - expected).abs() / expected.abs();
            if error > tolerance || !found.is_finite() {
                return Err(format!(
                    "{name} on {}, step {}: loss {found}, PyTorch {expected}: relative error {error:.2e}",
                    device.info().name,
                    step + 1
                ));
            }
        }
        if expected.len() != found.len() {
            return Err(format!("{name}: {} losses, PyTorch has {}", found.len(), expected.len()));
        }
    }
    Ok(())
}
