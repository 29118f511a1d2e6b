//! A layer and a loss of one's own: `cargo run --release --example custom_model`.
//!
//! Maxout units (Goodfellow et al. 2013, "Maxout Networks") and the quantile loss learn the lower decile, the
//! median and the upper decile of `y = sin(x) + noise` whose spread grows with `|x|`.

use gridlight::base::rng;
use gridlight::device::{Device, DeviceChoice, open::open};
use gridlight::graph::expression::{Expression, Workspace};
use gridlight::graph::{GraphError, Source, ValueId};
use gridlight::nn::init::Init;
use gridlight::nn::layers::{Dense, Layer, Place};
use gridlight::nn::network::Network;
use gridlight::optim::Adam;
use gridlight::train::custom::{Data, Loop, Parameters, Phase, Recipe, Set};

const ROWS: usize = 4096;
const BATCH: usize = 64;
const QUANTILES: [f32; 3] = [0.1, 0.5, 0.9];

/// `max_k (x W_k + b_k)` over `pieces` linear functions: `[B, in]` to `[B, units]`.
struct Maxout {
    units: usize,
    pieces: usize,
}

impl Layer for Maxout {
    fn name(&self) -> &'static str {
        "maxout"
    }

    fn check(&self) -> Result<(), String> {
        if self.units * self.pieces > 0 { Ok(()) } else { Err("units and pieces must be at least 1".into()) }
    }

    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let [batch, inputs] = net.rows("maxout", x)?;
        let (Self { units, pieces }, name) = (self, &place.name);
        let init = Init::Uniform { bound: 1.0 / (inputs as f32).sqrt() };
        let weight = net.parameter(format!("{name}.weight"), &[inputs, pieces * units], init, true)?;
        let bias = net.parameter(format!("{name}.bias"), &[pieces * units], init, false)?;
        net.graph.formula([x, weight, bias], |[x, weight, bias]| {
            (x.matmul(&weight) + bias).reshape(&[batch, *pieces, *units]).max(&[1])
        })
    }
}

/// `mean(max(q e, (q - 1) e))` with `e = y - prediction` (Koenker and Bassett 1978), over all quantiles.
fn quantile_loss(workspace: &Workspace, y: &Expression, predictions: &Expression) -> Expression {
    let q = workspace.constant(&[1, QUANTILES.len()], &QUANTILES);
    let error = y - predictions;
    (&q * &error).maximum((&q - 1.0) * &error).mean(&[0, 1])
}

/// `y` of each `x`: normal noise with deviation `0.1 + 0.2 |x|`.
fn noisy_sine(x: &[f32]) -> Vec<f32> {
    let noise = |i: usize| rng::normal(rng::word([7, 0], 1, 0, i as u32));
    x.iter().enumerate().map(|(i, x)| x.sin() + (0.1 + 0.2 * x.abs()) * noise(i)).collect()
}

/// Trains, and returns the part of fresh rows that lies below each predicted quantile.
pub fn train(device: &dyn Device) -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    let workspace = Workspace::new();
    let x = workspace.source(Source::Batch("x".into()), &[BATCH, 1]);
    let y = workspace.source(Source::Batch("y".into()), &[BATCH, 1]);
    let model = Parameters::new(&workspace, "model");
    let hidden = model.layer(0, &Maxout { units: 32, pieces: 4 }, &x);
    let predictions = model.layer(1, &Dense { units: QUANTILES.len(), bias: true }, &hidden);
    let loss = quantile_loss(&workspace, &y, &predictions);
    let (graph, values) = workspace.finish(&[&predictions, &loss])?;

    let recipe = Recipe::new()
        .set(Set::new("model", Adam::default().into(), 3e-3).all(&model))
        .data(Data::new("rows", ROWS).column("x", 1).column("y", 1).shuffled())
        .phase(
            Phase::of("train", graph.clone())
                .reads("rows", BATCH)
                .keep("loss", values[1])
                .minimise(values[1], "model"),
        )
        .phase(Phase::of("predict", graph).keep("predictions", values[0]));
    let mut training = Loop::new(device, &recipe)?;
    training.initialise(0)?;
    let drawn: Vec<f32> =
        (0..ROWS).map(|i| 6.0 * rng::uniform(rng::word([5, 0], 2, 0, i as u32)) - 3.0).collect();
    training.write_data("rows", "x", &drawn)?;
    training.write_data("rows", "y", &noisy_sine(&drawn))?;
    for step in 0..3000 {
        if step == 2000 {
            training.set_learning_rate("model", 3e-4)?;
        }
        training.run("train")?;
        if step % 500 == 0 {
            println!("step {step:4}: loss {:.4}", training.result("train", "loss")?[0]);
        }
    }

    let fresh: Vec<f32> = (0..BATCH).map(|i| 6.0 * (i as f32 + 0.5) / BATCH as f32 - 3.0).collect();
    training.write_batch("predict", "x", &fresh)?;
    training.run("predict")?;
    let predicted = training.result("predict", "predictions")?;
    let draws = 200;
    let mut below = vec![0.0; QUANTILES.len()];
    for draw in 0..draws {
        let noise = |i: usize| rng::normal(rng::word([11, draw], 1, 0, i as u32));
        for (i, x) in fresh.iter().enumerate() {
            let y = x.sin() + (0.1 + 0.2 * x.abs()) * noise(i);
            for (k, count) in below.iter_mut().enumerate() {
                *count += f64::from(u8::from(y < predicted[i * QUANTILES.len() + k]));
            }
        }
    }
    Ok(below.iter().map(|count| count / f64::from(draws) / BATCH as f64).collect())
}

#[allow(dead_code, reason = "tests call `train`")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = open(DeviceChoice::Auto, false)?;
    let below = train(&*device)?;
    for (quantile, part) in QUANTILES.iter().zip(below) {
        println!("{:4.1} % of fresh values lie below the predicted quantile {quantile}", 100.0 * part);
    }
    Ok(())
}
