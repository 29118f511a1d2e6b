//! Explanations and attacks: PyTorch's and Captum's figures, definitions by brute force, closed forms.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use gridlight::base::image::ImageShape;
use gridlight::base::rng;
use gridlight::data::{Dataset, Fitted, FittedTarget};
use gridlight::device::cpu::CpuDevice;
use gridlight::experiment::Experiment;
use gridlight::explain::network::{Given, Wanted};
use gridlight::explain::response::Response;
use gridlight::explain::shapley::shapley;
use gridlight::explain::{Network, Points, Space, path, permutation, pictures};
use gridlight::nn::config::ModelConfig;
use gridlight::nn::inputs::{Inputs, SequenceShape};
use gridlight::nn::losses::{ClassWeights, Loss};
use gridlight::nn::{Model, Supervised};
use gridlight::run::evaluate::evaluate;
use gridlight::run::explain::{Method, Request, Selection, explain};
use gridlight::run::job::Options;
use gridlight::run::robustness::{self, robustness};
use gridlight::run::trainer;
use gridlight::tasks;
use gridlight::train::checkpoint::NamedTensor;

use crate::image_trajectory::{numbers, power};
use crate::silent::Silent;

const CNN: &str = r#"layer = [
    { type = "conv2d", channels = 4, padding = 1 },
    { type = "activation", function = "relu" },
    { type = "max_pool" },
    { type = "conv2d", channels = 6 },
    { type = "activation", function = "relu" },
    { type = "flatten" },
]"#;

fn figures() -> BTreeMap<String, Vec<f64>> {
    serde_json::from_str(include_str!("../pytorch/explain.json")).unwrap()
}

/// The weights of explain.py.
fn filled(model: &dyn Model) -> Vec<NamedTensor> {
    let (mut seed, mut fan) = (100, 1);
    let fill = |p: gridlight::nn::tensors::Parameter| {
        if p.shape.len() > 1 {
            fan = p.shape[1..].iter().product();
        }
        let data = numbers(p.shape.iter().product(), seed, power(fan));
        seed += 1;
        (p.name, p.shape, data)
    };
    model.graph(1, false).unwrap().parameters.into_iter().map(fill).collect()
}

fn near(found: impl Iterator<Item = f64>, expected: &[f64], tolerance: f64, what: &str) {
    let found: Vec<f64> = found.collect();
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() < tolerance, "{what} {at}: {a}, expected {b}");
    }
}

#[test]
fn saliency_and_grad_cam_are_those_of_pytorch() {
    let (figures, device) = (figures(), CpuDevice::new(Some(2)));
    let shape = ImageShape { channels: 1, height: 8, width: 8 };
    let config: ModelConfig = toml::from_str(CNN).unwrap();
    let inputs = Inputs { features: 64, image: Some(shape), ..Inputs::default() };
    let loss = Loss::CrossEntropy { label_smoothing: 0.0, class_weights: ClassWeights::default() };
    let model = Supervised::new(&config, inputs, 3, loss);
    let weights = filled(&model);
    let space = Space { features: 64, steps: 1, ..Space::default() };
    let network = Network { model: &model, weights: &weights, device: &device, space: &space };
    let points = Points { count: 4, x: numbers(256, 7, 1.0), ..Points::default() };
    let names = ["a", "b", "c"].map(String::from).to_vec();
    let target = FittedTarget::Classes { name: "y".into(), names };
    let response = Response { target: &target, quantiles: &[] };
    let mut probe = network.probe(Wanted::Outputs, points.count).unwrap();
    let raw = probe.run(&points.x, Given::default()).unwrap().swap_remove(0);
    near(raw.iter().map(|&x| x.into()), &figures["logits"], 1e-6, "logits");
    let focus = response.focus(&raw, 4, None);
    assert_eq!(focus.classes.iter().map(|&c| c as f64).collect::<Vec<_>>(), figures["classes"]);
    let gradient = pictures::gradient(&network, &points, &response).unwrap();
    near(gradient.iter().map(|&x| x.into()), &figures["gradient"], 1e-6, "gradient");
    let sizes: Vec<f64> = figures["gradient"].iter().map(|x| x.abs()).collect();
    let saliency = pictures::saliency(&network, &points, shape, &response).unwrap();
    near(saliency.into_iter(), &sizes, 1e-6, "saliency");
    let maps = pictures::class_maps(&network, &points, &focus.weights).unwrap();
    assert_eq!([maps.height, maps.width], [2, 2]);
    near(maps.values.into_iter(), &figures["grad_cam"], 1e-6, "Grad-CAM");
}

#[test]
fn integrated_gradients_of_an_lstm_are_those_of_captum() {
    let (figures, device) = (figures(), CpuDevice::new(Some(2)));
    let config: ModelConfig = toml::from_str("family = \"rnn\"\ncell = \"lstm\"\nhidden = [8]").unwrap();
    let sequence = Some(SequenceShape { length: 6, width: 3 });
    let inputs = Inputs { features: 18, sequence, ..Inputs::default() };
    let model = Supervised::new(&config, inputs, 1, Loss::Mse {});
    let weights = filled(&model);
    let space = Space { features: 18, steps: 6, ..Space::default() };
    let network = Network { model: &model, weights: &weights, device: &device, space: &space };
    let points = Points { count: 5, x: numbers(90, 8, 1.0), ..Points::default() };
    let target = FittedTarget::Rate { name: "y".into() };
    let response = Response { target: &target, quantiles: &[] };
    let found = path::integrated(&network, &points, &[0.0; 18], &response, path::MOST_STEPS).unwrap();
    let ends: Vec<f64> = found.starts.iter().zip(&found.differences).map(|(a, b)| a + b).collect();
    near(ends.into_iter(), &figures["lstm_outputs"], 1e-6, "outputs");
    near(found.values.into_iter(), &figures["lstm_integrated"], 1e-6, "attributions");
    assert!(found.errors.iter().all(|error| *error < 1e-3), "{:?}", found.errors);
}

/// A table of numbers with missing values, a category and a date, and a target that depends on most of them.
pub fn table(rows: usize) -> String {
    let mut text = "a,b,kind,day,y\n".to_string();
    let draw = |stream, i: usize| f64::from(rng::uniform(rng::word([5, 0], stream, 0, i as u32)));
    for i in 0..rows {
        let (a, b, kind) = (draw(1, i), 3.0 * draw(2, i), (3.0 * draw(3, i)) as usize);
        let day = 1 + i * 7 % 28;
        let y = 2.0 * a - b * b + kind as f64 + if day > 14 { 0.5 } else { 0.0 };
        let a = if i % 9 == 4 { String::new() } else { a.to_string() };
        writeln!(text, "{a},{b},{},2024-{:02}-{day:02},{y}", ["x", "yy", "z"][kind], 1 + i % 12).unwrap();
    }
    text
}

/// An experiment with its data, in a folder.
pub struct Case {
    folder: tempfile::TempDir,
    experiment: Experiment,
}

impl Case {
    pub fn new(contents: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("table.csv");
        std::fs::write(&source, contents).unwrap();
        let text =
            format!("name = \"case\"\n[data]\nsource = '{}'\ntarget = \"y\"\n{more}", source.display());
        let experiment = Experiment::parse(&text, "experiment.toml", &[]).unwrap();
        Self { folder, experiment }
    }

    fn train(&self, steps: u64) -> PathBuf {
        let out = self.folder.path().join("run");
        let options =
            Options { out: out.clone(), max_steps: Some(steps), without_report: true, ..Options::default() };
        let data = trainer::load_data(&self.experiment, Path::new("")).unwrap();
        trainer::train(&self.experiment, &data, &CpuDevice::new(Some(2)), &options, &mut Silent).unwrap();
        out
    }

    /// A model with its initial weights, without training.
    pub fn untrained(&self) -> (Box<dyn Model>, Vec<NamedTensor>, Fitted, Dataset) {
        let data = trainer::load_data(&self.experiment, Path::new("")).unwrap();
        let model = tasks::model(self.experiment.settings(), &data.fitted, &data.train);
        let parameters = model.graph(1, false).unwrap().parameters;
        let initial = |(number, p): (usize, gridlight::nn::tensors::Parameter)| {
            let data = p.init.elements([1, 0], number, p.shape.iter().product());
            (p.name, p.shape, data)
        };
        let weights = parameters.into_iter().enumerate().map(initial).collect();
        (model, weights, data.fitted, data.train)
    }
}

const EMBEDDED: &str = "[data.transform]\ncategories = \"embedding\"\n[data.clean]\nindicators = true\n\
                        [model]\nhidden = [12]\n[train]\nepochs = 3\nbatch_size = 16\n";

/// The orders of some things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![vec![]];
    }
    let shorter = orders(count - 1);
    let with = |order: &Vec<usize>| {
        let order = order.clone();
        (0..count).map(move |at| {
            let mut longer = order.clone();
            longer.insert(at, count - 1);
            longer
        })
    };
    shorter.iter().flat_map(with).collect()
}

#[test]
fn exact_shapley_values_are_the_mean_over_all_orders() {
    let case = Case::new(&table(120), EMBEDDED);
    let (model, weights, fitted, train) = case.untrained();
    let (device, space) = (CpuDevice::new(Some(2)), Space::of(&fitted, &train, &weights).unwrap());
    assert_eq!(space.units.iter().map(|u| u.name.as_str()).collect::<Vec<_>>(), ["a", "b", "kind", "day"]);
    let network = Network { model: &*model, weights: &weights, device: &device, space: &space };
    let response = Response { target: &fitted.target, quantiles: &[] };
    let points = Points::of(&space, &train, &[3, 17, 40]);
    let background = Points::of(&space, &train, &[1, 2, 5, 8, 13, 21, 34]);
    let found = shapley(&network, &points, &background, &response, 1, 0).unwrap();
    let mut probe = network.probe(Wanted::Outputs, points.count).unwrap();
    let width = space.width();
    for (row, point) in points.x.chunks(width).enumerate() {
        let mut expected = vec![0.0; 4];
        for order in orders(4) {
            let mut mixed = background.x.clone();
            let mut value = |mixed: &[f32]| {
                let raw = probe.run(mixed, Given::default()).unwrap().swap_remove(0);
                response.of(raw, background.count).iter().sum::<f64>() / background.count as f64
            };
            let mut before = value(&mixed);
            for column in order {
                for other in mixed.chunks_mut(width) {
                    space.units[column].inputs.iter().for_each(|&at| other[at] = point[at]);
                }
                let after = value(&mixed);
                expected[column] += (after - before) / 24.0;
                before = after;
            }
        }
        near(found.values[row * 4..(row + 1) * 4].iter().copied(), &expected, 1e-6, "Shapley");
        let sum: f64 = found.values[row * 4..(row + 1) * 4].iter().sum();
        assert!((sum - (found.predicted[row] - found.base[row])).abs() < 1e-6);
    }
}

#[test]
fn sampled_shapley_values_approach_the_exact_ones_and_sum_alike() {
    // With 14 columns they are sampled; of a linear model, the exact ones are known: w (x - mean).
    let mut contents = (0..14).map(|c| format!("c{c},")).collect::<String>() + "y\n";
    for (row, chunk) in numbers(60 * 14, 3, 1.0).chunks(14).enumerate() {
        let cells: String = chunk.iter().map(|x| format!("{x},")).collect();
        writeln!(contents, "{cells}{}", f64::from(chunk[0]) + row as f64 % 3.0).unwrap();
    }
    let case = Case::new(&contents, "[model]\nhidden = []\n");
    let (model, weights, fitted, train) = case.untrained();
    let (device, space) = (CpuDevice::new(Some(2)), Space::of(&fitted, &train, &weights).unwrap());
    let network = Network { model: &*model, weights: &weights, device: &device, space: &space };
    let response = Response { target: &fitted.target, quantiles: &[] };
    let points = Points::of(&space, &train, &[0, 9]);
    let background = Points::of(&space, &train, &[4, 5, 6, 7]);
    let found = shapley(&network, &points, &background, &response, 2, 0).unwrap();
    let slope = fitted.target.scaling(0).unwrap().invert(1.0) - fitted.target.scaling(0).unwrap().invert(0.0);
    let mean = path::mean(&background, 14);
    let expected: Vec<f64> = points
        .x
        .iter()
        .enumerate()
        .map(|(at, x)| slope * f64::from(weights[0].2[at % 14]) * f64::from(x - mean[at % 14]))
        .collect();
    near(found.values.into_iter(), &expected, 1e-5, "linear");
    assert!(found.errors.iter().all(|error| *error < 1e-5));
}

#[test]
fn attributions_sum_to_differences_of_predictions() {
    let case = Case::new(&table(200), EMBEDDED);
    let run = case.train(40);
    for baseline in [path::Baseline::Mean, path::Baseline::Median] {
        let methods = [Method::Shap, Method::IntegratedGradients];
        let request = Request { methods: &methods, baseline: Some(baseline), ..Request::default() };
        let found = explain(&run, &request, &CpuDevice::new(Some(2))).unwrap().found;
        let attributed = found.integrated_gradients.unwrap();
        // Both explain the same predictions, in the target's own units.
        let shap = found.shap.unwrap();
        assert_eq!(shap.rows, attributed.rows);
        for (a, b) in attributed.explained.iter().zip(&shap.explained) {
            assert!((a.0 - b.0).abs() < 1e-4 * b.0.abs().max(1.0), "{} and {}", a.0, b.0);
        }
        assert_eq!(attributed.columns, ["a", "b", "kind", "day"]);
        assert!(attributed.largest_error.0 < 0.005, "{:?}", attributed.largest_error);
        let differences =
            attributed.explained.iter().zip(&attributed.base).map(|(end, start)| end.0 - start.0);
        let differences: Vec<f64> = differences.collect();
        let largest = differences.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
        for (values, difference) in attributed.values.iter().zip(differences) {
            let error = (values.iter().map(|x| x.0).sum::<f64>() - difference).abs();
            // Where parts cancel, the error is measured by their sizes.
            assert!(error < 0.005 * difference.abs().max(0.2 * largest), "{error}, {difference}, {largest}");
        }
    }
}

#[test]
fn permutation_importance_is_that_of_permuted_cells() {
    let contents = table(150);
    let more = "[data.clean]\nindicators = true\n[model]\nhidden = [12]\n[train]\nepochs = 3\nbatch_size = \
        16\n";
    let case = Case::new(&contents, more);
    let (run, device) = (case.train(60), CpuDevice::new(Some(2)));
    let input = case.folder.path().join("input.csv");
    std::fs::write(&input, &contents).unwrap();
    let selection = Selection { input: Some(&input), ..Selection::default() };
    let methods = [Method::Permutation];
    let groups = ["a, day".to_string()];
    let request =
        Request { selection, methods: &methods, groups: &groups, repeats: 3, seed: 11, ..Request::default() };
    let found = explain(&run, &request, &device).unwrap().found.permutation.unwrap();
    let clean = evaluate(&run, Some(&input), None, None, &device).unwrap().metrics;
    let lines: Vec<Vec<&str>> = contents.lines().map(|line| line.split(',').collect()).collect();
    let permuted = case.folder.path().join("permuted.csv");
    // The group stands where its first column stood.
    for (unit, (name, columns)) in
        [("a + day", vec![0, 3]), ("b", vec![1]), ("kind", vec![2])].iter().enumerate()
    {
        let mut changes = BTreeMap::<&str, Vec<f64>>::new();
        for repeat in 0..3 {
            let order = permutation::order(150, 11, unit, repeat);
            let cell = |row: usize, column: usize| {
                let moved = row > 0 && columns.contains(&column);
                let row = if moved { 1 + order[row - 1] as usize } else { row };
                lines[row][column]
            };
            let text: Vec<String> = (0..151)
                .map(|row| (0..5).map(|column| cell(row, column)).collect::<Vec<_>>().join(","))
                .collect();
            std::fs::write(&permuted, text.join("\n")).unwrap();
            let after = evaluate(&run, Some(&permuted), None, None, &device).unwrap().metrics;
            for (metric, sign) in [("mae", 1.0), ("r2", -1.0)] {
                let change = after.get(metric).unwrap() - clean.get(metric).unwrap();
                changes.entry(metric).or_default().push(sign * change);
            }
        }
        for (metric, each) in changes {
            let of = found.by_metric.iter().find(|of| of.metric == metric).unwrap();
            let column = of.columns.iter().find(|c| c.column == *name).unwrap();
            let mean = each.iter().sum::<f64>() / 3.0;
            let deviation = (each.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 3.0).sqrt();
            assert!(
                (column.mean.0 - mean).abs() < 1e-6,
                "{name} {metric}: {:?}, expected {mean}",
                column.mean
            );
            assert!((column.deviation.0 - deviation).abs() < 1e-6, "{name} {metric}");
        }
    }
}

#[test]
fn effects_of_a_linear_model_are_its_slopes() {
    let contents = (0..80).fold("a,b,y\n".to_string(), |text, i| {
        let (a, b) = (f64::from(i % 10), f64::from(i % 7));
        text + &format!("{a},{b},{}\n", 2.0 * a - b)
    });
    let case = Case::new(&contents, "[model]\nhidden = []\n[train]\nepochs = 2\n");
    let (run, device) = (case.train(5), CpuDevice::new(Some(2)));
    let methods = [Method::Effects, Method::IntegratedGradients, Method::Shap];
    let request = Request { methods: &methods, ..Request::default() };
    let found = explain(&run, &request, &device).unwrap().found;
    for effect in &found.effects.unwrap().columns {
        let slopes = |curve: &[gridlight::base::number::Number]| -> Vec<f64> {
            let points: Vec<(f64, f64)> = effect.at.iter().zip(curve).map(|(x, y)| (x.0, y.0)).collect();
            points.windows(2).map(|p| (p[1].1 - p[0].1) / (p[1].0 - p[0].0)).collect()
        };
        let partial = slopes(&effect.partial_dependence[0]);
        let expected = vec![partial[0]; partial.len()];
        near(partial.iter().copied(), &expected, 1e-4, "partial dependence");
        near(slopes(&effect.accumulated_local_effects[0]).into_iter(), &expected, 1e-4, "local effects");
    }
    // Relative to the same mean, both divide a linear prediction alike; here the background is a part of the
    // rows.
    let (shap, gradients) = (found.shap.unwrap(), found.integrated_gradients.unwrap());
    let shifts: Vec<f64> = shap.values.iter().zip(&gradients.values).map(|(a, b)| a[0].0 - b[0].0).collect();
    near(shifts.iter().copied(), &vec![shifts[0]; shifts.len()], 1e-4, "constant distance");
}

#[test]
fn the_same_seed_gives_the_same_explanations_and_attacks() {
    let case = Case::new(&table(160), EMBEDDED);
    let run = case.train(30);
    let all = |seed, threads| {
        let device = CpuDevice::new(Some(threads));
        let explained = explain(&run, &Request { seed, ..Request::default() }, &device).unwrap();
        let request = robustness::Request { seed, steps: 4, ..robustness::Request::default() };
        let tested = robustness(&run, &request, &device).unwrap();
        (explained.html, tested.html)
    };
    let first = all(3, 2);
    assert_eq!(first, all(3, 1));
    assert_ne!(first, all(4, 2));
    assert!(first.0.contains("Shapley") && first.1.contains("pgd"));
}

#[test]
fn rollout_divides_the_attention_among_columns_or_steps() {
    let mut text = "a,b,c,y\n".to_string();
    for i in 0..120 {
        writeln!(text, "{},{},{},{}", i % 7, i % 5, i % 3, i % 11).unwrap();
    }
    let model = "[model]\nfamily = \"transformer\"\nwidth = 8\nheads = 2\n[train]\nepochs = 1\n";
    let case = Case::new(&text, model);
    let request = Request { methods: &[Method::Rollout], ..Request::default() };
    let device = CpuDevice::new(Some(2));
    let rollout = |run: &Path| explain(run, &request, &device).unwrap().found.rollout.unwrap();
    let found = rollout(&case.train(3));
    assert_eq!(found.columns, ["a", "b", "c"]);
    assert!(found.largest_error.0 < 1e-5, "{:?}", found.largest_error);
    assert!(found.values.iter().flatten().all(|part| part.0 > 0.0));
    // Of a window, each step.
    let window = "[data.window]\nlength = 4\n[data.split]\nby = \"order\"\n";
    let series = Case::new(&text, &format!("{window}{model}"));
    let found = rollout(&series.train(2));
    assert_eq!(found.columns[..2], ["3 steps before it", "2 steps before it"]);
    assert_eq!(found.columns.len(), 4);
    assert!(found.largest_error.0 < 1e-5);
    let dense = Case::new(&text, "[train]\nepochs = 1\n");
    let error = explain(&dense.train(1), &request, &device).unwrap_err().to_string();
    assert!(error.contains("no attention"), "{error}");
}
