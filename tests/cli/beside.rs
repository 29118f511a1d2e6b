//! Columns of the input beside predictions, and runs beside each other: `predict --keep`, `list`, `compare`.

use std::fs;
use std::path::Path;

use super::refusals::assert_refused;
use super::{gridlight, workplace};

/// Predicts `input` with the run of [`workplace`], and returns the lines of the output.
fn predict(directory: &Path, input: &str, keep: &[&str]) -> (Vec<String>, String) {
    let arguments = ["predict", "runs/small", "--input", input, "--output", "out.csv", "--device", "cpu"];
    let ended = gridlight(directory, &[&arguments[..], keep].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let text = fs::read_to_string(directory.join("out.csv")).unwrap();
    (text.lines().map(String::from).collect(), ended.stderr)
}

#[test]
fn kept_columns_are_as_written() {
    let place = workplace();
    let directory = place.path();
    fs::write(
        directory.join("new.csv"),
        "id;kind;b;a;note\n007;red;1.50;5;\"x;y\"\n008;green;n/a;2;\"he said \"\"no\"\"\"\n",
    )
    .unwrap();
    let (lines, told) = predict(directory, "new.csv", &["--keep"]);
    assert_eq!(lines[0], "id,kind,b,a,note,y");
    assert!(lines[1].starts_with("007,red,1.50,5,x;y,"), "{}", lines[1]);
    assert!(lines[2].starts_with("008,green,n/a,2,\"he said \"\"no\"\"\","), "{}", lines[2]);
    for part in ["`kind`: 1 cell holds a name", "\"green\"", "1 missing cell was filled", "`b` 1"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let (named, _) = predict(directory, "new.csv", &["--keep", "note,id"]);
    assert_eq!(named[0], "note,id,y");
    let (alone, _) = predict(directory, "new.csv", &[]);
    assert_eq!(alone[0], "y");
    for (kept, alone) in named.iter().zip(&alone).chain(lines.iter().zip(&alone)) {
        assert!(kept.ends_with(&format!(",{alone}")), "{kept} has not the prediction {alone}");
    }
    fs::write(directory.join("new.json"), "{\"id\": \"007\", \"kind\": \"red\", \"a\": 5, \"b\": 1.5}\n")
        .unwrap();
    let (json, _) = predict(directory, "new.json", &["--keep", "id,b"]);
    assert_eq!((&json[0][..], &json[1]), ("id,b,y", &format!("007,1.5,{}", alone[1])));
}

#[test]
fn columns_that_cannot_be_kept_are_refused() {
    let place = workplace();
    let directory = place.path();
    let refused = |keep: &str, wanted: &[&str]| {
        let arguments =
            ["predict", "runs/small", "--input", "table.csv", "--output", "out.csv", "--device", "cpu"];
        let ended = gridlight(directory, &[&arguments[..], &["--keep", keep]].concat());
        assert_refused(&ended, wanted, keep);
        assert!(!directory.join("out.csv").exists());
    };
    refused("knd", &["table.csv", "`knd`", "did you mean `kind`?"]);
    refused("a,a", &["`a` twice"]);
    refused("a,y", &["`y` cannot be kept", "--keep \"a\""]);
}

#[test]
fn runs_are_listed_with_their_states_and_damage() {
    let place = workplace();
    let directory = place.path();
    let train =
        |more: &[&str]| gridlight(directory, &[&["train", "small.toml", "--device", "cpu"], more].concat());
    let ended =
        train(&["--out", "runs/wild", "--set", "train.learning_rate=1e30", "--set", "train.optimizer=sgd"]);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert_eq!(train(&["--out", "runs/bad"]).code, Some(0));
    fs::write(directory.join("runs/bad/run.json"), "{").unwrap();
    fs::create_dir(directory.join("runs/notes")).unwrap();
    let ended = gridlight(directory, &["list"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let line = |name: &str| {
        let found = ended.stdout.lines().find(|line| line.starts_with(name));
        found.unwrap_or_else(|| panic!("{name} is not listed:\n{}", ended.stdout)).to_string()
    };
    for part in ["finished", "mlp", "table.csv", "2/2", "mae"] {
        assert!(line("small ").contains(part), "{part}: {}", line("small "));
    }
    assert!(line("wild (small)").contains("diverged") && line("bad").contains("damaged"), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("runs/bad/run.json") && !ended.stdout.contains("notes"),
        "{}",
        ended.stdout
    );
    let json = gridlight(directory, &["list", "runs", "--json"]);
    let runs: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let small = runs.as_array().unwrap().iter().find(|run| run["run"] == "runs/small").unwrap();
    assert_eq!((&small["state"], &small["epochs"]), (&"finished".into(), &2.into()));
    let evaluated = gridlight(directory, &["evaluate", "runs/small", "--device", "cpu", "--json"]);
    let evaluated: serde_json::Value = serde_json::from_str(&evaluated.stdout).unwrap();
    assert_eq!(small["test"]["value"], evaluated["metrics"]["mae"]);
    assert_refused(
        &gridlight(directory, &["list", "nowhere"]),
        &["nowhere", "gridlight list DIR"],
        "no directory",
    );
}

#[test]
fn an_interrupted_run_is_listed_as_such() {
    let place = workplace();
    let path = place.path().join("runs/small/run.json");
    let mut record: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    record.as_object_mut().unwrap().remove("weights_digest");
    fs::write(&path, record.to_string()).unwrap();
    let listed = gridlight(place.path(), &["list", "--json"]);
    let runs: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(runs[0]["state"], "interrupted");
}

#[test]
fn runs_are_compared_by_settings_and_metrics() {
    let place = workplace();
    let directory = place.path();
    let train = |more: &[&str]| {
        let ended = gridlight(directory, &[&["train", "small.toml", "--device", "cpu"], more].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    };
    train(&["--out", "runs/longer", "--set", "train.epochs=40", "--set", "model.hidden=[8,8]"]);
    let ended = gridlight(directory, &["compare", "runs/small", "runs/longer", "--output", "page.html"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let line =
        |start: &str| ended.stdout.lines().find(|l| l.starts_with(start)).unwrap_or_default().to_string();
    assert!(line("train.epochs").contains(" 2 ") && line("train.epochs").ends_with("40"), "{}", ended.stdout);
    assert!(
        line("model.hidden").contains("[8, 8]") && line("train.batch_size").is_empty(),
        "{}",
        ended.stdout
    );
    assert!(line("test mae").ends_with('*') && line("validation loss").ends_with('*'), "{}", ended.stdout);
    let page = fs::read_to_string(directory.join("page.html")).unwrap();
    assert_eq!(page.matches("<path class=\"curve r").count(), 4, "two curves of each run");
    assert!(page.contains("train.epochs") && page.contains("runs/longer") && !page.contains("http"));

    // Another table, and another loss.
    let table = fs::read_to_string(directory.join("table.csv")).unwrap();
    fs::write(directory.join("table.csv"), table + "1,1,red,1\n").unwrap();
    train(&["--out", "runs/other", "--set", "train.loss=mae"]);
    let ended = gridlight(directory, &["compare", "runs/small", "runs/other", "--json"]);
    assert!(
        ended.stderr.contains("data differ") && ended.stderr.contains("losses differ"),
        "{}",
        ended.stderr
    );
    let found: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(
        found["metrics"].as_array().unwrap().iter().all(|row| row["best"].as_array().unwrap().is_empty())
    );
    let refused = |runs: &[&str], wanted: &[&str]| {
        assert_refused(&gridlight(directory, &[&["compare"], runs].concat()), wanted, wanted[0]);
    };
    refused(&["runs/small"], &["1 run to compare", "2 to 8"]);
    refused(&["runs/small", "runs/small"], &["given twice"]);
    refused(&["runs/small", "nowhere"], &["nowhere", "not a run directory"]);
}
