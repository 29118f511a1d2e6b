//! Layers, losses, schedules and initial weights match PyTorch: the figures of tests/pytorch/layers.py,
//! compared with models built by `nn` and run as planned kernels on both backends.

use std::collections::BTreeMap;
use std::sync::Arc;

use gridlight::base::step::StepRecord;
use gridlight::base::tensor::Tensor;
use gridlight::device::Device;
use gridlight::graph::{Op, Source, ValueId, autodiff};
use gridlight::nn::config::ModelConfig;
use gridlight::nn::inputs::Inputs;
use gridlight::nn::layers::LayerConfig;
use gridlight::nn::losses::Loss;
use gridlight::nn::{Model, ModelGraph, Supervised};
use gridlight::optim::schedule::Schedule;
use gridlight::verify::{Case, relative_error, run};
use libtest_mimic::{Failed, Trial};
use serde::Deserialize;

use crate::everywhere;

/// Allowed error of an element, relative to it plus the root mean square of its tensor.
const TOLERANCE: f64 = 1e-5;

#[derive(Deserialize)]
struct Figures {
    cases: Vec<ModelCase>,
    schedules: Vec<ScheduleCase>,
    initial: Vec<Statistics>,
}

/// A model with all of its inputs, and PyTorch's results.
#[derive(Clone, Deserialize)]
struct ModelCase {
    name: String,
    layers: Vec<LayerConfig>,
    loss: Loss,
    batch: usize,
    features: usize,
    outputs: usize,
    categories: Vec<(String, usize)>,
    embedding_width: Option<usize>,
    training: bool,
    state_dict: Vec<(String, Vec<usize>)>,
    sources: BTreeMap<String, Given>,
    predictions: Given,
    loss_rows: Given,
    total: Given,
    gradients: BTreeMap<String, Given>,
    updates: BTreeMap<String, Given>,
}

#[derive(Clone, Deserialize)]
struct Given {
    shape: Vec<usize>,
    data: Vec<f64>,
}

#[derive(Clone, Deserialize)]
struct ScheduleCase {
    name: String,
    schedule: Schedule,
    steps_per_epoch: u64,
    rates: Vec<f64>,
}

/// A tensor of a newly initialised model.
#[derive(Clone, Deserialize)]
struct Statistics {
    name: String,
    shape: Vec<usize>,
    least: f64,
    most: f64,
    mean: f64,
    deviation: f64,
}

pub fn trials() -> Vec<Trial> {
    let text = include_str!("../pytorch/layers.json");
    let Figures { cases, schedules, initial } = serde_json::from_str(text).expect("figures of layers.py");
    let mut trials = vec![];
    for case in cases {
        let names = case.clone();
        trials.push(Trial::test(format!("state_dict::{}", case.name), move || Ok(state_dict(&names)?)));
        let name = format!("model::{}", case.name);
        trials.extend(everywhere::on_every_backend(&name, Arc::new(move |d: &dyn Device| agrees(&case, d))));
    }
    for case in schedules {
        trials.push(Trial::test(format!("schedule::{}", case.name), move || schedule(&case)));
    }
    trials
        .push(Trial::test("initial_weights_have_pytorchs_bounds_and_moments", move || initialised(&initial)));
    trials
}

impl Given {
    fn rms(&self) -> f64 {
        (self.data.iter().map(|x| x * x).sum::<f64>() / self.data.len() as f64).sqrt()
    }
}

impl ModelCase {
    fn graph(&self) -> Result<ModelGraph, String> {
        let config = ModelConfig { embedding_width: self.embedding_width, ..ModelConfig::default() };
        let inputs =
            Inputs { features: self.features, categories: self.categories.clone(), ..Inputs::default() };
        let mut model = Supervised::new(&config, inputs, self.outputs, self.loss.clone());
        // Only the given layers, without an output layer.
        model.layers = self.layers.clone();
        model.graph(self.batch, self.training).map_err(|e| e.to_string())
    }
}

/// Names and shapes of the trained tensors and running statistics; models here lack PyTorch's count of
/// batches.
fn state_dict(case: &ModelCase) -> Result<(), String> {
    let graph = case.graph()?;
    let parameters = graph.parameters.iter().map(|p| (p.name.clone(), p.shape.clone()));
    let states = graph.states.iter().map(|s| (s.name.clone(), s.shape.clone()));
    let found: BTreeMap<String, Vec<usize>> = parameters.chain(states).collect();
    let expected = case.state_dict.iter().filter(|(name, _)| !name.ends_with("num_batches_tracked"));
    let expected: BTreeMap<String, Vec<usize>> = expected.cloned().collect();
    if found != expected {
        return Err(format!("expected {expected:?}, found {found:?}"));
    }
    Ok(())
}

/// Predictions, losses, gradients of the input and of every weight, and new running statistics.
fn agrees(case: &ModelCase, device: &dyn Device) -> Result<(), String> {
    let ModelGraph { mut graph, predictions, loss_rows, loss, updates, parameters, .. } = case.graph()?;
    // PyTorch's tensors as the graph reads them.
    let lying = |name: &str, given: &Given| match parameters.iter().find(|p| p.name == name) {
        Some(p) if p.shape == given.shape => {
            let data = p.arrangement.to_memory(given.data.clone());
            Given { shape: p.arrangement.shape(&p.shape), data }
        }
        _ => Given { shape: given.shape.clone(), data: given.data.clone() },
    };
    let (mut bindings, mut places) = (BTreeMap::new(), BTreeMap::new());
    for (at, node) in graph.nodes.iter_mut().enumerate() {
        let Op::Source(op) = &mut node.op else { continue };
        let (Source::Parameter(name) | Source::State(name) | Source::Batch(name) | Source::Gradient(name)) =
            op.source.clone();
        let given = case.sources.get(&name).ok_or_else(|| format!("PyTorch has no `{name}`"))?;
        let given = lying(&name, given);
        if given.shape != op.ty.shape {
            return Err(format!("`{name}` is {:?}, PyTorch's {:?}", op.ty.shape, given.shape));
        }
        // `verify` binds only parameters.
        op.source = Source::Parameter(name.clone());
        let value = ValueId(at as u32);
        bindings.insert(value, Tensor::new(given.shape.clone(), given.data.clone()));
        places.insert(name, value);
    }
    if bindings.len() != case.sources.len() {
        let unread: Vec<_> = case.sources.keys().filter(|k| !places.contains_key(*k)).collect();
        return Err(format!("the model does not read {unread:?}"));
    }
    let wrt: Vec<ValueId> = case.gradients.keys().filter_map(|name| places.get(name)).copied().collect();
    let gradients = autodiff::gradients(&mut graph, loss, &wrt).map_err(|e| e.to_string())?;
    let mut expected = vec![
        ("predictions".to_string(), &case.predictions, predictions),
        ("loss of each row".into(), &case.loss_rows, loss_rows),
        ("loss".into(), &case.total, loss),
    ];
    let of_parameters: Vec<(&String, Given)> =
        case.gradients.iter().map(|(name, given)| (name, lying(name, given))).collect();
    for ((name, given), value) in of_parameters.iter().zip(gradients) {
        expected.push((format!("gradient of {name}"), given, value));
    }
    if updates.len() != case.updates.len() {
        return Err(format!("{} running statistics, PyTorch {}", updates.len(), case.updates.len()));
    }
    for (name, value) in updates {
        let given = case.updates.get(&name).ok_or_else(|| format!("PyTorch has no `{name}`"))?;
        expected.push((format!("new {name}"), given, value));
    }
    // If the parts of a gradient cancel (a bias before a batch norm, a batch norm of two rows), their
    // rounding errors remain, so it is measured against the other gradients.
    let largest = case.gradients.values().map(Given::rms).fold(0.0, f64::max);
    let outputs = expected.iter().map(|(_, _, value)| *value).collect();
    let (name, step) = (case.name.clone(), StepRecord::default());
    let found = run(device, &Case { name, graph, bindings, outputs, step, magnitude: 0.0 });
    for ((what, given, _), found) in expected.iter().zip(found.map_err(|e| e.to_string())?) {
        let magnitude = if given.rms() < 1e-5 * largest { largest } else { 0.0 };
        let error = relative_error(&given.data, &found.data, magnitude);
        if given.shape != found.shape || error.is_nan() || error > TOLERANCE {
            return Err(format!("{what}: error {error:.2e}: expected {:?}, found {found:?}", given.data));
        }
    }
    Ok(())
}

fn schedule(case: &ScheduleCase) -> Result<(), Failed> {
    let total = case.rates.len() as u64;
    for (step, expected) in (1..).zip(&case.rates) {
        let found = case.schedule.learning_rate(0.03, step, case.steps_per_epoch, total);
        if (found - expected).abs() > 1e-9 * expected.abs() + 1e-15 {
            return Err(format!("step {step} of {total}: rate {found}, PyTorch {expected}").into());
        }
    }
    Ok(())
}

/// Both are samples of one distribution: bounds and moments agree within the statistical error.
fn initialised(initial: &[Statistics]) -> Result<(), Failed> {
    let config = ModelConfig { embedding_width: Some(16), ..ModelConfig::default() };
    let inputs = Inputs { features: 48, categories: vec![("c".into(), 400)], ..Inputs::default() };
    let mut model = Supervised::new(&config, inputs, 100, Loss::Mse {});
    let layers = r#"[{"type": "dense", "units": 500}, {"type": "batch_norm"}, {"type": "layer_norm"},
        {"type": "dense", "units": 100}]"#;
    model.layers = serde_json::from_str(layers)?;
    let graph = model.graph(8, true)?;
    let state =
        |s: &gridlight::nn::tensors::State| (s.name.clone(), vec![s.initial; s.shape.iter().product()]);
    let mut tensors: BTreeMap<String, Vec<f32>> = graph.states.iter().map(state).collect();
    for (number, p) in graph.parameters.iter().enumerate() {
        tensors.insert(p.name.clone(), p.init.elements([1, 2], number, p.shape.iter().product()));
    }
    assert_eq!(tensors.len(), initial.len());
    for s in initial {
        let found = tensors.get(&s.name).ok_or_else(|| format!("no `{}`", s.name))?;
        let count = found.len() as f64;
        assert_eq!(found.len(), s.shape.iter().product::<usize>(), "{}", s.name);
        let mean = found.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
        let variance = found.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
        let least = found.iter().copied().fold(f32::INFINITY, f32::min);
        let most = found.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let near =
            |what: &str, found: f64, expected: f64, within: f64| match (found - expected).abs() <= within {
                true => Ok(()),
                false => Err(format!("{}: {what} {found}, PyTorch {expected} +- {within}", s.name)),
            };
        // Five standard errors of the difference between two samples.
        let error = 5.0 * s.deviation * (2.0 / count).sqrt();
        near("mean", mean, s.mean, error + 1e-12)?;
        near("deviation", variance.sqrt(), s.deviation, error + 1e-12)?;
        if s.name.starts_with("embedding") {
            // Normal: in 6400 draws, four standard deviations are exceeded less often than every other time.
            near("largest", f64::from(most), s.most, 2.0)?;
            continue;
        }
        // Uniform in `(-b, b)`, b = 1 / sqrt(fan_in): samples approach the bounds but never exceed them.
        let slack = 40.0 * s.deviation / count;
        near("least", f64::from(least), s.least, slack + 1e-12)?;
        near("most", f64::from(most), s.most, slack + 1e-12)?;
        let fan_in = if s.name.starts_with("0.") { 64.0 } else { 500.0 };
        if s.deviation > 0.0 {
            let bound = 1.0 / f64::sqrt(fan_in);
            assert!(f64::from(most) < bound && f64::from(least) >= -bound, "{}: {least} {most}", s.name);
        }
    }
    Ok(())
}
