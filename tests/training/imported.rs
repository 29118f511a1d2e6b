//! Models of others in training: they follow PyTorch, keep what is frozen, and change their heads.

use std::path::Path;

use gridlight::device::cpu::CpuDevice;
use gridlight::experiment::Experiment;
use gridlight::onnx::import::Imported;
use gridlight::onnx::import::known::{Kind, Known};
use gridlight::onnx::import::model::Stored;
use gridlight::run::job::Options;
use gridlight::run::{export, imported, trainer};
use gridlight::train::checkpoint::{self, NamedTensor};
use gridlight::train::foreign;
use serde_json::Value;

use super::silent::Silent;

const PLACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pytorch");

fn expected() -> Value {
    serde_json::from_slice(&std::fs::read(Path::new(PLACE).join("imported.json")).unwrap()).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// A directory with the rows of a model and an experiment that trains it on all of them.
fn workplace(name: &str, more: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let found = expected();
    let model = &found["models"][name];
    let rows = model["x"].as_array().unwrap();
    let (x, y) = (rows.iter().map(floats).collect::<Vec<_>>(), floats(&model["y"]));
    let width = x[0].len();
    let mut csv: String = (0..width).map(|at| format!("x{at},")).collect::<String>() + "y\n";
    // Twice, so that as many rows validate as train.
    for _ in 0..2 {
        for (row, y) in x.iter().zip(&y) {
            csv += &(row.iter().map(|x| format!("{x},")).collect::<String>() + &format!("{y}\n"));
        }
    }
    std::fs::write(directory.path().join("rows.csv"), csv).unwrap();
    let shape = if name == "cnn" { "[data.image]\nshape = [1, 4, 4]\n" } else { "" };
    let text = format!(
        "name = \"x\"\n[data]\nsource = \"rows.csv\"\ntarget = \"y\"\n\
         [data.transform]\nnumbers = \"none\"\ntarget = \"none\"\n{shape}\
         [data.split]\nby = \"order\"\nvalidation = 0.5\ntest = 0.0\n\
         [model]\nfrom = \"{PLACE}/imported-{name}.onnx\"\n{more}"
    );
    std::fs::write(directory.path().join("x.toml"), text).unwrap();
    directory
}

/// The last weights, and the losses of all epochs.
fn trained(directory: &Path, sets: &[&str]) -> (Vec<NamedTensor>, Vec<f64>) {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    let experiment = Experiment::read(&directory.join("x.toml"), &sets).unwrap();
    let data = trainer::load_data(&experiment, directory).unwrap();
    let out = directory.join("run");
    let options = Options { out: out.clone(), without_report: true, ..Options::default() };
    let outcome =
        trainer::train(&experiment, &data, &CpuDevice::new(Some(1)), &options, &mut Silent).unwrap();
    let checkpoints = checkpoint::list(&out.join("checkpoints"));
    let last = checkpoint::load(&checkpoints.last().unwrap().1).unwrap().0;
    (last, outcome.history.iter().map(|row| row.train_loss).collect())
}

fn tensor<'t>(all: &'t [NamedTensor], name: &str) -> &'t [f32] {
    &all.iter().find(|(known, ..)| known == name).unwrap_or_else(|| panic!("no {name}")).2
}

#[test]
fn an_imported_model_trains_as_in_pytorch() {
    for name in ["mlp", "cnn", "lstm"] {
        for (rule, rate) in [("sgd", "0.05"), ("adam", "0.01")] {
            let directory = workplace(name, "[train]\nbatch_size = 8\nepochs = 50\nshuffle = false\n");
            let (last, losses) = trained(
                directory.path(),
                &[&format!("train.optimizer={rule}"), &format!("train.learning_rate={rate}")],
            );
            let found = expected();
            let wanted = floats(&found["models"][name][rule]["losses"]);
            assert_eq!(losses.len(), wanted.len());
            for (got, wanted) in losses.iter().zip(&wanted) {
                assert!((got - wanted).abs() < 1e-4, "{name} {rule}: a loss of {got} instead of {wanted}");
            }
            for (tensor_name, values) in found["models"][name][rule]["weights"].as_object().unwrap() {
                let (wanted, got) = (floats(values), tensor(&last, tensor_name));
                for (wanted, got) in wanted.iter().zip(got) {
                    let error = (wanted - f64::from(*got)).abs();
                    assert!(error < 1e-4, "{name} {rule} {tensor_name}: {got} instead of {wanted}");
                }
            }
        }
    }
}

#[test]
fn what_is_frozen_keeps_its_bits_and_the_rest_is_trained() {
    let more = "head = \"new\"\n[train]\nbatch_size = 8\nepochs = 100\nfreeze = [\"0.*\", \"1.*\"]\n\
                optimizer = { type = \"adamw\", weight_decay = 0.1 }\nlearning_rate = 0.01\n";
    let directory = workplace("cnn", more);
    let experiment = Experiment::read(&directory.path().join("x.toml"), &[]).unwrap();
    let data = trainer::load_data(&experiment, directory.path()).unwrap();
    let model = trainer::model_of(&experiment, &data.fitted, &data.train).unwrap();
    let begin = model.graph(8, true).unwrap();
    assert_eq!(
        begin.gradients.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["head.weight", "head.bias"]
    );
    assert!(begin.updates.is_empty(), "statistics of a frozen norm are renewed");
    let (last, _) = trained(directory.path(), &[]);
    for (name, given) in &begin.given {
        let bits = |data: &[f32]| data.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(tensor(&last, name)), bits(given), "{name}");
    }
    assert!(tensor(&last, "head.bias").iter().all(|x| *x != 0.0));
}

#[test]
fn adapters_of_an_imported_network_are_trained_alone_and_merged_when_it_is_exported() {
    let more = "lora = { rank = 2, alpha = 4 }\n[train]\nbatch_size = 8\nepochs = 20\nlearning_rate = 0.01\n";
    let directory = workplace("mlp", more);
    let place = directory.path();
    let (last, _) = trained(place, &[]);
    let experiment = Experiment::read(&place.join("x.toml"), &[]).unwrap();
    let data = trainer::load_data(&experiment, place).unwrap();
    let model = trainer::model_of(&experiment, &data.fitted, &data.train).unwrap();
    let begin = model.graph(8, true).unwrap();
    let bits = |data: &[f32]| data.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    for (name, given) in &begin.given {
        assert_eq!(bits(tensor(&last, name)), bits(given), "{name}");
    }
    assert!(begin.gradients.iter().all(|(name, _)| name.contains(".lora_")), "{:?}", begin.gradients);
    assert!(begin.gradients.len() >= 4);
    for (name, _) in begin.gradients.iter().filter(|(name, _)| name.contains("lora_B")) {
        assert!(tensor(&last, name).iter().any(|x| *x != 0.0), "{name} is not trained");
    }
    let bytes = export::onnx(&place.join("run"), true).unwrap().bytes;
    std::fs::write(place.join("merged.onnx"), bytes).unwrap();
    let merged = Imported::read(&place.join("merged.onnx")).unwrap();
    assert!(!merged.source.tensors.keys().any(|name| name.contains("lora")));
    for (name, given) in begin.given.iter().filter(|(name, _)| name.ends_with(".weight")) {
        let layer = name.strip_suffix(".weight").unwrap();
        let of = |end: &str| tensor(&last, &format!("{layer}.lora_{end}.weight"));
        let (a, b) = (of("A"), of("B"));
        let Some(Stored::Weights { shape, data }) = merged.source.tensors.get(name) else {
            panic!("no {name}")
        };
        let (rows, columns) = (shape[0], shape[1]);
        for (at, w) in data.iter().enumerate() {
            let change = |r: usize| b[at / columns * 2 + r] * a[r * columns + at % columns];
            let wanted = given[at] + 2.0 * (change(0) + change(1));
            assert!((w - wanted).abs() < 1e-5, "{name} {rows} x {columns}: {w} instead of {wanted}");
        }
    }
    // A new last layer is trained as a whole, and has no adapter.
    let (last, _) = trained(place, &["model.head=new"]);
    let names: Vec<&str> = last.iter().map(|(name, ..)| name.as_str()).collect();
    assert!(!names.iter().any(|name| name.starts_with("head.lora")), "{names:?}");
    assert!(tensor(&last, "head.bias").iter().all(|x| *x != 0.0));
}

#[test]
fn groups_have_rates_of_their_own() {
    let more =
        "[train]\nbatch_size = 8\nepochs = 1\nshuffle = false\noptimizer = \"sgd\"\nlearning_rate = 0.1\n";
    let of = |sets: &[&str]| trained(workplace("mlp", more).path(), sets).0;
    let start = {
        let directory = workplace("mlp", more);
        let experiment = Experiment::read(&directory.path().join("x.toml"), &[]).unwrap();
        let data = trainer::load_data(&experiment, directory.path()).unwrap();
        trainer::model_of(&experiment, &data.fitted, &data.train).unwrap().graph(8, true).unwrap().given
    };
    let plain = of(&[]);
    let grouped = of(&["train.group=[{parameters=\"0.*\",learning_rate=0.01}]"]);
    for (name, given) in &start {
        let factor = if name.starts_with("0.") { 0.1 } else { 1.0 };
        for ((plain, grouped), start) in
            tensor(&plain, name).iter().zip(tensor(&grouped, name)).zip(given.iter())
        {
            let (wanted, got) = (f64::from(plain - start) * factor, f64::from(grouped - start));
            assert!((wanted - got).abs() < 1e-6, "{name}: a step of {got} instead of {wanted}");
        }
    }
}

#[test]
fn an_exported_model_is_imported_again() {
    let directory = workplace("cnn", "[train]\nbatch_size = 8\nepochs = 3\n");
    let place = directory.path();
    let found = expected();
    let x: Vec<f64> = found["models"]["cnn"]["x"].as_array().unwrap().iter().flat_map(floats).collect();
    let x = Known { kind: Kind::Float, shape: vec![8, 1, 4, 4], data: x };
    // What the network of the run computes, as others would run it.
    let exported = |file: &str| {
        let bytes = export::onnx(&place.join("run"), true).unwrap().bytes;
        std::fs::write(place.join(file), bytes).unwrap();
        let model = Imported::read(&place.join(file)).unwrap();
        let inputs = [(model.source.inputs[0].name.clone(), x.clone())].into();
        let outputs = imported::run(&model, &inputs, &CpuDevice::new(Some(1))).unwrap();
        outputs[0].1.data.numbers().iter().map(|x| x.0).collect::<Vec<f64>>()
    };
    trained(place, &[]);
    let first = exported("first.onnx");
    let text = std::fs::read_to_string(place.join("x.toml")).unwrap();
    std::fs::write(place.join("x.toml"), text.replace(&format!("{PLACE}/imported-cnn.onnx"), "first.onnx"))
        .unwrap();
    // Steps too small to change a bit.
    trained(place, &["train.learning_rate=1e-30", "train.optimizer=sgd", "train.freeze=[\"1.*\"]"]);
    let second = exported("second.onnx");
    assert_eq!(first.len(), 8);
    for (first, second) in first.iter().zip(&second) {
        assert!((first - second).abs() < 1e-6, "{second} instead of {first}");
    }
}

#[test]
fn files_of_pytorch_are_read_without_running_them() {
    let (tensors, meta) = foreign::load(&Path::new(PLACE).join("imported.pt")).unwrap();
    assert!(meta.is_none());
    let found = expected();
    let wanted = found["weights"].as_object().unwrap();
    assert_eq!(tensors.len(), wanted.len());
    for (name, shape, data) in &tensors {
        let shape: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
        assert_eq!(serde_json::json!(shape), wanted[name]["shape"], "{name}");
        let values: Vec<f32> = floats(&wanted[name]["data"]).into_iter().map(|x| x as f32).collect();
        assert_eq!(*data, values, "{name}");
    }
    let (nested, _) = foreign::load(&Path::new(PLACE).join("imported-nested.pt")).unwrap();
    assert_eq!(nested.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), ["bias", "weight"]);
}
