//! Keras's golden figures: recurrent layers with constant weights through the cells of `verify`, and
//! optimizers step by step through the planned update kernels.

use std::collections::BTreeMap;

use gridlight::base::step::StepRecord;
use gridlight::base::tensor::DType;
use gridlight::device::Device;
use gridlight::graph::{Graph, Source};
use gridlight::optim::{Adam, Optimizer, RmsProp, Sgd};
use gridlight::plan::{
    self, Batches, DataColumn, DataSpec, Entry, Gradients, OptimizerSpec, ParameterSet, PassSpec, PhaseSpec,
    ProgramSpec, UpdateSpec,
};
use gridlight::verify::cases::{CaseNumber, CaseTensor, OperatorCase, OperatorResult, run_case};
use serde_json::{Map, Value};

/// Why this version cannot run the test, if it cannot.
pub fn missing(test: &Value) -> Option<&'static str> {
    Some(match test["name"].as_str()? {
        "adamw" => "Keras adds eps before the bias correction, which eps = 2 makes another update",
        "adagrad" | "nadam" | "adamax" => "no such optimizer in this version",
        "clip_value" => "gradients are clipped by norm in this version",
        _ => return None,
    })
}

fn number(test: &Value, key: &str) -> Result<f64, String> {
    test[key].as_f64().ok_or_else(|| format!("no `{key}`"))
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
}

fn tensor(shape: &[usize], data: Vec<f64>) -> CaseTensor {
    let data = data.into_iter().map(CaseNumber::Finite).collect();
    CaseTensor { shape: shape.to_vec(), dtype: "f32".into(), data }
}

/// Extents in brackets at the end of `input`: `arange(24) reshape [batch=2,time=3,feat=4] f32`.
fn extents(text: &str) -> Vec<usize> {
    let inside = text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("", |(i, _)| i);
    inside.split(',').filter_map(|e| e.rsplit('=').next()?.trim().parse().ok()).collect()
}

/// Compares the last hidden state of a recurrent layer; all units are equal.
pub fn recurrent(test: &Value, device: &dyn Device) -> Result<(), String> {
    let input = test["input"].as_str().unwrap_or_default();
    let [batch, time, features] = extents(input)[..] else { return Err(format!("input `{input}`")) };
    let units = number(test, "units")? as usize;
    let cell = test["cell"].as_str().unwrap_or_default();
    let (op, gates) = match cell {
        "simple_rnn" => ("rnn_tanh", 1),
        "lstm" => ("lstm", 4),
        _ => ("gru", 3),
    };
    let rows = gates * units;
    // `[T, B, I]`, with 0, 1, 2, ... counted over `[B, T, I]`.
    let mut x = vec![];
    for t in 0..time {
        let t = if input.contains("reversed") { time - 1 - t } else { t };
        for b in 0..batch {
            x.extend((0..features).map(|i| ((b * time + t) * features + i) as f64));
        }
    }
    let constant = |shape: &[usize], value: f64| tensor(shape, vec![value; shape.iter().product()]);
    let (kernel, recurrent) = (number(test, "kernel")?, number(test, "recurrent_kernel")?);
    let mut inputs = BTreeMap::from([
        ("x".to_string(), tensor(&[time, batch, features], x)),
        ("w_ih".into(), constant(&[rows, features], kernel)),
        ("w_hh".into(), constant(&[rows, units], recurrent)),
    ]);
    let bias = number(test, "bias")?;
    match op {
        "gru" => {
            inputs.insert("b_ih".into(), constant(&[rows], bias));
            inputs.insert("b_hh".into(), constant(&[rows], bias));
        }
        // Keras's unit_forget_bias sets the second of the gates i, f, c, o to 1.
        "lstm" => {
            let of_gate = |i: usize| if i / units == 1 { 1.0 } else { bias };
            inputs.insert("b".into(), tensor(&[rows], (0..rows).map(of_gate).collect()));
            inputs.insert("c0".into(), constant(&[batch, units], 0.0));
        }
        _ => {
            inputs.insert("b".into(), constant(&[rows], bias));
        }
    }
    let mut h: Vec<f64> = match test["h0"].as_str() {
        Some(_) => (0..batch * units).map(|i| i as f64).collect(),
        None => vec![0.0; batch * units],
    };
    let calls = if input.contains("twice") { 2 } else { 1 };
    for _ in 0..calls {
        inputs.insert("h0".into(), tensor(&[batch, units], h));
        let (name, params) = (cell.to_string(), Map::new());
        let case = OperatorCase { name, op: op.into(), params, inputs: inputs.clone(), dy: vec![] };
        let result = run_case(&case, device).map_err(|e| e.to_string())?;
        let OperatorResult::Done { y, .. } = result else { return Err(format!("{result:?}")) };
        h = y[0][(time - 1) * batch * units..].iter().map(|x| x.0).collect();
    }
    let last = numbers(&test["last_h_per_batch"]);
    let expected: Vec<f64> = last.iter().flat_map(|&x| vec![x; units]).collect();
    compare("last hidden state", &expected, &h, number(test, "rtol")?)
}

/// `|found - expected| <= tolerance (1 + |expected|)`, like `numpy.allclose` with rtol = atol.
fn compare(what: &str, expected: &[f64], found: &[f64], tolerance: f64) -> Result<(), String> {
    let near = |(e, f): (&f64, &f64)| (f - e).abs() <= tolerance * (1.0 + e.abs());
    if expected.is_empty() || expected.len() != found.len() || !expected.iter().zip(found).all(near) {
        return Err(format!("{what}: expected {expected:?} within {tolerance}, found {found:?}"));
    }
    Ok(())
}

/// The optimizer of a test, with Keras's names for the settings.
fn optimizer(test: &Value) -> Result<Optimizer, String> {
    // Keras's default.
    let eps = test["eps"].as_f64().unwrap_or(1e-7);
    let or = |key: &str, default: f64| test[key].as_f64().unwrap_or(default);
    let betas = [or("beta1", 0.9), or("beta2", 0.999)];
    Ok(match test["name"].as_str().unwrap_or_default() {
        // The running mean square only grows under these gradients, so it equals its maximum (AMSGrad).
        "adam_amsgrad" | "adam_single_step" => Adam { betas, eps, weight_decay: 0.0 }.into(),
        "sgd_nesterov_momentum0" | "clip_norm" => Sgd::default().into(),
        // Keras adds eps under the root; at 1e-7, that is below the precision of these figures.
        "rmsprop_centered" => {
            let (alpha, centered) = (or("rho", 0.9), true);
            RmsProp { alpha, eps, centered, ..RmsProp::default() }.into()
        }
        other => return Err(format!("`{other}` is neither run nor listed as missing")),
    })
}

/// The parameters after each step with the given gradients.
fn descend(
    device: &dyn Device,
    optimizer: &Optimizer,
    rate: f64,
    max_norm: Option<f32>,
    start: &[f64],
    gradients: &[Vec<f64>],
) -> Result<Vec<Vec<f64>>, String> {
    let count = start.len();
    let mut graph = Graph::new();
    let x = graph.source(Source::Parameter("x".into()), &[count], DType::F32).map_err(|e| e.to_string())?;
    // Row `step` of the data is that step's gradient, because the loss is its product with x.
    let g = graph.source(Source::Batch("g".into()), &[1, count], DType::F32).map_err(|e| e.to_string())?;
    let mut loss = || {
        let product = graph.mul(x, g)?;
        graph.sum(product, &[0, 1], false)
    };
    let loss = loss().map_err(|e| e.to_string())?;
    let gradient =
        gridlight::graph::autodiff::gradients(&mut graph, loss, &[x]).map_err(|e| e.to_string())?;
    let pass = PassSpec {
        graph: &graph,
        batch: 1,
        batches: Batches::Of("training".into()),
        augment: vec![],
        slots: 1,
        results: vec![("loss".into(), loss)],
        gradients: vec![("x".into(), gradient[0])],
        into: Gradients::Replace,
        states: vec![],
    };
    let phase = PhaseSpec {
        name: "train".into(),
        clears: vec![],
        pass: Some(pass),
        update: Some(UpdateSpec { set: "all".into(), max_norm }),
    };
    let rows = gradients.len();
    let spec = ProgramSpec {
        sets: vec![ParameterSet {
            name: "all".into(),
            parameters: vec![Entry { name: "x".into(), words: count, decay: true }],
            optimizer: Some(OptimizerSpec::of(optimizer)),
        }],
        data: vec![DataSpec {
            name: "training".into(),
            rows,
            order: rows,
            columns: vec![DataColumn::rows("g", count)],
        }],
        phases: vec![phase],
        ..ProgramSpec::default()
    };
    let compiled = plan::compile(&spec, device.target()).map_err(|e| e.to_string())?;
    let mut session = device.load(&compiled.program).map_err(|e| e.to_string())?;
    let words = |values: &[f64]| -> Vec<u32> { values.iter().map(|&v| (v as f32).to_bits()).collect() };
    let mut write = |slice: plan::Slice, words: &[u32]| {
        session.write(slice.buffer, slice.start, words).map_err(|e| e.to_string())
    };
    for (slice, words) in &compiled.layout.constants {
        write(*slice, words)?;
    }
    let place = compiled.layout.sets[0].parameters[0].1;
    write(place, &words(start))?;
    write(compiled.layout.data[0].columns[0].1[0].slice, &words(&gradients.concat()))?;
    if let Some(order) = compiled.layout.data[0].order {
        write(order, &(0..rows as u32).collect::<Vec<u32>>())?;
    }
    let mut found = vec![];
    for at in 0..rows as u32 {
        let record = StepRecord {
            step: at + 1,
            batch_start: at,
            learning_rate: rate as f32,
            optimizer: optimizer.scalars(u64::from(at) + 1),
            ..StepRecord::default()
        };
        session.run(0, &[record]).map_err(|e| e.to_string())?;
        let now = session.read(place.buffer, place.start, count).map_err(|e| e.to_string())?;
        found.push(now.into_iter().map(|w| f64::from(f32::from_bits(w))).collect());
    }
    Ok(found)
}

/// Compares an optimizer's parameters step by step (Keras's tolerance: 5e-4), or after a single step.
pub fn optimize(test: &Value, device: &dyn Device) -> Result<(), String> {
    let optimizer = optimizer(test)?;
    let name = test["name"].as_str().unwrap_or_default();
    let single = |rate: f64, max_norm: Option<f32>, start: &[f64]| {
        let found = descend(device, &optimizer, rate, max_norm, start, &[numbers(&test["grad"])])?;
        Ok::<Vec<f64>, String>(found[0].clone())
    };
    if name == "clip_norm" {
        // A plain gradient-descent step from 0 with rate 1 gives the negated, clipped gradient.
        let found: Vec<f64> = single(1.0, Some(number(test, "clipnorm")? as f32), &[0.0; 2])?;
        let found: Vec<f64> = found.into_iter().map(|x| -x).collect();
        return compare(name, &numbers(&test["expected"]), &found, 1e-6);
    }
    let rate = number(test, "lr")?;
    if name == "adam_single_step" {
        let found = single(rate, None, &numbers(&test["x"]))?;
        return compare(name, &numbers(&test["expected"]), &found, number(test, "tol")?);
    }
    let mut gradients = vec![vec![0.01; 10]];
    gradients.resize(5, (1..=10).map(|i| f64::from(i) / 10.0).collect());
    let found = descend(device, &optimizer, rate, None, &[1.0; 10], &gradients)?;
    for (step, found) in found.iter().enumerate() {
        let expected = match test["golden"].as_array() {
            Some(rows) => numbers(&rows[step]),
            None => vec![numbers(&test["golden_all_equal"])[step]; 10],
        };
        compare(&format!("step {}", step + 1), &expected, found, 5e-4)?;
    }
    Ok(())
}
