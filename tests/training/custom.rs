//! Models and loops that programs write themselves, on the CPU backend.

use gridlight::device::cpu::CpuDevice;
use gridlight::graph::Source;
use gridlight::graph::expression::Workspace;
use gridlight::nn::init::Init;
use gridlight::nn::layers::{BatchNorm, Dense, Dropout};
use gridlight::optim::{Lamb, Optimizer, Sgd};
use gridlight::train::custom::{Loop, Parameters, Phase, Recipe, Set};

use crate::examples;

fn device() -> CpuDevice {
    CpuDevice::new(Some(2))
}

#[test]
fn an_adversarial_network_draws_digits() {
    examples::an_adversarial_network_draws_digits(&device());
}

#[test]
fn a_custom_model_learns_quantiles() {
    examples::a_custom_model_learns_quantiles(&device());
}

#[test]
fn a_model_applied_twice_has_one_set_of_parameters() {
    let workspace = Workspace::new();
    let model = Parameters::new(&workspace, "model");
    let dense = Dense { units: 2, bias: false };
    let ones = workspace.constant(&[3, 4], &[1.0; 12]);
    let twos = workspace.constant(&[3, 4], &[2.0; 12]);
    let loss = (model.layer(0, &dense, &ones) - model.layer(0, &dense, &twos)).sum(&[0, 1]);
    let (graph, values) = workspace.finish(&[&loss]).unwrap();
    let sgd = || Optimizer::Sgd(Sgd::default());
    let recipe = Recipe::new()
        .set(Set::new("all", sgd(), 1.0).all(&model))
        .phase(Phase::of("train", graph).minimise(values[0], "all"));
    let mut training = Loop::new(&device(), &recipe).unwrap();
    training.set_parameter("model.0.weight", &[0.0; 8]).unwrap();
    training.run("train").unwrap();
    // The gradient of each weight is 3 (1 - 2).
    assert_eq!(training.parameter("model.0.weight").unwrap(), [3.0; 8]);
}

#[test]
fn a_parameter_has_one_shape() {
    let workspace = Workspace::new();
    let model = Parameters::new(&workspace, "model");
    let first = model.tensor("scale", &[2], Init::Constant(1.0));
    let again = model.tensor("scale", &[3], Init::Constant(1.0));
    let error = workspace.finish(&[&first, &again]).unwrap_err().to_string();
    assert!(error.contains("`model.scale` has the shape [2] elsewhere"), "{error}");
}

#[test]
fn wrong_keys_of_a_layer_are_an_error() {
    let workspace = Workspace::new();
    let model = Parameters::new(&workspace, "model");
    let x = workspace.constant(&[1, 1], &[1.0]);
    let y = model.layer(3, &Dropout { rate: 2.0 }, &x);
    let error = workspace.finish(&[&y]).unwrap_err().to_string();
    assert!(
        error.starts_with("model.3 (dropout): dropout(f32[1, 1]): = 2 must be at least 0 and below 1"),
        "{error}"
    );
}

#[test]
fn running_statistics_are_renewed() {
    let workspace = Workspace::new();
    let x = workspace.source(Source::Batch("x".into()), &[2, 1]);
    let model = Parameters::new(&workspace, "model");
    let norm = BatchNorm { momentum: 0.5, ..BatchNorm::default() };
    let loss = model.layer(0, &norm, &x).square().sum(&[0, 1]);
    let (graph, values) = workspace.finish(&[&loss]).unwrap();
    let recipe = Recipe::new()
        .set(Set::new("all", Optimizer::default(), 0.1).all(&model))
        .statistics(&model)
        .phase(Phase::of("train", graph).keep("loss", values[0]).renew_statistics(&model));
    let mut training = Loop::new(&device(), &recipe).unwrap();
    training.initialise(0).unwrap();
    training.run("train").unwrap();
    training.write_batch("train", "x", &[1.0, 3.0]).unwrap();
    training.run("train").unwrap();
    // From 0 (the first batch is of zeros) halfway to the mean, 2.
    assert_eq!(training.parameter("model.0.running_mean").unwrap(), [1.0]);
}

/// A dense layer that learns one row with LAMB, against the definition in `f64`.
#[test]
fn lamb_scales_the_steps_of_each_tensor() {
    const X: [f64; 3] = [1.0, -2.0, 0.5];
    const TARGET: [f64; 2] = [3.0, -1.0];
    const RATE: f64 = 0.05;
    for (always_adapt, weight_decay, clipped) in
        [(false, 0.1, false), (true, 0.1, true), (false, 0.0, false), (true, 0.0, false)]
    {
        let workspace = Workspace::new();
        let model = Parameters::new(&workspace, "model");
        let x = workspace.constant(&[1, 3], &X.map(|x| x as f32));
        let target = workspace.constant(&[1, 2], &TARGET.map(|y| y as f32));
        let loss = (model.layer(0, &Dense { units: 2, bias: true }, &x) - target).square().sum(&[0, 1]);
        let (graph, values) = workspace.finish(&[&loss]).unwrap();
        let lamb = Lamb { weight_decay, always_adapt, ..Lamb::default() };
        let mut set = Set::new("all", lamb.into(), RATE).all(&model);
        if clipped {
            set = set.clip_norm(2.0);
        }
        let recipe = Recipe::new().set(set).phase(Phase::of("train", graph).minimise(values[0], "all"));
        let mut training = Loop::new(&device(), &recipe).unwrap();
        // The bias starts at 0, where its ratio is 1.
        let mut w = [0.5, -0.25, 1.0, 0.125, 2.0, -1.0];
        let mut b = [0.0f64; 2];
        training.set_parameter("model.0.weight", &w.map(|w| w as f32)).unwrap();
        training.set_parameter("model.0.bias", &[0.0; 2]).unwrap();
        let mut state = [[0.0f64; 8]; 2];
        for step in 1..=30 {
            training.run("train").unwrap();
            let error = |k: usize, w: &[f64; 6], b: &[f64; 2]| {
                2.0 * ((0..3).map(|i| w[3 * k + i] * X[i]).sum::<f64>() + b[k] - TARGET[k])
            };
            let mut g = [0.0; 8];
            for k in 0..2 {
                for i in 0..3 {
                    g[3 * k + i] = error(k, &w, &b) * X[i];
                }
                g[6 + k] = error(k, &w, &b);
            }
            let norm = |values: &[f64]| values.iter().map(|x| x * x).sum::<f64>().sqrt();
            if clipped {
                let factor = (2.0 / (norm(&g) + 1e-6)).min(1.0);
                g.iter_mut().for_each(|g| *g *= factor);
            }
            let mut update = [0.0; 8];
            for at in 0..8 {
                state[0][at] = 0.9 * state[0][at] + 0.1 * g[at];
                state[1][at] = 0.999 * state[1][at] + 0.001 * g[at] * g[at];
                let mean = state[0][at] / (1.0 - 0.9f64.powi(step));
                let square = state[1][at] / (1.0 - 0.999f64.powi(step));
                let decay = if at < 6 { weight_decay * w[at] } else { 0.0 };
                update[at] = mean / (square.sqrt() + 1e-6) + decay;
            }
            let ratio = |weights: &[f64], update: &[f64], decays: bool| {
                let (weights, update) = (norm(weights), norm(update));
                let adapts = always_adapt || decays && weight_decay > 0.0;
                if adapts && weights > 0.0 && update > 0.0 { weights / update } else { 1.0 }
            };
            let ratios = [ratio(&w, &update[..6], true), ratio(&b, &update[6..], false)];
            (0..6).for_each(|at| w[at] -= RATE * ratios[0] * update[at]);
            (0..2).for_each(|at| b[at] -= RATE * ratios[1] * update[6 + at]);
            let found = [training.parameter("model.0.weight"), training.parameter("model.0.bias")];
            let found: Vec<f32> = found.into_iter().flat_map(Result::unwrap).collect();
            for (found, expected) in found.iter().zip(w.iter().chain(&b)) {
                assert!(
                    (f64::from(*found) - expected).abs() < 1e-4 * expected.abs().max(1.0),
                    "{always_adapt} {weight_decay} step {step}: {found}, {expected}"
                );
            }
        }
    }
}
