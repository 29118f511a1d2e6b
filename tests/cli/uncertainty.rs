//! How sure predictions are, as people ask for it: intervals and sets, ensembles, dropout, temperature, novelty.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::refusals::assert_refused;
use super::{Ended, gridlight};

/// Rows with noise that a network cannot know, and a class that follows from the number, nearly.
fn write_data(directory: &Path, rows: u32) {
    let mut text = String::from("day,x,y,kind\n");
    let noise = |n: u32| f64::from(n.wrapping_mul(2_654_435_761) >> 8) / f64::from(1_u32 << 24);
    let first = jiff::civil::date(2010, 1, 1);
    for n in 0..rows {
        let day = first.checked_add(jiff::ToSpan::days(i64::from(n))).unwrap();
        let (x, y) = (n % 7, f64::from(n % 7) + 4.0 * noise(n));
        let kind = ["low", "middle", "high"][usize::from(y > 3.0) + usize::from(y > 6.5)];
        writeln!(text, "{day},{x},{y:.4},{kind}").unwrap();
    }
    fs::write(directory.join("days.csv"), text).unwrap();
}

const NUMBER: &str = "name = \"n\"\n[data]\nsource = \"days.csv\"\ntarget = \"y\"\nfeatures = [\"x\"]\n\
    [model]\nhidden = [16]\ndropout = 0.1\n[train]\nepochs = 8\nbatch_size = 16\nlearning_rate = 0.01\n";
const CLASSES: &str = "name = \"c\"\n[data]\nsource = \"days.csv\"\ntarget = \"kind\"\nfeatures = [\"x\"]\n\
    [model]\nhidden = [16]\n[train]\nepochs = 8\nbatch_size = 16\nlearning_rate = 0.01\nloss = \"cross_entropy\"\n";

fn refused_with(ended: &Ended, parts: &[&str]) {
    assert_refused(ended, parts, "how sure");
}

fn workplace(experiment: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    write_data(place.path(), 1500);
    fs::write(place.path().join("e.toml"), experiment).unwrap();
    place
}

fn run(directory: &Path, arguments: &[&str]) -> String {
    let ended = gridlight(directory, &[arguments, &["--device", "cpu"]].concat());
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    ended.stdout
}

fn json(directory: &Path, arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&run(directory, &[arguments, &["--json"]].concat())).unwrap()
}

/// The columns of a table of predictions by title.
fn predicted(directory: &Path, run_of: &str, more: &[&str]) -> Vec<(String, Vec<String>)> {
    run(directory, &[&["predict", run_of, "--input", "days.csv", "--output", "p.csv"], more].concat());
    let text = fs::read_to_string(directory.join("p.csv")).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(String::from).collect::<Vec<_>>());
    let titles = lines.next().unwrap();
    let rows: Vec<Vec<String>> = lines.collect();
    let column = |(at, title): (usize, String)| (title, rows.iter().map(|row| row[at].clone()).collect());
    titles.into_iter().enumerate().map(column).collect()
}

fn titles(columns: &[(String, Vec<String>)]) -> Vec<&str> {
    columns.iter().map(|(title, _)| title.as_str()).collect()
}

fn numbers(column: &(String, Vec<String>)) -> Vec<f64> {
    column.1.iter().map(|cell| cell.parse().unwrap()).collect()
}

#[test]
fn intervals_hold_and_outlive_the_data() {
    let place = workplace(NUMBER);
    let at = place.path();
    run(at, &["train", "e.toml", "--quiet"]);
    let found = json(at, &["evaluate", "runs/n", "--coverage", "0.9"]);
    let conformal = &found["conformal"];
    assert_eq!(conformal["method"], "absolute_error");
    assert_eq!(conformal["calibration_rows"], 225);
    let coverage = conformal["coverage"].as_f64().unwrap();
    // Two deviations of 225 calibration and as many test rows.
    assert!((coverage - 0.9).abs() < 0.057, "{found}");
    assert_eq!(conformal["by_group"].as_array().unwrap().len(), 4);
    // The noise is spread over 4, of which 90 % take 3.6.
    let width = conformal["mean_width"].as_f64().unwrap();
    assert!((3.0..4.4).contains(&width), "{width}");
    let plain = predicted(at, "runs/n", &[]);
    fs::rename(at.join("days.csv"), at.join("input.csv")).unwrap();
    let arguments = ["predict", "runs/n", "--input", "input.csv", "--output", "p.csv", "--coverage", "0.9"];
    run(at, &arguments);
    let text = fs::read_to_string(at.join("p.csv")).unwrap();
    assert!(text.starts_with("y,y_low,y_high\n"), "{text:.40}");
    let row: Vec<f64> = text.lines().nth(1).unwrap().split(',').map(|cell| cell.parse().unwrap()).collect();
    assert!(row[1] < row[0] && row[0] < row[2] && row[0].to_string() == plain[0].1[0]);
    assert!(((row[2] - row[1]) - width).abs() < 1e-9, "an interval is as wide as any other");
    // A run without its scores needs its data, and says so.
    fs::remove_file(at.join("runs/n/calibration.safetensors")).unwrap();
    let ended = gridlight(at, &arguments);
    refused_with(&ended, &["has no calibration scores, and its data cannot be read", "put them back"]);
    fs::rename(at.join("input.csv"), at.join("days.csv")).unwrap();
    assert_eq!(titles(&predicted(at, "runs/n", &["--coverage", "0.9"])), ["y", "y_low", "y_high"]);
    for (value, part) in [("1", "above 0 and below 1"), ("0.999", "needs at least 999 validation rows")] {
        let ended = gridlight(at, &["evaluate", "runs/n", "--coverage", value, "--device", "cpu"]);
        refused_with(&ended, &["--coverage", part]);
    }
}

#[test]
fn sets_hold_and_the_experiment_may_ask_for_them() {
    let asked = "[uncertainty]\ncoverage = 0.8\nsets = \"aps\"\ntemperature = true\n";
    let place = workplace(&format!("{CLASSES}{asked}"));
    let at = place.path();
    run(at, &["train", "e.toml", "--quiet"]);
    let found = json(at, &["evaluate", "runs/c"]);
    let conformal = &found["conformal"];
    assert_eq!(conformal["method"], "aps");
    assert!((conformal["coverage"].as_f64().unwrap() - 0.8).abs() < 0.08, "{found}");
    let temperature = &found["temperature"];
    assert!(temperature["temperature"].as_f64().unwrap() > 0.0, "{found}");
    let validation = json(at, &["evaluate", "runs/c", "--split", "validation"]);
    let loss = validation["metrics"]["log_loss"].as_f64().unwrap();
    assert!(loss <= validation["temperature"]["log_loss_before"].as_f64().unwrap(), "{validation}");
    let columns = predicted(at, "runs/c", &[]);
    assert_eq!(titles(&columns).last(), Some(&"set"));
    let sets = &columns.last().unwrap().1;
    assert!(sets.iter().any(|set| set.contains('|')), "some rows may be of two classes");
    let report = fs::read_to_string(at.join("runs/c/report.html")).unwrap();
    assert!(report.contains("How sure predictions are") && report.contains("temperature of"));
    // Exported, the probabilities are the same: divided by the temperature.
    run_plain(at, &["export", "runs/c", "--output", "c.onnx"]);
}

fn run_plain(directory: &Path, arguments: &[&str]) {
    let ended = gridlight(directory, arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
}

#[test]
fn an_ensemble_is_the_mean_of_its_members_and_goes_on_where_it_was_cut() {
    let place = workplace(NUMBER);
    let at = place.path();
    run(at, &["train", "e.toml", "--ensemble", "3", "--quiet"]);
    let mean = predicted(at, "runs/n", &["--coverage", "0.9"]);
    assert_eq!(titles(&mean), ["y", "y_low", "y_high", "y_deviation"]);
    let each: Vec<Vec<f64>> =
        (0..3).map(|k| numbers(&predicted(at, &format!("runs/n/members/{k}"), &[])[0])).collect();
    for (row, (found, deviation)) in numbers(&mean[0]).iter().zip(numbers(&mean[3])).enumerate() {
        let values = [each[0][row], each[1][row], each[2][row]];
        let expected = values.iter().sum::<f64>() / 3.0;
        let squares: f64 = values.iter().map(|y| (y - expected).powi(2)).sum();
        assert!((found - expected).abs() < 1e-5 * expected.abs().max(1.0), "{found} {expected}");
        assert!((deviation - (squares / 2.0).sqrt()).abs() < 1e-5, "{deviation}");
    }
    // Seeds follow each other, and the split is the same.
    let own = |k: u32| fs::read_to_string(at.join(format!("runs/n/members/{k}/experiment.toml"))).unwrap();
    assert!(own(0).contains("seed = 0\n") && own(2).contains("seed = 2\n"));
    let listed: serde_json::Value = serde_json::from_str(&{
        let ended = gridlight(at, &["list", "--json"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout
    })
    .unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["state"], "finished");
    // What is for single runs says which to give.
    for command in
        [&["export", "runs/n", "--output", "n.onnx"][..], &["explain", "runs/n", "--device", "cpu"]]
    {
        refused_with(&gridlight(at, command), &["is an ensemble", "runs/n/members/0"]);
    }
    refused_with(
        &gridlight(at, &["train", "e.toml", "--resume", "--device", "cpu", "--quiet"]),
        &["is an ensemble", "--ensemble"],
    );
    // As if it had been cut in the second member.
    let bits = |k: u32| fs::read(at.join(format!("runs/n/members/{k}/best.safetensors"))).unwrap();
    let before = [bits(0), bits(1), bits(2)];
    fs::remove_dir_all(at.join("runs/n/members/2")).unwrap();
    let checkpoints = at.join("runs/n/members/1/checkpoints");
    for entry in fs::read_dir(checkpoints).unwrap().flatten() {
        if !entry.file_name().to_string_lossy().starts_with("step-0.") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    let manifest = fs::read_to_string(at.join("runs/n/ensemble.json")).unwrap();
    fs::write(at.join("runs/n/ensemble.json"), manifest.replace("\"complete\": true", "\"complete\": false"))
        .unwrap();
    let ended = gridlight(at, &["evaluate", "runs/n", "--device", "cpu"]);
    refused_with(&ended, &["not all of its 3 members are trained", "--resume"]);
    run(at, &["train", "e.toml", "--ensemble", "3", "--resume", "--quiet"]);
    assert!(before == [bits(0), bits(1), bits(2)], "the bits are those of an undisturbed training");
    assert_eq!(predicted(at, "runs/n", &["--coverage", "0.9"]), mean);
    // Another ensemble in its place moves it aside.
    run(at, &["train", "e.toml", "--ensemble", "1", "--epochs", "1", "--quiet"]);
    assert!(at.join("runs/n-1/ensemble.json").exists());
    let (one, only) = (predicted(at, "runs/n", &[]), predicted(at, "runs/n/members/0", &[]));
    assert_eq!(one, only, "an ensemble of one is its member");
    let metrics = |of: &str| json(at, &["evaluate", of])["metrics"].clone();
    assert_eq!(metrics("runs/n"), metrics("runs/n/members/0"));
}

#[test]
fn dropout_samples_differ_converge_and_are_refused_without_dropout() {
    let place = workplace(NUMBER);
    let at = place.path();
    run(at, &["train", "e.toml", "--quiet"]);
    let of = |count: &str| predicted(at, "runs/n", &["--dropout-samples", count]);
    let few = of("50");
    assert_eq!(titles(&few), ["y", "y_deviation"]);
    assert_eq!(few, of("50"), "the same draws each time");
    let (twenty, many) = (numbers(&of("20")[0]), numbers(&of("800")[0]));
    let (deviation, few) = (numbers(&few[1]), numbers(&few[0]));
    assert!(deviation.iter().all(|deviation| *deviation > 0.0));
    let off = |found: &[f64]| {
        let squares = found.iter().zip(&many).zip(&deviation).map(|((a, b), d)| ((a - b) / d).powi(2));
        (squares.sum::<f64>() / found.len() as f64).sqrt()
    };
    // The deviation of a mean falls with the root of the draws.
    assert!((0.1..0.4).contains(&off(&twenty)) && off(&few) < 0.28, "{} {}", off(&twenty), off(&few));
    let ended = gridlight(
        at,
        &["evaluate", "runs/n", "--dropout-samples", "5", "--coverage", "0.9", "--device", "cpu"],
    );
    refused_with(&ended, &["--coverage", "not both"]);
    run(
        at,
        &["train", "e.toml", "--quiet", "--set", "model.dropout=0.0", "--out", "runs/plain", "--epochs", "1"],
    );
    let arguments =
        ["predict", "runs/plain", "--input", "days.csv", "--output", "p.csv", "--dropout-samples", "5"];
    refused_with(&gridlight(at, &arguments), &["--dropout-samples", "needs a model with dropout"]);
}

#[test]
fn novelty_tells_rows_unlike_those_of_training() {
    let place = workplace(&NUMBER.replace("features = [\"x\"]", "exclude = [\"day\", \"kind\"]"));
    let at = place.path();
    run(at, &["train", "e.toml", "--quiet"]);
    let columns = predicted(at, "runs/n", &["--novelty"]);
    assert_eq!(titles(&columns), ["y", "novelty"]);
    let found = numbers(&columns[1]);
    assert!(found.iter().all(|novelty| (0.0..=1.0).contains(novelty)));
    fs::write(at.join("far.csv"), "x\n3\n-4000\n").unwrap();
    run(at, &["predict", "runs/n", "--input", "far.csv", "--output", "f.csv", "--novelty"]);
    let text = fs::read_to_string(at.join("f.csv")).unwrap();
    let of =
        |line: usize| text.lines().nth(line).unwrap().rsplit(',').next().unwrap().parse::<f64>().unwrap();
    assert!(of(1) < 0.9 && of(2) > 0.99, "{text}");
}

#[test]
fn what_cannot_be_had_is_refused_where_it_is_asked() {
    let place = workplace(NUMBER);
    let at = place.path();
    let refused = |set: &str, parts: &[&str]| {
        let ended = gridlight(at, &["train", "e.toml", "--device", "cpu", "--set", set]);
        refused_with(&ended, parts);
    };
    refused("uncertainty.coverage=1.5", &["uncertainty.coverage", "above 0 and below 1"]);
    refused("uncertainty.temperature=true", &["uncertainty.temperature", "a target of classes"]);
    refused("uncertainty.sets=aps", &["uncertainty.sets", "numbers have intervals"]);
    refused("uncertainty.coverag=0.9", &["coverag", "did you mean `coverage`"]);
    let ended = gridlight(at, &["train", "e.toml", "--ensemble", "0"]);
    assert_eq!(ended.code, Some(2));
    let vae = "name = \"v\"\n[data]\nsource = \"days.csv\"\nfeatures = [\"x\", \"y\"]\n[model]\nfamily = \"vae\"\n\
        [train]\nepochs = 1\n";
    fs::write(at.join("v.toml"), vae).unwrap();
    let ended = gridlight(at, &["train", "v.toml", "--device", "cpu", "--ensemble", "2"]);
    refused_with(&ended, &["--ensemble", "numbers or classes"]);
}
