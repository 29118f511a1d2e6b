//! Networks on graphs: what they learn from neighbours, and that runs of them go on and are used like any other.

use std::path::Path;

use gridlight::data::Loaded;
use gridlight::device::cpu::CpuDevice;
use gridlight::experiment::Experiment;
use gridlight::run::evaluate::{evaluate, predict};
use gridlight::run::job::Options;
use gridlight::run::trainer;

use crate::bench::{Bench, Recorder};

/// A shipped experiment with these changes.
fn shipped(name: &str, changes: &[&str]) -> Bench {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("assets/experiments/{name}.toml"));
    let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
    let mut experiment = Experiment::read(&path, &changes).unwrap();
    let folder = Experiment::directory(&path);
    for file in experiment.data.paths() {
        *file = folder.join(&*file).to_string_lossy().into_owned();
    }
    let data: Loaded = trainer::load_data(&experiment, Path::new("")).unwrap();
    Bench { directory: tempfile::tempdir().unwrap(), experiment, data }
}

fn accuracy(bench: &Bench, run: &str) -> f64 {
    let found = evaluate(&bench.path(run), None, Some("test"), None, &CpuDevice::new(Some(2))).unwrap();
    found.metrics.get("accuracy").unwrap()
}

#[test]
fn two_members_tell_which_club_the_others_join() {
    let bench = shipped("karate", &[]);
    bench.train(&bench.options("run"), &mut Recorder::default()).unwrap();
    let with = accuracy(&bench, "run");
    let dense = "model.layer=[{type=\"dense\",units=16},{type=\"activation\",function=\"tanh\"}]";
    let alone = shipped("karate", &[dense]);
    alone.train(&alone.options("run"), &mut Recorder::default()).unwrap();
    let without = accuracy(&alone, "run");
    assert!(with >= 0.9 && without <= 0.7, "accuracy {with} with edges, {without} without");
}

#[test]
fn a_resumed_run_on_a_graph_has_the_bits_of_an_uninterrupted_one() {
    let layers = "model.layer=[{type=\"graph_attention\",units=4,heads=2},{type=\"dropout\",rate=0.3},\
                  {type=\"graph_sage\",units=8},{type=\"batch_norm\"},{type=\"graph_conv\",units=2}]";
    let bench = shipped("karate", &["train.epochs=12", layers]);
    bench.train(&bench.options("whole"), &mut Recorder::default()).unwrap();
    for stop in [1, 2, 7, 12] {
        let name = format!("stopped-{stop}");
        let options = Options { max_steps: Some(stop), ..bench.options(&name) };
        bench.train(&options, &mut Recorder::default()).unwrap();
        let options = Options { resume: true, ..bench.options(&name) };
        bench.train(&options, &mut Recorder::default()).unwrap();
        assert_eq!(bench.bits("whole"), bench.bits(&name), "stopped at {stop}");
    }
}

#[test]
fn predictions_name_nodes_and_a_graph_that_was_changed_is_noticed() {
    let bench = shipped("karate", &["train.epochs=5"]);
    bench.train(&bench.options("run"), &mut Recorder::default()).unwrap();
    let (input, output) = (bench.path("rows.csv"), bench.path("predicted.csv"));
    std::fs::write(&input, "member\n17\n9\n").unwrap();
    let device = CpuDevice::new(Some(1));
    predict(&bench.path("run"), &input, &output, &device).unwrap();
    let text = std::fs::read_to_string(&output).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("member,club,"), "{text}");
    assert!(lines[1].starts_with("17,") && lines[2].starts_with("9,") && lines.len() == 3, "{text}");
    let graph = bench.path("run").join("graph.safetensors");
    let mut bytes = std::fs::read(&graph).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&graph, bytes).unwrap();
    let error = predict(&bench.path("run"), &input, &output, &device).unwrap_err().to_string();
    assert!(error.contains("graph.safetensors") && error.contains("another run"), "{error}");
    std::fs::remove_file(&graph).unwrap();
    let error = predict(&bench.path("run"), &input, &output, &device).unwrap_err().to_string();
    assert!(error.contains("graph.safetensors"), "{error}");
}

#[test]
fn a_run_that_is_not_resumed_on_another_graph_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("edges.csv");
    let key = format!("data.graph.edges={}", file.display());
    let known = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/data/graphs/karate_edges.csv");
    let text = std::fs::read_to_string(known).unwrap();
    std::fs::write(&file, &text).unwrap();
    let bench = shipped("karate", &["train.epochs=2", &key]);
    bench.train(&bench.options("run"), &mut Recorder::default()).unwrap();
    let kept = || {
        ["experiment.toml", "graph.safetensors"]
            .map(|name| std::fs::read(bench.path("run").join(name)).unwrap())
    };
    let before = kept();
    let fewer: Vec<&str> = text.lines().take(40).collect();
    std::fs::write(&file, fewer.join("\n")).unwrap();
    let changed = shipped("karate", &["train.epochs=4", &key]);
    let options = Options { resume: true, ..bench.options("run") };
    let error = changed.train(&options, &mut Recorder::default()).unwrap_err().to_string();
    assert!(error.contains("has changed"), "{error}");
    assert!(kept() == before, "files of the run were written");
    std::fs::write(&file, &text).unwrap();
    let more = shipped("karate", &["train.epochs=4", &key]);
    more.train(&options, &mut Recorder::default()).unwrap();
    assert!(String::from_utf8_lossy(&kept()[0]).contains("epochs = 4"));
}
