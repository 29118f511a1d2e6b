//! Models and loops that programs write themselves, on the CPU backend.

use gridlight::device::cpu::CpuDevice;
use gridlight::graph::Source;
use gridlight::graph::expression::Workspace;
use gridlight::nn::init::Init;
use gridlight::nn::layers::{BatchNorm, Dense, Dropout};
use gridlight::optim::{Optimizer, Sgd};
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
