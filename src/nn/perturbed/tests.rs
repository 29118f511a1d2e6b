use std::collections::BTreeMap;

use super::*;
use crate::base::step::StepRecord;
use crate::base::tensor::Tensor;
use crate::graph::ops::EvalContext;
use crate::graph::reference;
use crate::nn::inputs::{Inputs, Y};
use crate::nn::losses::Loss;
use crate::nn::supervised::Supervised;

const BATCH: usize = 3;
const FEATURES: usize = 4;
const X_ROWS: [f64; BATCH * FEATURES] = [0.1, -0.4, 0.3, 0.9, -0.2, 0.5, 0.0, -0.7, 0.6, 0.2, -0.1, 0.4];
/// Of two classes, `[2, FEATURES]`.
const WEIGHT: [f64; 2 * FEATURES] = [0.5, -1.0, 0.25, 2.0, -0.5, 0.75, -1.5, 0.3];
const LABELS: [f64; BATCH] = [0.0, 1.0, 1.0];

/// Logistic regression, whose loss is convex in its inputs: descent ends at the edge of the radius.
fn perturbed(keys: &str) -> Perturbed {
    let loss = Loss::named("cross_entropy").unwrap();
    let config = toml::from_str("family = \"mlp\"\nhidden = []").unwrap();
    let inputs = Inputs { features: FEATURES, ..Inputs::default() };
    let model = Box::new(Supervised::new(&config, inputs, 2, loss));
    let how: AdversarialTraining = toml::from_str(keys).unwrap();
    assert_eq!(how.problem(), None);
    // The last number stays; the third one cannot leave its range.
    let range = vec![[-9.0, 9.0], [-9.0, 9.0], [-0.2, 0.35], [0.0, 0.0]];
    let room = Room { scale: vec![1.0, 0.5, 1.0, 0.0], range };
    Perturbed { model, how, room }
}

/// The values of `results` for the rows, with this many added to the weight at a place.
fn values(graph: &Graph, results: &[ValueId], (place, added): (usize, f64)) -> Vec<Vec<f64>> {
    let mut bindings = BTreeMap::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        let Op::Source(op) = &node.op else { continue };
        let mut data: Vec<f64> = match &op.source {
            Source::Batch(name) if name == X => X_ROWS.to_vec(),
            Source::Batch(name) if name == Y => LABELS.to_vec(),
            Source::Parameter(name) if name.ends_with("bias") => vec![0.1, -0.2],
            Source::Parameter(_) => WEIGHT.to_vec(),
            other => panic!("{other:?}"),
        };
        if matches!(&op.source, Source::Parameter(name) if name.ends_with("weight")) {
            data[place] += added;
        }
        bindings.insert(ValueId(at as u32), Tensor::new(node.ty.shape.clone(), data));
    }
    let step = StepRecord { step: 3, seed_low: 5, ..StepRecord::default() };
    let found = reference::evaluate(graph, &bindings, &EvalContext { step }, results).unwrap();
    found.into_iter().map(|tensor| tensor.data).collect()
}

/// The changed rows, `[BATCH, FEATURES]`.
fn changed(of: &Perturbed) -> Vec<f64> {
    let mut graph = Graph::new();
    let x = graph.source(Source::Batch(X.into()), &[BATCH, FEATURES], DType::F32).unwrap();
    let evaluated = of.model.graph(BATCH, false).unwrap();
    let found = attack::attacked(&mut graph, x, &evaluated, of).unwrap();
    values(&graph, &[found], (0, 0.0)).remove(0)
}

/// The slope of each row's loss in each of its numbers but for a positive factor, per unit of distance.
fn slopes(of: &Perturbed) -> Vec<f64> {
    let each = |at: usize| {
        let (row, feature) = (at / FEATURES, at % FEATURES);
        let label = LABELS[row] as usize;
        let difference = WEIGHT[(1 - label) * FEATURES + feature] - WEIGHT[label * FEATURES + feature];
        difference * f64::from(of.room.scale[feature])
    };
    (0..BATCH * FEATURES).map(each).collect()
}

#[test]
fn a_convex_loss_is_attacked_from_the_edge_of_the_radius() {
    for keys in ["method = \"pgd\"\nradius = 0.3", "method = \"pgd\"\nradius = 0.3\nsteps = 3"] {
        let of = perturbed(keys);
        for (at, (found, slope)) in changed(&of).into_iter().zip(slopes(&of)).enumerate() {
            let (x, [low, high]) = (X_ROWS[at], of.room.range[at % FEATURES].map(f64::from));
            let edge = x + 0.3 * f64::from(of.room.scale[at % FEATURES]) * slope.signum();
            // Rows that lie beyond the range stay there.
            let expected = if slope == 0.0 { x } else { edge.clamp(low.min(x), high.max(x)) };
            assert!((found - expected).abs() < 1e-6, "{keys}, {at}: {found}, expected {expected}");
        }
    }
}

#[test]
fn in_l2_the_change_is_along_the_slope() {
    let mut of = perturbed("method = \"pgd\"\nradius = 0.3\nnorm = \"l2\"\nsteps = 50");
    of.room.range[2] = [-9.0, 9.0];
    let (found, slopes) = (changed(&of), slopes(&of));
    for (row, slope) in slopes.chunks(FEATURES).enumerate() {
        let units = |feature: usize| match f64::from(of.room.scale[feature]) {
            0.0 => 0.0,
            scale => (found[row * FEATURES + feature] - X_ROWS[row * FEATURES + feature]) / scale,
        };
        let units: Vec<f64> = (0..FEATURES).map(units).collect();
        let length = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let along: f64 = units.iter().zip(slope).map(|(u, s)| u * s).sum::<f64>() / length(slope);
        assert!((length(&units) - 0.3).abs() < 1e-6, "row {row}: {units:?}");
        assert!(along > 0.99 * 0.3, "row {row}: {units:?} is not along {slope:?}");
    }
}

#[test]
fn every_method_stays_in_the_radius() {
    for norm in ["linf", "l2"] {
        for method in ["fgsm", "pgd", "trades"] {
            let of = perturbed(&format!("method = \"{method}\"\nradius = 0.2\nnorm = \"{norm}\""));
            let found = changed(&of);
            let mut moved = false;
            for (row, (found, x)) in found.chunks(FEATURES).zip(X_ROWS.chunks(FEATURES)).enumerate() {
                let units = |at: usize| match f64::from(of.room.scale[at]) {
                    0.0 => (found[at] - x[at]).abs() * f64::INFINITY,
                    scale => (found[at] - x[at]).abs() / scale,
                };
                let units: Vec<f64> =
                    (0..FEATURES).map(units).map(|u| if u.is_nan() { 0.0 } else { u }).collect();
                let distance = match norm {
                    "linf" => units.iter().copied().fold(0.0, f64::max),
                    _ => units.iter().map(|u| u * u).sum::<f64>().sqrt(),
                };
                assert!(distance <= 0.2 + 1e-6, "{method}, {norm}, row {row}: {distance}");
                moved |= distance > 0.05;
            }
            assert!(moved, "{method}, {norm}");
        }
    }
}

/// The loss is the cross-entropy at the rows and the weighted divergence between them and the changed rows; its
/// gradient holds both, and takes the changed rows as given.
#[test]
fn trades_minimises_the_loss_and_the_divergence() {
    let of = perturbed("method = \"trades\"\nradius = 0.2\nbeta = 3.0");
    let near: Vec<f64> = X_ROWS.iter().enumerate().map(|(at, x)| x + 0.1 * (at as f64).cos()).collect();
    let mut graph = Graph::new();
    let data: Vec<f32> = near.iter().map(|&x| x as f32).collect();
    let x = graph.constant(&[BATCH, FEATURES], &data).unwrap();
    let built = trades(graph, x, of.model.graph(BATCH, true).unwrap(), 3.0).unwrap();
    let expected = |place: usize, added: f64| {
        let mut total = 0.0;
        for row in 0..BATCH {
            let probabilities = |x: &[f64]| {
                let logit = |class: usize| {
                    let weight = |at: usize| {
                        let at = class * FEATURES + at;
                        WEIGHT[at] + if at == place { added } else { 0.0 }
                    };
                    let sum: f64 = (0..FEATURES).map(|at| weight(at) * x[at]).sum();
                    (sum + [0.1, -0.2][class]).exp()
                };
                let (a, b) = (logit(0), logit(1));
                [a / (a + b), b / (a + b)]
            };
            let of_row = |rows: &[f64]| probabilities(&rows[row * FEATURES..(row + 1) * FEATURES]);
            let (p, q) = (of_row(&X_ROWS), of_row(&data.iter().map(|&x| f64::from(x)).collect::<Vec<_>>()));
            total -= p[LABELS[row] as usize].ln();
            total += 3.0 * (0..2).map(|class| p[class] * (p[class] / q[class]).ln()).sum::<f64>();
        }
        total / BATCH as f64
    };
    let found = values(&built.graph, &[built.loss], (0, 0.0))[0][0];
    assert!((found - expected(0, 0.0)).abs() < 1e-6, "{found}, expected {}", expected(0, 0.0));
    let (_, gradient) = built.gradients.iter().find(|(name, _)| name.ends_with("weight")).unwrap();
    let gradient = values(&built.graph, &[*gradient], (0, 0.0)).remove(0);
    for (place, found) in gradient.into_iter().enumerate() {
        let slope = (expected(place, 1e-5) - expected(place, -1e-5)) / 2e-5;
        assert!((found - slope).abs() < 1e-5, "{place}: {found}, expected {slope}");
    }
}
