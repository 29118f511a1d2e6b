//! Options of rows of tables: the threshold of two classes, losses of counts, baselines and the worst rows.

use std::fs;
use std::path::Path;

use super::refusals::assert_refused;
use super::{Ended, gridlight};

/// A table of 200 rows with a rare class, three classes and a count.
fn table() -> String {
    let row = |i: u32| {
        let (a, b) = (i * 37 % 100, i * 13 % 50);
        let rare = if a + b / 5 + i % 9 > 95 { "yes" } else { "no" };
        format!("{a},{b},{rare},{},{}\n", ["low", "middle", "high"][(a / 34) as usize], a / 10 + i % 3)
    };
    format!("a,b,rare,level,count\n{}", (0..200).map(row).collect::<String>())
}

/// Trains on the table into `runs/t`.
fn train(directory: &Path, target: &str, loss: &str, more: &[&str]) -> Ended {
    fs::write(directory.join("t.csv"), table()).unwrap();
    let text = format!(
        "name = \"t\"\n[data]\nsource = \"t.csv\"\ntarget = \"{target}\"\n[model]\nhidden = [8]\n[train]\nepochs = 20\n\
         learning_rate = 0.01\nloss = {loss}\n"
    );
    fs::write(directory.join("t.toml"), text).unwrap();
    gridlight(directory, &[&["train", "t.toml", "--device", "cpu", "--quiet"], more].concat())
}

fn evaluated(directory: &Path, split: &str) -> serde_json::Value {
    let ended = gridlight(directory, &["evaluate", "runs/t", "--device", "cpu", "--json", "--split", split]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn the_chosen_threshold_is_used_wherever_classes_are() {
    for (loss, rule) in [("\"bce_with_logits\"", "f1"), ("\"focal\"", "0.3")] {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path();
        let ended = train(
            directory,
            "rare",
            loss,
            &["--set", &format!("train.threshold={rule}"), "--set", "data.exclude=[\"level\",\"count\"]"],
        );
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let validation = evaluated(directory, "validation");
        let threshold = validation["threshold"].as_f64().unwrap();
        assert_ne!(threshold, 0.5, "{loss}");
        // What the history says of the best epoch is said again.
        let listed = gridlight(directory, &["list", "--json"]);
        let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
        assert_eq!(listed[0]["validation"]["value"], validation["metrics"]["accuracy"]);
        let arguments = ["predict", "runs/t", "--input", "t.csv", "--output", "out.csv", "--device", "cpu"];
        assert_eq!(gridlight(directory, &arguments).code, Some(0));
        let text = fs::read_to_string(directory.join("out.csv")).unwrap();
        let mut between = 0;
        for line in text.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let positive: f64 = cells[2].parse().unwrap();
            assert_eq!(cells[0] == "yes", positive > threshold, "{line} at {threshold}");
            between += usize::from((positive > threshold) != (positive > 0.5));
        }
        assert!(between > 0, "{loss}: the threshold {threshold} changes no class");
        let report = fs::read_to_string(directory.join("runs/t/report.html")).unwrap();
        assert!(report.contains("yes above a probability of") && report.contains("Calibration"));
    }
}

#[test]
fn thresholds_that_do_not_apply_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let refused = |target: &str, loss: &str, threshold: &str, wanted: &[&str]| {
        let ended = train(place.path(), target, loss, &["--set", &format!("train.threshold={threshold}")]);
        assert_refused(&ended, wanted, threshold);
    };
    refused("rare", "\"bce_with_logits\"", "1.5", &["train.threshold", "= 1.5", "above 0 and below 1"]);
    refused("rare", "\"bce_with_logits\"", "best", &["train.threshold", "balanced_accuracy"]);
    refused("count", "\"mse\"", "0.3", &["train.threshold", "two classes"]);
    refused("level", "\"cross_entropy\"", "f1", &["train.threshold", "this one has 3"]);
}

#[test]
fn losses_of_counts_refuse_what_they_cannot_be_of() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path();
    let refused = |loss: &str, more: &[&str], wanted: &[&str]| {
        assert_refused(&train(directory, "count", loss, more), wanted, loss);
    };
    refused(
        "\"poisson\"",
        &["--set", "data.transform.target=log1p"],
        &["data.transform.target", "as they are"],
    );
    refused("{ type = \"tweedie\", power = 2.0 }", &[], &["power = 2", "above 1 and below 2"]);
    refused("{ type = \"focal\", gamma = -1.0 }", &[], &["gamma = -1"]);
    refused("{ type = \"focal\", alpha = 1.5 }", &[], &["alpha = 1.5", "0.25"]);
    refused("{ type = \"focal\", alpha = [1.0, 2.0] }", &[], &["`alpha` is for 2 classes"]);
    let ended = train(directory, "count", "\"poisson\"", &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let text = table();
    let (line, first) = text.lines().enumerate().nth(3).unwrap();
    let bad = first.rsplit_once(',').unwrap().0.to_string() + ",-1";
    fs::write(directory.join("bad.csv"), text.replacen(first, &bad, 1)).unwrap();
    let ended = gridlight(directory, &["evaluate", "runs/t", "--data", "bad.csv", "--device", "cpu"]);
    assert_refused(
        &ended,
        &[&format!("bad.csv:{}", line + 1), "`count`", "\"-1\"", "from 0 up"],
        "negative count",
    );
}

#[test]
fn a_constant_and_the_worst_rows_stand_beside_the_model() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path();
    assert_eq!(train(directory, "count", "\"mse\"", &[]).code, Some(0));
    let test = evaluated(directory, "test");
    let (model, constant) =
        (test["metrics"]["rmse"].as_f64().unwrap(), test["metrics"]["baseline_rmse"].as_f64().unwrap());
    // The spread of the counts is about 3.
    assert!(constant > 2.0 && constant < 4.0 && model < constant, "{test}");
    let report = fs::read_to_string(directory.join("runs/t/report.html")).unwrap();
    let (_, worst) = report.split_once("<h2>Worst rows</h2>").unwrap();
    // The first of them is a row of the table, with its own cells.
    let cells: Vec<String> = worst
        .split("<tr><td")
        .nth(1)
        .unwrap()
        .split("</td>")
        .map(|cell| cell.rsplit_once('>').map_or(String::new(), |(_, text)| text.to_string()))
        .collect();
    let text = table();
    let written = text.lines().nth(cells[0].parse::<usize>().unwrap()).unwrap();
    let written = written.replace(",no,", ",false,").replace(",yes,", ",true,");
    let expected = [&cells[4], &cells[5], &cells[6], &cells[7], &cells[1]].map(String::as_str).join(",");
    assert_eq!(written, expected, "{cells:?}");
    assert_eq!(train(directory, "level", "\"cross_entropy\"", &[]).code, Some(0));
    let found = evaluated(directory, "test");
    assert!(found["metrics"]["baseline_accuracy"].as_f64().unwrap() < 0.6, "{found}");
}
