//! Exported training steps and Python programs: what the files hold, and what is refused. Whether other programs compute
//! the same is checked by `tests/long/onnx_step.py`, `python_export.py` and `lora.py`.

use std::fs;
use std::path::Path;

use gridlight::onnx::proto::Model;
use prost::Message;

use super::{Ended, gridlight, workplace};

fn export(directory: &Path, run: &str, option: &str, file: &str) -> Ended {
    gridlight(directory, &["export", run, option, file])
}

fn train(directory: &Path, name: &str, sets: &[&str]) -> Ended {
    let out = format!("runs/{name}");
    let mut arguments = vec!["train", "small.toml", "--device", "cpu", "--max-steps", "3", "--out", &out];
    sets.iter().for_each(|set| arguments.extend(["--set", set]));
    gridlight(directory, &arguments)
}

fn assert_refused(ended: &Ended, wanted: &[&str]) {
    super::assert_refused(ended, wanted, "export");
}

/// What the command line itself refuses, with its usage.
fn assert_usage(ended: &Ended, wanted: &str) {
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains(wanted), "{}", ended.stderr);
}

fn written(ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn a_training_step_has_weights_and_state_in_and_out() {
    let place = workplace();
    written(&export(place.path(), "runs/small", "--training-step", "step.onnx"));
    let model = Model::decode(&fs::read(place.path().join("step.onnx")).unwrap()[..]).unwrap();
    let graph = model.graph.as_ref().unwrap();
    let inputs: Vec<&str> = graph.input.iter().map(|input| input.name.as_str()).collect();
    let outputs: Vec<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
    for name in ["x", "y", "step", "learning_rate", "0.weight", "optimizer.0.0.weight", "optimizer.1.2.bias"]
    {
        assert!(inputs.contains(&name), "{name} is not among {inputs:?}");
    }
    assert!(outputs.contains(&"loss") && outputs.contains(&"next.0.weight"), "{outputs:?}");
    let state = model.metadata_props.iter().find(|entry| entry.key == "gridlight.state").unwrap();
    let state: std::collections::BTreeMap<String, String> = serde_json::from_str(&state.value).unwrap();
    assert_eq!(state.len() + 1, outputs.len());
    for (before, after) in &state {
        assert!(inputs.contains(&before.as_str()) && outputs.contains(&after.as_str()), "{before}: {after}");
        // Without being given, they are those of the run.
        assert!(graph.initializer.iter().any(|tensor| tensor.name == *before), "{before}");
    }
    // Nothing but the standard's operators.
    assert!(model.opset_import.iter().all(|opset| opset.domain.is_empty()));
}

#[test]
fn random_tensors_of_a_step_are_inputs() {
    let place = workplace();
    written(&train(place.path(), "dropped", &["model.dropout=0.25", "train.optimizer=nadam"]));
    written(&export(place.path(), "runs/dropped", "--training-step", "step.onnx"));
    let model = Model::decode(&fs::read(place.path().join("step.onnx")).unwrap()[..]).unwrap();
    let random = model.metadata_props.iter().find(|entry| entry.key == "gridlight.random").unwrap();
    let random: serde_json::Value = serde_json::from_str(&random.value).unwrap();
    let inputs = &model.graph.as_ref().unwrap().input;
    assert!(!random.as_object().unwrap().is_empty());
    for (name, drawn) in random.as_object().unwrap() {
        assert!(inputs.iter().any(|input| input.name == *name), "{name}");
        assert_eq!(
            (&drawn["distribution"], drawn["probability"].as_f64()),
            (&"bernoulli".into(), Some(0.75))
        );
    }
}

#[test]
fn what_a_step_does_outside_of_its_graph_is_refused_by_key() {
    let place = workplace();
    let refused = |sets: &[&str], wanted: &[&str]| {
        written(&train(place.path(), "other", sets));
        let ended = export(place.path(), "runs/other", "--training-step", "step.onnx");
        assert_refused(&ended, wanted);
        assert!(!place.path().join("step.onnx").exists());
    };
    refused(&["train.accumulate=2"], &["micro-batches", "`train.accumulate`"]);
    refused(&["data.augment.noise=0.1"], &["`data.augment.noise`"]);
    let long = "train.optimizer={ type = \"nadam\", betas = [0.99999, 0.999], momentum_decay = 1.0 }";
    refused(&[long], &["65536 steps", "betas"]);
    let step = |run: &str, file: &str| export(place.path(), run, "--training-step", file);
    assert_refused(&step("runs/small", "step.pb"), &["step.pb", "must end in .onnx"]);
    assert_refused(&step("runs/nowhere", "step.onnx"), &["runs/nowhere", "is not a run directory"]);
    let ended = step("runs/small", "nowhere/step.onnx");
    assert!(ended.code != Some(0) && ended.stderr.contains("there is no folder nowhere"), "{}", ended.stderr);
    let both = ["export", "runs/small", "--training-step", "a.onnx", "--output", "b.onnx"];
    assert_usage(&gridlight(place.path(), &both), "cannot be used with");
    assert_usage(&gridlight(place.path(), &["export", "runs/small"]), "--output");
    fs::remove_dir_all(place.path().join("runs/small/checkpoints")).unwrap();
    assert_refused(&step("runs/small", "step.onnx"), &["no checkpoint"]);
}

#[test]
fn a_python_program_lies_beside_its_weights() {
    let place = workplace();
    written(&export(place.path(), "runs/small", "--python", "model.py"));
    let program = fs::read_to_string(place.path().join("model.py")).unwrap();
    for part in
        ["class Model(nn.Module)", "nn.Linear(4, 8", "\"model.safetensors\"", "one_hot(table, \"kind\""]
    {
        assert!(program.contains(part), "{part} is not in\n{program}");
    }
    // Only what is needed.
    assert!(!program.contains("def windows(") && !program.contains("import statistics"), "{program}");
    assert!(place.path().join("model.safetensors").exists());
    let python = |run: &str, file: &str| export(place.path(), run, "--python", file);
    assert_refused(&python("runs/small", "model.txt"), &["model.txt", "must end in .py"]);
    assert_refused(&python("runs/nowhere", "other.py"), &["is not a run directory"]);
    let best = place.path().join("runs/small/best.safetensors");
    let before = fs::read(&best).unwrap();
    assert_refused(&python("runs/small", "runs/small/best.py"), &["which would be lost"]);
    assert_eq!(fs::read(best).unwrap(), before);
}

#[test]
fn adapters_alone_are_trained_and_are_merged_in_exports() {
    let place = workplace();
    let init = ["model.lora={rank=2,alpha=4}", "train.learning_rate=0.1"];
    let mut arguments =
        vec!["train", "small.toml", "--device", "cpu", "--max-steps", "3", "--out", "runs/lora"];
    init.iter().for_each(|set| arguments.extend(["--set", set]));
    arguments.extend(["--init", "runs/small/best.safetensors"]);
    written(&gridlight(place.path(), &arguments));
    let tensors = |file: &str| {
        let bytes = fs::read(place.path().join(file)).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let all = file.tensors().into_iter().map(|(name, view)| (name, view.data().to_vec()));
        all.collect::<std::collections::BTreeMap<_, _>>()
    };
    let (base, adapted) = (tensors("runs/small/best.safetensors"), tensors("runs/lora/best.safetensors"));
    for (name, data) in &base {
        assert_eq!(Some(data), adapted.get(name), "{name}");
    }
    assert!(adapted.contains_key("0.lora_A.weight") && adapted.contains_key("2.lora_B.weight"));
    written(&export(place.path(), "runs/lora", "--output", "merged.safetensors"));
    let merged = tensors("merged.safetensors");
    assert_eq!(base.keys().collect::<Vec<_>>(), merged.keys().collect::<Vec<_>>());
    assert_ne!(base["0.weight"], merged["0.weight"]);
    assert_eq!(base["0.bias"], merged["0.bias"]);
    let refused = |set: &str, wanted: &[&str]| assert_refused(&train(place.path(), "x", &[set]), wanted);
    refused("model.lora={rank=0}", &["model.lora", "rank = 0", "1 to 1024"]);
    refused("model.lora={alpha=-1.0}", &["alpha = -1"]);
    refused("model.lora={layers=[\"7\"]}", &["\"7\"", "no dense layer or projection"]);
    refused("model.lora={trained=[\"9.*\"]}", &["\"9.*\"", "no parameter"]);
    assert_refused(
        &train(place.path(), "x", &["model.lora={rank=2}", "train.freeze=[\"0.*\"]"]),
        &["remove train.freeze"],
    );
}

#[test]
fn groups_say_what_is_theirs() {
    let place = workplace();
    let refused = |set: &str, wanted: &[&str]| assert_refused(&train(place.path(), "x", &[set]), wanted);
    refused("train.group=[{parameters=\"0.*\"}]", &["train.group", "learning_rate or weight_decay"]);
    refused("train.group=[{parameters=\"0.*\",weight_decay=-1.0}]", &["weight_decay = -1"]);
    refused("train.group=[{parameters=\"*.bias\",weight_decay=0.1}]", &["biases and norms", "train.decay"]);
    written(&train(place.path(), "grouped", &["train.group=[{parameters=\"0.*\",weight_decay=0.1}]"]));
}
