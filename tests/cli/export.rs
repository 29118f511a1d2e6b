//! Exported models: what an ONNX file holds, and what cannot be exported. Whether other programs compute the
//! same is checked by `tests/long/onnx.py`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use gridlight::onnx::proto::{Extent, Graph, Model, Tensor, ValueInfo};
use prost::Message;

use super::{Ended, gridlight, table, workplace};

/// Exports `run` as ONNX and reads the file.
fn export(directory: &Path, run: &str, more: &[&str]) -> Model {
    let arguments = [&["export", run, "--output", "model.onnx"], more].concat();
    let ended = gridlight(directory, &arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    Model::decode(&fs::read(directory.join("model.onnx")).unwrap()[..]).unwrap()
}

fn train(directory: &Path, name: &str, rest: &str) {
    fs::write(directory.join("any.toml"), format!("name = \"{name}\"\n{rest}")).unwrap();
    let ended = gridlight(directory, &["train", "any.toml", "--device", "cpu", "--max-steps", "3"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

fn graph(model: &Model) -> &Graph {
    model.graph.as_ref().unwrap()
}

/// Name, element type and shape of inputs or outputs.
fn ports(values: &[ValueInfo]) -> Vec<(String, i32, String)> {
    let of = |value: &ValueInfo| {
        let tensor = value.r#type.as_ref().unwrap().tensor_type.as_ref().unwrap();
        let extents =
            tensor.shape.as_ref().unwrap().dim.iter().map(|dim| match dim.value.as_ref().unwrap() {
                Extent::Value(n) => n.to_string(),
                Extent::Name(name) => name.clone(),
            });
        (value.name.clone(), tensor.elem_type, extents.collect::<Vec<_>>().join(" "))
    };
    values.iter().map(of).collect()
}

fn port(name: &str, elements: i32, shape: &str) -> (String, i32, String) {
    (name.into(), elements, shape.into())
}

fn operators(model: &Model) -> Vec<&str> {
    graph(model).node.iter().map(|node| node.op_type.as_str()).collect()
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    let bytes = tensor.raw_data.as_ref().unwrap();
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

/// The tensors of a safetensors file: shape and elements by name.
fn tensors(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let bytes = fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let all = file.tensors().into_iter();
    all.map(|(name, view)| {
        let numbers =
            view.data().chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
        (name, (view.shape().to_vec(), numbers))
    })
    .collect()
}

/// Every name is defined once, before it is used.
fn assert_in_order(model: &Model) {
    let graph = graph(model);
    let mut known: Vec<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    known.extend(graph.input.iter().map(|input| input.name.as_str()).filter(|name| *name != "noise"));
    for node in &graph.node {
        for input in node.input.iter().filter(|input| !input.is_empty()) {
            assert!(known.contains(&input.as_str()), "{} reads {input}", node.name);
        }
        for output in node.output.iter().filter(|output| !output.is_empty()) {
            assert!(!known.contains(&output.as_str()), "{output} is defined twice");
            known.push(output);
        }
    }
    for output in &graph.output {
        assert!(known.contains(&output.name.as_str()), "{} is nowhere computed", output.name);
    }
}

#[test]
fn a_table_model_reads_raw_columns_and_has_the_weights_of_the_run() {
    let place = workplace();
    let model = export(place.path(), "runs/small", &[]);
    assert_in_order(&model);
    assert_eq!((model.ir_version, model.producer_name.as_str()), (8, "gridlight"));
    let opsets: Vec<_> = model.opset_import.iter().map(|o| (o.domain.as_str(), o.version)).collect();
    assert_eq!(opsets, [("", 17), ("ai.onnx.ml", 3)]);
    let (float, string) = (1, 8);
    let expected = [port("a", float, "N 1"), port("b", float, "N 1"), port("kind", string, "N 1")];
    assert_eq!(ports(&graph(&model).input), expected);
    assert_eq!(ports(&graph(&model).output), [port("prediction", float, "N 1")]);
    assert!(operators(&model).ends_with(&["Gemm", "Relu", "Gemm", "Mul", "Add", "Identity"]));
    let ended = gridlight(place.path(), &["export", "runs/small", "--output", "w.safetensors"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let weights = tensors(&place.path().join("w.safetensors"));
    let best = tensors(&place.path().join("runs/small/best.safetensors"));
    assert_eq!(weights, best);
    let names: Vec<&str> = weights.keys().map(String::as_str).collect();
    assert_eq!(names, ["0.bias", "0.weight", "2.bias", "2.weight"]);
    for (name, (shape, data)) in &weights {
        let found = graph(&model).initializer.iter().find(|tensor| tensor.name == *name).unwrap();
        let dims: Vec<usize> = found.dims.iter().map(|&n| n as usize).collect();
        assert_eq!((dims, floats(found)), (shape.clone(), data.clone()), "{name}");
    }
    let entry = |key: &str| model.metadata_props.iter().find(|e| e.key == key).map(|e| e.value.as_str());
    assert_eq!((entry("target"), entry("outputs")), (Some("y"), Some("[\"y\"]")));
    assert_eq!(entry("gridlight.run").unwrap().len(), 64);
    assert!(model.doc_string.contains("column `kind`: a name as in the file"), "{}", model.doc_string);
}

#[test]
fn the_bare_network_reads_features() {
    let place = workplace();
    let model = export(place.path(), "runs/small", &["--raw"]);
    assert_eq!(ports(&graph(&model).input), [port("x", 1, "N 4")]);
    assert_eq!(ports(&graph(&model).output), [port("output", 1, "N 1")]);
    assert_eq!(operators(&model), ["Gemm", "Relu", "Gemm", "Identity"]);
}

#[test]
fn classes_have_a_label_and_probabilities() {
    let place = workplace();
    let rest = "data = { source = \"table.csv\", target = \"kind\" }\n\
                train = { loss = \"bce_with_logits\" }\nmodel = { hidden = [4], norm = \"batch\" }";
    train(place.path(), "classes", rest);
    let model = export(place.path(), "runs/classes", &[]);
    assert_in_order(&model);
    let expected = [port("label", 8, "N"), port("probabilities", 1, "N 2")];
    assert_eq!(ports(&graph(&model).output), expected);
    let classes = model.metadata_props.iter().find(|entry| entry.key == "classes").unwrap();
    assert_eq!(classes.value, "[\"blue\",\"red\"]");
    assert!(operators(&model).contains(&"BatchNormalization"));
}

#[test]
fn recurrent_layers_are_one_node_each_with_gates_in_the_order_of_onnx() {
    let place = workplace();
    let rest = "data = { source = \"table.csv\", target = \"y\", features = [], window = { length = 4 }, \
                split = { by = \"order\" } }\nmodel = { family = \"rnn\", cell = \"lstm\", hidden = [3] }";
    train(place.path(), "series", rest);
    let model = export(place.path(), "runs/series", &[]);
    assert_in_order(&model);
    assert_eq!(ports(&graph(&model).input), [port("y", 1, "N 4 1")]);
    let lstm = graph(&model).node.iter().find(|node| node.op_type == "LSTM").unwrap();
    assert!(lstm.attribute.iter().all(|attribute| attribute.name != "layout"), "{lstm:?}");
    let find = |name: &String| graph(&model).initializer.iter().find(|t| t.name == *name).unwrap();
    let weights = tensors(&place.path().join("runs/series/best.safetensors"));
    let (w, b) = (find(&lstm.input[1]), find(&lstm.input[3]));
    assert_eq!((w.name.as_str(), &w.dims[..]), ("rnn.weight_ih_l0", &[1, 12, 1][..]));
    // i, f, g, o become i, o, f, g.
    let reordered = |x: &[f32]| [&x[..3], &x[9..], &x[3..9]].concat();
    assert_eq!(floats(w), reordered(&weights["rnn.weight_ih_l0"].1));
    let both = ["rnn.bias_ih_l0", "rnn.bias_hh_l0"].map(|name| reordered(&weights[name].1)).concat();
    assert_eq!(floats(b), both);
}

#[test]
fn large_numbers_come_in_double_precision() {
    let place = workplace();
    let rows: String = table().lines().enumerate().fold(String::new(), |all, (at, line)| {
        all + &if at == 0 {
            format!("{line},mass\n")
        } else {
            format!("{line},{}.25\n", 100_000 + 3 * at % 7)
        }
    });
    fs::write(place.path().join("table.csv"), rows).unwrap();
    train(
        place.path(),
        "heavy",
        "data = { source = \"table.csv\", target = \"y\", features = [\"a\", \"mass\"] }",
    );
    let model = export(place.path(), "runs/heavy", &[]);
    assert_eq!(ports(&graph(&model).input), [port("a", 1, "N 1"), port("mass", 11, "N 1")]);
}

fn refused(ended: &Ended, parts: &[&str]) {
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{}", ended.stderr);
    for part in parts {
        assert!(ended.stderr.contains(part), "no {part:?} in {}", ended.stderr);
    }
}

#[test]
fn what_cannot_be_exported_is_refused_and_nothing_is_written() {
    let place = workplace();
    let export = |run: &str, output: &str| gridlight(place.path(), &["export", run, "--output", output]);
    refused(&export("runs/small", "model.pb"), &["model.pb", ".onnx or .safetensors"]);
    refused(&export("table.csv", "model.onnx"), &["is not a run directory"]);
    let best = "runs/small/best.safetensors";
    let before = fs::read(place.path().join(best)).unwrap();
    refused(&export("runs/small", best), &["which would be lost"]);
    assert_eq!(fs::read(place.path().join(best)).unwrap(), before);
    let rest = "model = { family = \"vae\" }\ndata = { source = \"table.csv\", features = [\"a\", \"b\", \"y\"]\
                , transform = { numbers = \"quantile\" } }";
    train(place.path(), "ranks", rest);
    refused(&export("runs/ranks", "model.onnx"), &["by their quantiles", "not available in ONNX", "--raw"]);
    assert!(!place.path().join("model.onnx").exists());
    let bare = gridlight(place.path(), &["export", "runs/ranks", "--output", "model.onnx", "--raw"]);
    assert_eq!(bare.code, Some(0), "{}", bare.stderr);
}

#[test]
fn a_run_whose_parts_do_not_fit_is_an_error() {
    let place = workplace();
    let file = place.path().join("runs/small/experiment.toml");
    let export = || gridlight(place.path(), &["export", "runs/small", "--output", "model.onnx"]);
    let experiment = fs::read_to_string(&file).unwrap();
    fs::write(&file, experiment.replace("hidden = [8]", "hidden = [9]")).unwrap();
    refused(&export(), &["best.safetensors", "tensor `0.weight` has shape [8, 4]", "[9, 4]"]);
    fs::write(&file, experiment.replace("\"relu\"", "\"rely\"")).unwrap();
    refused(&export(), &["experiment.toml"]);
    fs::write(&file, experiment).unwrap();
    let best = place.path().join("runs/small/best.safetensors");
    let bytes = fs::read(&best).unwrap();
    for at in (0..bytes.len()).step_by(37) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        fs::write(&best, damaged).unwrap();
        refused(&export(), &["best.safetensors"]);
    }
    assert!(!place.path().join("model.onnx").exists());
}

#[test]
fn json_lists_what_goes_in_and_comes_out() {
    let place = workplace();
    let ended = gridlight(place.path(), &["export", "runs/small", "--output", "model.onnx", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&report["format"], &report["opset"]), (&"onnx".into(), &17.into()));
    assert_eq!(report["inputs"][2]["type"], "string");
    assert_eq!(report["outputs"][0]["shape"], serde_json::json!(["N", 1]));
}

#[test]
fn what_follows_from_the_loss_is_in_the_graph_or_refused() {
    let place = workplace();
    let rows: String = (0..90).map(|i| format!("{i},{},{}\n", i % 4, ["no", "yes"][i / 3 % 2])).collect();
    fs::write(place.path().join("counts.csv"), format!("a,n,c\n{rows}")).unwrap();
    let data = |target: &str| format!("[data]\nsource = \"counts.csv\"\ntarget = \"{target}\"\n[train]\n");
    train(place.path(), "rates", &(data("n") + "loss = \"poisson\""));
    assert!(operators(&export(place.path(), "runs/rates", &[])).ends_with(&["Exp", "Identity"]));
    train(place.path(), "above", &(data("c") + "loss = \"cross_entropy\"\nthreshold = 0.3"));
    let model = export(place.path(), "runs/above", &[]);
    assert!(operators(&model).contains(&"Greater") && !operators(&model).contains(&"ArgMax"));
    train(place.path(), "bands", &(data("n") + "loss = { type = \"quantile\", quantiles = [0.1, 0.9] }"));
    let ended = gridlight(place.path(), &["export", "runs/bands", "--output", "m.onnx"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("quantiles"), "{}", ended.stderr);
    let model = export(place.path(), "runs/bands", &["--raw"]);
    assert_eq!(ports(&graph(&model).output), [port("output", 1, "N 2")]);
}

#[test]
fn the_generator_of_an_adversarial_pair_leaves_without_its_discriminator() {
    let place = workplace();
    let rest = "model = { family = \"gan\", latent = 3, hidden = [5], conditional = true, norm = \"batch\" }\n\
                data = { source = \"table.csv\", features = [\"a\", \"b\"], target = \"kind\" }";
    train(place.path(), "pair", rest);
    let model = export(place.path(), "runs/pair", &[]);
    assert_in_order(&model);
    let [code, class] = &ports(&graph(&model).input)[..] else { panic!("two inputs") };
    assert_eq!((code, class), (&port("code", 1, "N 3"), &port("kind", 8, "N 1")));
    assert_eq!(ports(&graph(&model).output), [port("drawn", 1, "N 2")]);
    let names: Vec<&str> = graph(&model).initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    assert!(names.iter().all(|name| !name.starts_with("discriminator")), "{names:?}");
    let model = export(place.path(), "runs/pair", &["--raw"]);
    assert_eq!(ports(&graph(&model).input), [port("code", 1, "N 3"), port("class", 7, "N")]);
}

#[test]
fn attention_leaves_as_products_and_a_softmax() {
    let place = workplace();
    let text: String = (0..400).map(|i| char::from(b'a' + (i * i % 7) as u8)).collect();
    fs::write(place.path().join("t.txt"), text).unwrap();
    let data = "[data]\nsource = \"t.txt\"\ntext = { length = 6 }\nsplit = { by = \"order\" }\n[model]\n";
    for positions in ["rotary", "alibi"] {
        let model = format!(
            "family = \"transformer\"\nwidth = 8\nheads = 2\nblocks = 1\npositions = \"{positions}\"\n"
        );
        train(place.path(), positions, &format!("{data}{model}"));
        let model = export(place.path(), &format!("runs/{positions}"), &[]);
        assert_in_order(&model);
        assert!(operators(&model).contains(&"Softmax") && operators(&model).contains(&"LayerNormalization"));
        // Its masks have the length of the training sequences, and nothing is carried over.
        let symbols = graph(&model).output[0].clone();
        assert_eq!(ports(&graph(&model).input), [port("tokens", 7, "N 6")]);
        assert_eq!(ports(&[symbols]), [port("logits", 1, "N 6 5")]);
    }
}
