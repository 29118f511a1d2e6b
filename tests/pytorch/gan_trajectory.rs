//! The adversarial pairs of gan.py in this folder, trained here and compared with PyTorch's losses.

use std::collections::BTreeMap;

use gridlight::base::image::ImageShape;
use gridlight::base::step::StepRecord;
use gridlight::data::{Dataset, Target};
use gridlight::device::Device;
use gridlight::nn::config::ModelConfig;
use gridlight::nn::{Gan, Model, Opponent};
use gridlight::optim::{Adam, Optimizer, RmsProp};
use gridlight::train::engine::{Engine, Training};

const ROWS: usize = 48;
const BATCH: usize = 8;
const SEED: u32 = 7;

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

fn adam(betas: [f64; 2]) -> Optimizer {
    Adam { betas, ..Adam::default() }.into()
}

/// A pair: its keys, the optimizers of generator and discriminator, and the discriminator's learning rate relative
/// to 1e-3, the generator's.
type Case = (&'static str, &'static str, [Optimizer; 2], f64, Option<f64>);

fn cases() -> Vec<Case> {
    let dcgan = || [adam([0.5, 0.999]), adam([0.5, 0.999])];
    vec![
        (
            "original",
            "gan_loss = \"original\"\nhidden = [16]\n[[discriminator]]\ntype = \"conv2d\"\nchannels = 4\nkernel = 4\n\
             stride = 2\npadding = 1\n[[discriminator]]\ntype = \"activation\"\nfunction = \"leaky_relu\"\n\
             slope = 0.2\n[[discriminator]]\ntype = \"flatten\"\n",
            dcgan(),
            1.0,
            None,
        ),
        (
            "least_squares",
            "gan_loss = \"least_squares\"\nconditional = true\nchannels = [4]\nhidden = []\ngenerator = [\n\
             { type = \"dense\", units = 16 },\n{ type = \"activation\", function = \"relu\" }]\n",
            [adam([0.5, 0.999]), adam([0.9, 0.999])],
            4.0,
            None,
        ),
        (
            "wasserstein",
            "gan_loss = \"wasserstein\"\nclip = 0.05\ncritic_steps = 3\nhidden = [16]\ndiscriminator = [\n\
             { type = \"flatten\" }, { type = \"dense\", units = 16 },\n\
             { type = \"activation\", function = \"leaky_relu\", slope = 0.2 }]\n",
            [RmsProp::default().into(), RmsProp::default().into()],
            1.0,
            Some(0.05),
        ),
        (
            "wasserstein_gp",
            "gan_loss = \"wasserstein_gp\"\ncritic_steps = 2\ngenerator = [\n{ type = \"dense\", units = 32 },\n\
             { type = \"batch_norm\" },\n{ type = \"activation\", function = \"relu\" },\n\
             { type = \"unflatten\", shape = [2, 4, 4] },\n\
             { type = \"conv_transpose2d\", channels = 1, kernel = 4, stride = 2, padding = 1 }]\ndiscriminator = [\n\
             { type = \"conv2d\", channels = 4, kernel = 4, stride = 2, padding = 1 },\n\
             { type = \"activation\", function = \"leaky_relu\", slope = 0.2 },\n{ type = \"flatten\" },\n\
             { type = \"layer_norm\" },\n{ type = \"dense\", units = 8 },\n\
             { type = \"activation\", function = \"leaky_relu\", slope = 0.2 }]\n",
            [adam([0.0, 0.9]), adam([0.0, 0.9])],
            1.0,
            None,
        ),
        (
            "spectral",
            "gan_loss = \"original\"\nspectral_norm = true\ncritic_steps = 2\nhidden = [16]\ndiscriminator = [\n\
             { type = \"conv2d\", channels = 4, kernel = 4, stride = 2, padding = 1 },\n\
             { type = \"activation\", function = \"leaky_relu\", slope = 0.2 },\n\
             { type = \"conv2d\", channels = 6, kernel = 3, padding = 1 },\n\
             { type = \"activation\", function = \"leaky_relu\", slope = 0.2 },\n{ type = \"flatten\" }]\n",
            dcgan(),
            1.0,
            None,
        ),
    ]
}

/// Images in 0..1, of three classes.
fn data() -> Dataset {
    let x: Vec<f32> = numbers(ROWS * 64, 2, 1.0).into_iter().map(|x| (x + 1.0) / 2.0).collect();
    Dataset {
        rows: ROWS,
        features: (0..64).map(|i| format!("x{i}")).collect(),
        x,
        target: Some(Target::Labels(integers(ROWS, 3).into_iter().map(|x| (x % 3) as u32).collect())),
        source_rows: (0..ROWS).collect(),
        ..Dataset::default()
    }
}

/// The weights of gan.py, and averages of 0.
fn weights(model: &dyn Model) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let graph = model.graph(BATCH, true).expect("a graph");
    let mut shapes: Vec<(String, Vec<usize>)> =
        graph.parameters.iter().map(|p| (p.name.clone(), p.shape.clone())).collect();
    shapes.sort();
    let fill = |(at, (name, shape)): (usize, (String, Vec<usize>))| {
        let data = numbers(shape.iter().product(), 100 + at as u64, 0.3);
        (name, shape, data)
    };
    let states = graph.states.iter().map(|state| {
        let count = state.shape.iter().product();
        (state.name.clone(), state.shape.clone(), vec![state.initial; count])
    });
    shapes.into_iter().enumerate().map(fill).chain(states.collect::<Vec<_>>()).collect()
}

/// An engine with the pair of a case, and the number of rows that a step reads.
fn engine(device: &dyn Device, case: &Case, data: &Dataset) -> (Engine, usize) {
    let (_, keys, [own, others], rate, bound) = case;
    let text = format!("family = \"gan\"\nlatent = 4\noutput = \"sigmoid\"\nkernel = 4\n{keys}");
    let config: ModelConfig = toml::from_str(&text).expect("a model table");
    let image = ImageShape { channels: 1, height: 8, width: 8 };
    let opponent = Opponent { optimizer: others.clone(), rate: *rate, clip_norm: None, bound: *bound };
    let gan = Gan::new(&config, 64, Some(image), 3, opponent).expect("a pair");
    let training = Training::new(data, BATCH, own.clone());
    let mut engine = Engine::new(device, &gan, Some(&training), data).expect("an engine");
    engine.restore(&weights(&gan), false).expect("PyTorch's names and shapes");
    engine.set_order(0, &(0..ROWS as u32).collect::<Vec<u32>>()).expect("an order");
    (engine, BATCH * gan.settings.critic_steps)
}

/// Losses of generator and discriminator in each of `rounds` rounds.
fn play(device: &dyn Device, case: &Case, rounds: u32) -> (Vec<[f32; 2]>, Engine) {
    let data = data();
    let (mut engine, rows) = engine(device, case, &data);
    let mut found = vec![];
    for step in 1..=rounds {
        let mut record = [StepRecord {
            step,
            batch_start: (rows * ((step as usize - 1) % (ROWS / rows))) as u32,
            seed_low: SEED,
            learning_rate: 1e-3,
            optimizer: engine.optimizer_scalars(u64::from(step)),
            loss_weight: (step as f32 - 1.0) / (step as f32 + 9.0),
            ..StepRecord::default()
        }];
        let losses = engine.train(&mut record).expect("a step");
        found.push([losses[0], engine.opponent_losses()[0]]);
    }
    (found, engine)
}

/// Trains each pair and compares both losses of each of 50 rounds, with `tolerance` relative to at least 0.1.
pub fn check_pairs(device: &dyn Device, tolerance: f64) -> Result<(), String> {
    let figures: BTreeMap<String, Vec<[f64; 2]>> =
        serde_json::from_str(include_str!("gan.json")).map_err(|e| e.to_string())?;
    for case in cases() {
        let expected = figures.get(case.0).ok_or("no figures of this name")?;
        let (found, _) = play(device, &case, expected.len() as u32);
        for (step, (found, expected)) in found.iter().zip(expected).enumerate() {
            for (part, (found, expected)) in
                ["generator", "discriminator"].iter().zip(found.iter().zip(expected))
            {
                let error = (f64::from(*found) - expected).abs() / expected.abs().max(0.1);
                if error > tolerance || !found.is_finite() {
                    return Err(format!(
                        "{} on {}, step {}: loss of the {part} {found}, PyTorch {expected}: relative error {error:.2e}",
                        case.0,
                        device.info().name,
                        step + 1
                    ));
                }
            }
        }
    }
    Ok(())
}

/// The bits of everything that a checkpoint keeps of each pair after a few rounds.
#[allow(dead_code, reason = "each test binary compiles this module, not all need it")]
pub fn bits(device: &dyn Device) -> Vec<(String, Vec<u32>)> {
    let mut all = vec![];
    for case in cases() {
        let (_, mut engine) = play(device, &case, 3);
        let mut tensors = engine.weights().expect("weights");
        tensors.extend(engine.optimizer_state().expect("state"));
        for (name, _, data) in tensors {
            all.push((format!("{} {name}", case.0), data.into_iter().map(f32::to_bits).collect()));
        }
    }
    all
}
