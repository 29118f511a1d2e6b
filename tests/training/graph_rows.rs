//! Networks on graphs that are rows: that they learn what only edges tell, and that neither the order of nodes nor how far
//! graphs are padded changes what they predict.

use std::path::{Path, PathBuf};

use gridlight::device::cpu::CpuDevice;
use gridlight::experiment::Experiment;
use gridlight::run::evaluate::{evaluate, predict};
use gridlight::run::export;
use gridlight::run::job::Options;
use gridlight::run::serve::Service;
use gridlight::run::trainer;

use crate::bench::{Bench, Recorder};
use crate::rings::{self, Ring};

const CONV: &str = "{type=\"graph_conv\",units=16},{type=\"activation\",function=\"relu\"},{type=\"graph_conv\",units=16},\
                    {type=\"activation\",function=\"relu\"}";
const SAGE: &str =
    "{type=\"graph_sage\",units=16},{type=\"batch_norm\"},{type=\"activation\",function=\"relu\"}";
const ATTENTION: &str = "{type=\"graph_attention\",units=8,heads=2},{type=\"layer_norm\"},{type=\"activation\",\
                         function=\"relu\"},{type=\"graph_attention\",units=8}";
const DENSE: &str =
    "{type=\"dense\",units=16},{type=\"activation\",function=\"relu\"},{type=\"dense\",units=16}";

fn bench(nodes: &str, pool: &str, changes: &[&str]) -> Bench {
    let directory = tempfile::tempdir().unwrap();
    rings::write(directory.path(), &rings::rings(160));
    let layers = format!("model.layer=[{nodes},{{type=\"global_pool\",kind=\"{pool}\"}}]");
    let changes: Vec<String> = changes.iter().map(ToString::to_string).chain([layers]).collect();
    let text = rings::experiment(directory.path());
    let experiment = Experiment::parse(&text, "rings.toml", &changes).unwrap();
    let data = trainer::load_data(&experiment, Path::new("")).unwrap();
    Bench { directory, experiment, data }
}

fn accuracy(bench: &Bench) -> f64 {
    bench.train(&bench.options("run"), &mut Recorder::default()).unwrap();
    let run = bench.path("run");
    let found = evaluate(&run, None, Some("test"), None, &CpuDevice::new(Some(2))).unwrap();
    found.metrics.get("accuracy").unwrap()
}

#[test]
fn only_edges_tell_how_nodes_are_arranged() {
    for (nodes, pool) in [(CONV, "average"), (SAGE, "max"), (ATTENTION, "sum")] {
        let with = accuracy(&bench(nodes, pool, &[]));
        assert!(with >= 0.95, "accuracy {with} of {nodes}");
    }
    let alone = bench(DENSE, "average", &["train.epochs=10"]);
    let mut recorder = Recorder::default();
    alone.train(&alone.options("noted"), &mut recorder).unwrap();
    assert!(
        recorder.notes.iter().any(|note| note.contains("no layer reads the edges")),
        "{:?}",
        recorder.notes
    );
    let without = accuracy(&alone);
    assert!(without <= 0.7, "accuracy {without} without edges");
}

/// The predictions for graphs in a folder of their own: names, and the probability of the second class.
fn predicted(bench: &Bench, folder: &str, rings: &[Ring]) -> Vec<(String, f64)> {
    let folder = bench.path(folder);
    std::fs::create_dir_all(&folder).unwrap();
    rings::write(&folder, rings);
    let output: PathBuf = folder.join("predicted.csv");
    predict(&bench.path("run"), &folder.join("rings.csv"), &output, &CpuDevice::new(Some(2))).unwrap();
    let text = std::fs::read_to_string(&output).unwrap();
    let mut lines = text.lines();
    assert!(lines.next().unwrap().starts_with("ring,"), "{text}");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        (cells[0].to_string(), cells.last().unwrap().parse().unwrap())
    };
    lines.map(row).collect()
}

fn assert_same(found: &[(String, f64)], expected: &[(String, f64)]) {
    for ((name, p), (same, q)) in found.iter().zip(expected) {
        assert!(name == same && (p - q).abs() < 1e-5, "{name}: {p}, {same}: {q}");
    }
}

#[test]
fn neither_the_order_of_nodes_nor_padding_changes_predictions() {
    for (nodes, pool) in [(SAGE, "average"), (ATTENTION, "max"), (CONV, "sum")] {
        let bench = bench(nodes, pool, &["train.epochs=20"]);
        bench.train(&bench.options("run"), &mut Recorder::default()).unwrap();
        let rings = rings::rings(30);
        let before = predicted(&bench, "before", &rings);
        assert!(before.iter().any(|(_, p)| (p - before[0].1).abs() > 0.05), "all are alike: {before:?}");
        let turned: Vec<Ring> = rings.iter().map(Ring::shuffled).collect();
        assert_same(&predicted(&bench, "turned", &turned), &before);
        let mut larger = rings.clone();
        larger.push(Ring {
            name: "large".into(),
            kinds: vec![true; 333],
            mixed: false,
            order: (0..333).collect(),
        });
        let with = predicted(&bench, "larger", &larger);
        assert_eq!(with.len(), 31);
        assert_same(&with[..30], &before);
        // One alone is padded to itself.
        let alone = predicted(&bench, "alone", &rings[7..8]);
        assert_same(&alone, &before[7..8]);
    }
}

#[test]
fn a_resumed_run_on_graphs_has_the_bits_of_an_uninterrupted_one() {
    let layers = "{type=\"graph_attention\",units=4,heads=2},{type=\"dropout\",rate=0.3},{type=\"graph_sage\",units=8},\
                  {type=\"batch_norm\"},{type=\"graph_conv\",units=8}";
    let bench = bench(layers, "average", &["train.epochs=3"]);
    bench.train(&bench.options("whole"), &mut Recorder::default()).unwrap();
    for stop in [1, 5, 9] {
        let name = format!("stopped-{stop}");
        let options = Options { max_steps: Some(stop), ..bench.options(&name) };
        bench.train(&options, &mut Recorder::default()).unwrap();
        let options = Options { resume: true, ..bench.options(&name) };
        bench.train(&options, &mut Recorder::default()).unwrap();
        assert_eq!(bench.bits("whole"), bench.bits(&name), "stopped at {stop}");
    }
    // Rows that are sent as they are needed hold the same words.
    let mut sent = bench;
    sent.data.train.streams = true;
    sent.data.train.sent_bytes = 20_000;
    sent.train(&sent.options("sent"), &mut Recorder::default()).unwrap();
    assert_eq!(sent.bits("whole"), sent.bits("sent"));
}

#[test]
fn what_reads_single_rows_is_refused_for_graphs() {
    let bench = bench(SAGE, "average", &["train.epochs=1"]);
    bench.train(&bench.options("run"), &mut Recorder::default()).unwrap();
    let run = bench.path("run");
    let device = CpuDevice::new(Some(1));
    let refused = [
        export::onnx(&run, false).map(|_| ()),
        export::onnx(&run, true).map(|_| ()),
        export::training_step(&run).map(|_| ()),
        export::python(&run, "model.py").map(|_| ()),
        Service::open(&run, None, &device).map(|_| ()),
    ];
    for found in refused {
        let error = found.unwrap_err().to_string();
        assert!(error.contains("graphs"), "{error}");
    }
    export::safetensors(&run).unwrap();
}

#[test]
fn a_run_is_not_evaluated_on_nodes_that_mean_something_else_now() {
    let bench = bench(SAGE, "sum", &["train.epochs=1"]);
    bench.train(&bench.options("run"), &mut Recorder::default()).unwrap();
    let nodes = bench.path("nodes.csv");
    let before = std::fs::read_to_string(&nodes).unwrap();
    // The kinds are as many as before, and the other way round.
    let kinds: String = before.lines().map(|line| line.replace(",b", ",0") + "\n").collect();
    std::fs::write(&nodes, kinds).unwrap();
    let error = evaluate(&bench.path("run"), None, Some("test"), None, &CpuDevice::new(Some(1))).unwrap_err();
    assert!(error.to_string().contains("its data have changed since it was trained"), "{error}");
    std::fs::write(&nodes, before).unwrap();
    evaluate(&bench.path("run"), None, Some("test"), None, &CpuDevice::new(Some(1))).unwrap();
}
