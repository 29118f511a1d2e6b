//! Focal, Poisson and Tweedie losses: their formulas in `f64`, their gradients, and what is trained with
//! them.

use std::collections::BTreeMap;
use std::fs;

use gridlight::base::tensor::{DType, Tensor};
use gridlight::device::cpu::CpuDevice;
use gridlight::experiment::Experiment;
use gridlight::graph::ops::EvalContext;
use gridlight::graph::{Graph, Source, autodiff, reference};
use gridlight::nn::focal::Alpha;
use gridlight::nn::losses::{ClassWeights, Loss};
use gridlight::run::evaluate;
use gridlight::run::job::Options;
use gridlight::run::trainer;

use crate::bench::Recorder;

/// The loss of each row, and the gradient of their mean, for predictions `[rows, outputs]`.
fn of(loss: &Loss, outputs: usize, predictions: &[f64], target: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let rows = predictions.len() / outputs;
    let mut g = Graph::new();
    let (shape, dtype) =
        if loss.wants_labels() { (vec![rows], DType::U32) } else { (vec![rows, outputs], DType::F32) };
    let p = g.source(Source::Batch("p".into()), &[rows, outputs], DType::F32).unwrap();
    let y = g.source(Source::Batch("y".into()), &shape, dtype).unwrap();
    let (losses, mean) = loss.build(&mut g, p, y).unwrap();
    let gradient = autodiff::gradients(&mut g, mean, &[p]).unwrap()[0];
    let bindings = BTreeMap::from([
        (p, Tensor::new([rows, outputs], predictions.to_vec())),
        (y, Tensor::new(shape, target.to_vec())),
    ]);
    let found = reference::evaluate(&g, &bindings, &EvalContext::default(), &[losses, gradient]).unwrap();
    (found[0].data.clone(), found[1].data.clone())
}

/// Checks rows against a formula, and the gradient against finite differences of it.
fn check(
    loss: &Loss,
    outputs: usize,
    predictions: &[f64],
    target: &[f64],
    formula: &dyn Fn(&[f64], f64) -> f64,
) {
    let (rows, gradient) = of(loss, outputs, predictions, target);
    let count = rows.len() as f64;
    for (at, row) in rows.iter().enumerate() {
        let logits = &predictions[at * outputs..(at + 1) * outputs];
        let expected = formula(logits, target[at]);
        assert!(
            (row - expected).abs() <= 1e-6 * expected.abs().max(1.0),
            "{loss:?} {logits:?}: {row}, {expected}"
        );
        for k in 0..outputs {
            let moved = |by: f64| {
                let mut logits = logits.to_vec();
                logits[k] += by;
                formula(&logits, target[at])
            };
            let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5 / count;
            let found = gradient[at * outputs + k];
            assert!(
                (found - expected).abs() < 1e-5 * expected.abs().max(1.0),
                "{loss:?}: {found}, {expected}"
            );
        }
    }
}

/// The mean that is minimised, and its gradient with respect to predictions `[rows, outputs]`.
fn weighted(loss: &Loss, outputs: usize, [predictions, target, weights]: [&[f64]; 3]) -> (f64, Vec<f64>) {
    let mut g = Graph::new();
    let rows = weights.len();
    let (shape, dtype) =
        if loss.wants_labels() { (vec![rows], DType::U32) } else { (vec![rows, outputs], DType::F32) };
    let p = g.source(Source::Batch("p".into()), &[rows, outputs], DType::F32).unwrap();
    let y = g.source(Source::Batch("y".into()), &shape, dtype).unwrap();
    let w = g.source(Source::Batch("w".into()), &[rows], DType::F32).unwrap();
    let mean = loss.build_weighted(&mut g, p, y, w).unwrap().1;
    let gradient = autodiff::gradients(&mut g, mean, &[p]).unwrap()[0];
    let bindings = BTreeMap::from([
        (p, Tensor::new([rows, outputs], predictions.to_vec())),
        (y, Tensor::new(shape, target.to_vec())),
        (w, Tensor::new([rows], weights.to_vec())),
    ]);
    let found = reference::evaluate(&g, &bindings, &EvalContext::default(), &[mean, gradient]).unwrap();
    (found[0].data[0], found[1].data.clone())
}

/// The weighted mean and its gradient are those of the losses of the rows.
#[test]
fn the_mean_is_weighted_by_rows_and_classes() {
    let predictions = [0.3, -1.2, 2.0, 1.5, 1.5, -0.5];
    let (labels, numbers) = ([1.0, 0.0, 1.0], [0.5, 1.0, -2.0, 0.0, 1.0, 0.25]);
    let class_weights = [0.5, 3.0];
    let classes = Loss::CrossEntropy {
        label_smoothing: 0.0,
        class_weights: ClassWeights::Each(class_weights.to_vec()),
    };
    for weights in [[2.0, 0.0, 0.5], [1.0; 3], [1e-3, 7.0, 0.0]] {
        let entropy = |p: &[f64]| {
            let of = |row: usize| weights[row] * class_weights[labels[row] as usize];
            let loss = |row: usize| -log_softmax(&p[2 * row..2 * row + 2], labels[row] as usize);
            (0..3).map(|row| of(row) * loss(row)).sum::<f64>() / (0..3).map(of).sum::<f64>()
        };
        let square = |p: &[f64]| {
            let loss = |row: usize| {
                (0..2).map(|k| (p[2 * row + k] - numbers[2 * row + k]).powi(2)).sum::<f64>() / 2.0
            };
            (0..3).map(|row| weights[row] * loss(row)).sum::<f64>() / weights.iter().sum::<f64>()
        };
        check_mean(&classes, [&predictions, &labels, &weights], &entropy);
        check_mean(&Loss::Mse {}, [&predictions, &numbers, &weights], &square);
    }
}

/// Checks the weighted mean of a loss of two outputs against a formula, and its gradient against finite differences.
fn check_mean(loss: &Loss, [predictions, target, weights]: [&[f64]; 3], formula: &dyn Fn(&[f64]) -> f64) {
    let (mean, gradient) = weighted(loss, 2, [predictions, target, weights]);
    assert!((mean - formula(predictions)).abs() < 1e-6, "{loss:?}: {mean}, {}", formula(predictions));
    for (k, found) in gradient.iter().enumerate() {
        let moved = |by: f64| {
            let mut moved = predictions.to_vec();
            moved[k] += by;
            formula(&moved)
        };
        let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        assert!((found - expected).abs() < 1e-5, "{loss:?}: {found}, {expected}");
    }
}

#[test]
fn a_batch_without_weight_changes_nothing() {
    let (mean, gradient) = weighted(&Loss::Mse {}, 1, [&[1.0, 2.0], &[0.0, 0.0], &[0.0, 0.0]]);
    assert_eq!((mean, gradient), (0.0, vec![0.0; 2]));
}

fn log_softmax(logits: &[f64], label: usize) -> f64 {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logits[label] - largest - logits.iter().map(|x| (x - largest).exp()).sum::<f64>().ln()
}

#[test]
fn focal_is_its_formula_for_two_classes_and_more() {
    let three = [0.3, -1.2, 2.0, 1.5, 1.5, -0.5, -3.0, 4.0, 0.2, 6.0, -6.0, 0.0];
    let labels = [0.0, 1.0, 1.0, 2.0];
    for (gamma, weights) in
        [(2.0, None), (0.5, None), (0.0, Some([1.0, 0.5, 3.0])), (3.0, Some([0.2, 2.0, 1.0]))]
    {
        let alpha = weights.map(|w| Alpha::Each(w.to_vec()));
        let formula = |logits: &[f64], label: f64| {
            let log = log_softmax(logits, label as usize);
            -weights.map_or(1.0, |w| w[label as usize]) * (1.0 - log.exp()).powf(gamma) * log
        };
        check(&Loss::Focal { gamma, alpha }, 3, &three, &labels, &formula);
    }
    // Of two classes, that of the sigmoid of the difference: Lin et al. 2017, equation 5.
    let two = [0.0, 1.3, 2.0, -1.0, -0.4, 0.9];
    let binary = |logits: &[f64], label: f64| {
        let p = 1.0 / (1.0 + (logits[0] - logits[1]).exp());
        let (p, alpha) = if label > 0.5 { (p, 0.25) } else { (1.0 - p, 0.75) };
        -alpha * (1.0 - p).powi(2) * p.ln()
    };
    let loss = Loss::Focal { gamma: 2.0, alpha: Some(Alpha::Positive(0.25)) };
    check(&loss, 2, &two, &[1.0, 1.0, 0.0], &binary);
}

#[test]
fn focal_is_finite_where_rows_are_surely_right_or_wrong() {
    let loss = Loss::Focal { gamma: 0.5, alpha: None };
    let (rows, gradient) = of(&loss, 2, &[200.0, -200.0, -200.0, 200.0], &[0.0, 0.0]);
    assert!(rows[0] == 0.0 && (rows[1] - 400.0).abs() < 1e-6, "{rows:?}");
    assert!(gradient.iter().all(|x| x.is_finite()) && gradient[0].abs() < 1e-9, "{gradient:?}");
}

#[test]
fn poisson_and_tweedie_are_their_formulas() {
    let predictions = [-2.0, 0.0, 0.7, 1.9, 3.1];
    let target = [0.0, 1.0, 4.0, 2.0, 30.0];
    check(&Loss::Poisson { offset: None }, 1, &predictions, &target, &|p, y| p[0].exp() - y * p[0]);
    for power in [1.1, 1.5, 1.9] {
        check(&Loss::Tweedie { power, offset: None }, 1, &predictions, &target, &|p, y| {
            let mu = p[0].exp();
            -y * mu.powf(1.0 - power) / (1.0 - power) + mu.powf(2.0 - power) / (2.0 - power)
        });
    }
}

/// A directory with counts whose mean is `e^(5 + x)`, and an experiment on them.
fn counts(loss: &str) -> (tempfile::TempDir, Experiment) {
    let directory = tempfile::tempdir().unwrap();
    let row = |i: u32| {
        let x = f64::from(i * 37 % 100) / 50.0 - 1.0;
        format!("{x},{}\n", ((5.0 + x).exp() + f64::from(i % 7) - 3.0).round())
    };
    fs::write(directory.path().join("t.csv"), format!("x,n\n{}", (0..300).map(row).collect::<String>()))
        .unwrap();
    let text = format!(
        "name = \"t\"\n[data]\nsource = \"t.csv\"\ntarget = \"n\"\n[model]\nhidden = [16]\n[train]\nloss = {loss}\n\
         epochs = 60\nlearning_rate = 0.01\n"
    );
    let experiment = Experiment::parse(&text, "t.toml", &[]).unwrap();
    (directory, experiment)
}

#[test]
fn counts_are_predicted_in_their_own_units() {
    for loss in ["\"poisson\"", "{ type = \"tweedie\", power = 1.2 }"] {
        let (directory, mut experiment) = counts(loss);
        let data = trainer::load_data(&experiment, directory.path()).unwrap();
        experiment.data.source = directory.path().join("t.csv").display().to_string();
        let out = directory.path().join("run");
        let options = Options { out: out.clone(), ..Options::default() };
        let device = CpuDevice::new(Some(1));
        trainer::train(&experiment, &data, &device, &options, &mut Recorder::default()).unwrap();
        let evaluation = evaluate::evaluate(&out, None, None, None, &device).unwrap();
        assert!(evaluation.metrics.get("r2").unwrap() > 0.97, "{loss}: {:?}", evaluation.metrics);
        let written = fs::read_to_string(out.join("experiment.toml")).unwrap();
        assert!(written.contains("target = \"none\"") && written.contains("offset = 5."), "{written}");
    }
}
