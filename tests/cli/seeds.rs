//! `train --seeds`: several models at the same time, each as if alone.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::refusals::assert_refused;
use crate::{gridlight, workplace};

fn best(place: &Path, run: &str) -> Vec<u8> {
    fs::read(place.join(run).join("best.safetensors")).unwrap()
}

#[test]
fn each_seed_is_trained_as_if_alone() {
    let place = workplace();
    let arguments = ["train", "small.toml", "--seeds", "1..4", "--json", "--device", "cpu", "--out", "many"];
    let ended = gridlight(place.path(), &arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let events: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (last, events) = events.split_last().unwrap();
    for seed in 1..4 {
        let (run, alone) = (format!("many/seed-{seed}"), format!("alone-{seed}"));
        let of_run: Vec<&str> = events
            .iter()
            .filter(|event| event["run"] == *run)
            .map(|event| event["event"].as_str().unwrap())
            .collect();
        assert_eq!(of_run, ["start", "epoch", "epoch", "end"], "{run}");
        let seed = seed.to_string();
        let arguments = ["train", "small.toml", "--seed", &seed, "--device", "cpu", "--out", &alone];
        assert_eq!(gridlight(place.path(), &arguments).code, Some(0));
        assert!(best(place.path(), &run) == best(place.path(), &alone), "seed {seed}");
        for file in ["experiment.toml", "report.html", "run.json", "metrics.csv"] {
            let [one, other] = [&run, &alone].map(|run| place.path().join(run).join(file).exists());
            assert_eq!(one, other, "{file}");
        }
        let [one, other] = [&run, &alone]
            .map(|run| fs::read_to_string(place.path().join(run).join("experiment.toml")).unwrap());
        assert_eq!(one, other);
    }
    assert_eq!(events.len(), 12);
    assert_eq!((&last["event"], &last["seeds"]), (&"seeds".into(), &3.into()));
    let mae = &last["metrics"]["mae"];
    let values: Vec<f64> = mae["seeds"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    let mean = values.iter().sum::<f64>() / 3.0;
    assert!((mae["mean"].as_f64().unwrap() - mean).abs() < 1e-12 * mean.abs());
    assert!(mae["deviation"].as_f64().unwrap() > 0.0);
}

#[test]
fn the_table_has_a_row_for_each_seed() {
    let place = workplace();
    let ended = gridlight(place.path(), &["train", "small.toml", "--seeds", "2", "--device", "cpu"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let first: Vec<&str> =
        ended.stdout.lines().map(|line| line.split_whitespace().next().unwrap_or("")).collect();
    assert_eq!(first, ["seed", "0", "1", "mean", "±", "runs"], "{}", ended.stdout);
    assert!(ended.stderr.contains("runs/small/seed-1: best epoch "), "{}", ended.stderr);
}

#[test]
fn what_was_stopped_goes_on() {
    let place = workplace();
    let train = |more: &[&str]| {
        let arguments = ["train", "small.toml", "--seeds", "3", "--device", "cpu", "--quiet"];
        let ended = gridlight(place.path(), &[&arguments, more].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    };
    train(&["--out", "whole"]);
    train(&["--out", "parts", "--max-steps", "3"]);
    fs::remove_dir_all(place.path().join("parts/seed-2")).unwrap();
    train(&["--out", "parts", "--resume"]);
    for seed in 0..3 {
        let [whole, parts] = ["whole", "parts"].map(|run| best(place.path(), &format!("{run}/seed-{seed}")));
        assert!(whole == parts, "seed {seed}");
    }
}

#[test]
fn a_model_that_fails_is_named_and_others_go_on() {
    let place = workplace();
    let wild = "train.learning_rate=1e30";
    let arguments = ["train", "small.toml", "--seeds", "2", "--device", "cpu", "--set", wild];
    let ended = gridlight(place.path(), &arguments);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("error: 2 of 2 models failed; seed 0: training diverged"),
        "{}",
        ended.stderr
    );
    // A directory that holds something else is not written to, whatever becomes of the others.
    fs::create_dir_all(place.path().join("some/seed-1")).unwrap();
    fs::write(place.path().join("some/seed-1/thesis.txt"), "mine").unwrap();
    let arguments = ["train", "small.toml", "--seeds", "3", "--device", "cpu", "--out", "some"];
    let ended = gridlight(place.path(), &arguments);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("error: seed 1: ") && ended.stdout.contains("mean"), "{}", ended.stderr);
    assert!(place.path().join("some/seed-2/best.safetensors").exists());
    assert_eq!(fs::read_dir(place.path().join("some/seed-1")).unwrap().count(), 1);
}

#[test]
fn what_seeds_cannot_be_is_refused() {
    let place = workplace();
    for wrong in
        [&["--seeds", "0"][..], &["--seeds", "4..4"], &["--seeds", "x"], &["--seeds", "2", "--seed", "1"]]
    {
        let ended = gridlight(place.path(), &[&["train", "small.toml"], wrong].concat());
        assert_eq!(ended.code, Some(2), "{wrong:?}: {}", ended.stderr);
    }
    let ended = gridlight(place.path(), &["train", "small.toml", "--seeds", "2", "--max-steps", "0"]);
    assert_refused(&ended, &["--max-steps"], "--max-steps 0");
}
