//! Forecasts as people need them: quantiles with their coverage, and backtests with a rolling origin.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::refusals::assert_refused;
use super::{gridlight, workplace};

/// A table and a series of `rows` rows with noise that a network cannot know.
fn write_data(directory: &Path, rows: u32) {
    let mut text = String::from("day,x,y\n");
    let noise = |n: u32| f64::from(n.wrapping_mul(2_654_435_761) >> 8) / f64::from(1_u32 << 24);
    let first = jiff::civil::date(2020, 1, 1);
    for n in 0..rows {
        let day = first.checked_add(jiff::ToSpan::days(i64::from(n))).unwrap();
        let wave = (f64::from(n % 7) * std::f64::consts::TAU / 7.0).sin();
        writeln!(text, "{day},{},{:.4}", n % 7, 50.0 + 10.0 * wave + 20.0 * noise(n)).unwrap();
    }
    fs::write(directory.join("days.csv"), text).unwrap();
}

const QUANTILES: &str = "[model]\nhidden = [16]\n[train]\nepochs = 30\nbatch_size = 16\nlearning_rate = 0.01\n\
    loss = { type = \"quantile\", quantiles = [0.1, 0.25, 0.5, 0.75, 0.9] }\n";

fn run(directory: &Path, arguments: &[&str]) -> String {
    let ended = gridlight(directory, arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    ended.stdout
}

/// Trains, and returns what `evaluate --json` says.
fn evaluation(directory: &Path, experiment: &str) -> serde_json::Value {
    fs::write(directory.join("q.toml"), format!("name = \"q\"\n{experiment}\n{QUANTILES}")).unwrap();
    run(directory, &["train", "q.toml", "--device", "cpu", "--quiet"]);
    serde_json::from_str(&run(directory, &["evaluate", "runs/q", "--device", "cpu", "--json"])).unwrap()
}

fn header_and_rows(directory: &Path) -> (String, Vec<Vec<f64>>) {
    run(directory, &["predict", "runs/q", "--input", "days.csv", "--output", "p.csv", "--device", "cpu"]);
    let text = fs::read_to_string(directory.join("p.csv")).unwrap();
    let numbers = |line: &str| line.split(',').filter_map(|cell| cell.parse().ok()).collect::<Vec<f64>>();
    let mut lines = text.lines();
    (lines.next().unwrap().into(), lines.map(numbers).collect())
}

#[test]
fn quantiles_of_a_table_hold_and_are_columns_in_order() {
    let place = tempfile::tempdir().unwrap();
    write_data(place.path(), 1200);
    let found = evaluation(place.path(), "[data]\nsource = \"days.csv\"\ntarget = \"y\"\nfeatures = [\"x\"]");
    let metric = |name: &str| found["metrics"][name].as_f64().unwrap();
    assert!((metric("crps") - 2.0 * metric("pinball")).abs() < 1e-9, "{found}");
    // The noise is spread evenly over 20: the mean error of its median is 5, its central 80 % are 16 wide.
    assert!((4.0..6.5).contains(&metric("mae")), "{found}");
    let intervals = found["intervals"].as_array().unwrap();
    assert_eq!(intervals.len(), 2, "{found}");
    for (interval, level, width) in [(&intervals[0], 0.8, 16.0), (&intervals[1], 0.5, 10.0)] {
        assert_eq!(interval["level"].as_f64(), Some(level));
        let coverage = interval["coverage"].as_f64().unwrap();
        assert!((coverage - level).abs() < 0.12, "{interval}");
        assert!((interval["mean_width"].as_f64().unwrap() - width).abs() < 0.3 * width, "{interval}");
    }
    let (header, rows) = header_and_rows(place.path());
    assert_eq!(header, "y_q10,y_q25,y_q50,y_q75,y_q90");
    assert_eq!(rows.len(), 1200);
    assert!(rows.iter().all(|row| row.len() == 5 && row.is_sorted()), "quantiles never cross");
    let text = run(place.path(), &["evaluate", "runs/q", "--device", "cpu"]);
    assert!(text.contains("80 %") && text.contains("mean width"), "{text}");
    // What the run says of itself can be trained again.
    let resolved = fs::read_to_string(place.path().join("runs/q/experiment.toml")).unwrap();
    assert!(resolved.contains("quantiles = [0.1, 0.25, 0.5, 0.75, 0.9]"), "{resolved}");
}

#[test]
fn quantiles_of_several_steps_are_columns_of_each() {
    let place = tempfile::tempdir().unwrap();
    write_data(place.path(), 700);
    let window = "[data]\nsource = \"days.csv\"\ntarget = \"y\"\nfeatures = []\n[data.window]\nlength = 7\n\
                  horizon = 2\nall_steps = true\ntime = \"day\"\nrelative = true\n[data.split]\nby = \"order\"";
    let found = evaluation(place.path(), window);
    let coverage = found["intervals"][0]["coverage"].as_f64().unwrap();
    assert!((coverage - 0.8).abs() < 0.2, "{found}");
    let (header, rows) = header_and_rows(place.path());
    let steps = ["y_q10 (+1),y_q25 (+1),y_q50 (+1),y_q75 (+1),y_q90 (+1)", "y_q10 (+2),y_q25 (+2)"];
    assert!(steps.iter().all(|part| header.contains(part)), "{header}");
    assert!(rows.iter().all(|row| row.len() == 10 && row[..5].is_sorted() && row[5..].is_sorted()));
    let report = fs::read_to_string(place.path().join("runs/q/report.html")).unwrap();
    assert!(report.contains("class=\"band\"") && report.contains("2 rows at a time"));
}

#[test]
fn a_training_on_series_is_resumed_with_all_its_metrics() {
    let place = tempfile::tempdir().unwrap();
    write_data(place.path(), 200);
    let experiment = "name = \"r\"\n[data]\nsource = \"days.csv\"\ntarget = \"y\"\nfeatures = []\n[data.window]\n\
                      length = 7\n[data.split]\nby = \"order\"\n[model]\nhidden = [4]\n[train]\nepochs = 3\n\
                      loss = \"quantile\"\n";
    fs::write(place.path().join("r.toml"), experiment).unwrap();
    let train = |more: &[&str]| {
        run(place.path(), &[&["train", "r.toml", "--device", "cpu"], more].concat());
    };
    train(&["--max-steps", "5", "--out", "a"]);
    train(&["--resume", "--out", "a"]);
    train(&["--out", "b"]);
    let metrics = |run: &str| fs::read_to_string(place.path().join(run).join("metrics.csv")).unwrap();
    assert_eq!(metrics("a"), metrics("b"));
    assert!(["pinball", "crps", "smape", "mase"].iter().all(|name| metrics("a").contains(name)));
}

#[test]
fn wrong_quantiles_are_refused() {
    let place = workplace();
    for (loss, parts) in [
        ("{ type = \"quantile\", quantiles = [] }", ["0 quantiles", "[0.1, 0.5, 0.9]"]),
        ("{ type = \"quantile\", quantiles = [0.1, 1.0] }", ["quantile 1", "below 1"]),
        ("{ type = \"quantile\", quantiles = [0.5, 0.1] }", ["0.5 before 0.1", "ascending"]),
        ("{ type = \"quantile\", q = 1.5 }", ["quantile 1.5", "below 1"]),
        ("{ type = \"quantile\", quantiles = \"all\" }", ["list of quantiles", "[0.1, 0.5, 0.9]"]),
    ] {
        let set = format!("train.loss={loss}");
        let ended = gridlight(place.path(), &["train", "small.toml", "--set", &set]);
        assert_refused(&ended, &parts, loss);
    }
    let set = "train.loss={ type = \"quantile\", q = 0.9 }";
    run(place.path(), &["train", "small.toml", "--set", set, "--device", "cpu", "--out", "nine"]);
    let resolved = fs::read_to_string(place.path().join("nine/experiment.toml")).unwrap();
    assert!(resolved.contains("quantiles = [0.9]"), "{resolved}");
}

#[test]
fn folds_of_a_series_are_backtests_with_a_growing_past() {
    let place = tempfile::tempdir().unwrap();
    write_data(place.path(), 200);
    let experiment = "name = \"b\"\n[data]\nsource = \"days.csv\"\ntarget = \"y\"\nfeatures = []\n[data.window]\n\
                      length = 7\ntime = \"day\"\n[data.split]\nby = \"order\"\n[model]\nhidden = [4]\n[train]\n\
                      epochs = 1\nbatch_size = 8\n";
    fs::write(place.path().join("b.toml"), experiment).unwrap();
    let train = |more: &[&str]| {
        gridlight(place.path(), &[&["train", "b.toml", "--device", "cpu", "--json"], more].concat())
    };
    let ended = train(&["--folds", "4", "--out", "b"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let events: Vec<serde_json::Value> =
        ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // They train at the same time, so that their events come in any order.
    let started = events.iter().filter_map(|e| Some((e["run"].to_string(), e["train_samples"].as_u64()?)));
    let rows: Vec<u64> = started.collect::<std::collections::BTreeMap<_, _>>().into_values().collect();
    assert!(rows.len() == 4 && rows.is_sorted_by(|a, b| a < b), "{rows:?}");
    assert_eq!(events.last().unwrap()["metrics"]["mae"]["folds"].as_array().unwrap().len(), 4);
    for (more, parts) in [
        (&["--folds", "250", "--out", "c"][..], ["250 test parts", "need"]),
        (&["--folds", "2", "--repeats", "2", "--out", "d"], ["--repeats", "the same"]),
    ] {
        assert_refused(&train(more), &parts, more[1]);
    }
    // Cut by time, and so wide as the experiment says.
    let split = "data.split={ by = \"rolling\", column = \"day\", test_rows = 7 }";
    let ended = train(&["--folds", "2", "--out", "e", "--set", split]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let resolved = fs::read_to_string(place.path().join("e/fold-1/experiment.toml")).unwrap();
    assert!(resolved.contains("test_rows = 7") && resolved.contains("fold = 1"), "{resolved}");
}

#[test]
fn relative_forecasts_move_with_the_level_of_the_window() {
    let place = tempfile::tempdir().unwrap();
    let series = |level: f64| {
        let mut text = String::from("y,z\n");
        for n in 0..120 {
            writeln!(text, "{},{}", level + f64::from(n % 5), n % 3).unwrap();
        }
        text
    };
    fs::write(place.path().join("low.csv"), series(0.0)).unwrap();
    fs::write(place.path().join("high.csv"), series(1024.0)).unwrap();
    let experiment = "name = \"s\"\n[data]\nsource = \"low.csv\"\ntarget = \"y\"\n[data.window]\nlength = 5\n\
                      horizon = 2\nall_steps = true\nrelative = true\n[data.transform]\ntarget = \"none\"\n\
                      [data.split]\nby = \"order\"\n[model]\nhidden = [8]\n[train]\nepochs = 2\nbatch_size = 8\n\
                      loss = \"quantile\"\n";
    fs::write(place.path().join("s.toml"), experiment).unwrap();
    run(place.path(), &["train", "s.toml", "--device", "cpu"]);
    let forecasts = |input: &str| {
        run(place.path(), &["predict", "runs/s", "--input", input, "--output", "p.csv", "--device", "cpu"]);
        let text = fs::read_to_string(place.path().join("p.csv")).unwrap();
        let of = |line: &str| line.split(',').skip(1).map(|x| x.parse().unwrap()).collect::<Vec<f64>>();
        text.lines().skip(1).flat_map(of).collect::<Vec<f64>>()
    };
    let (low, high) = (forecasts("low.csv"), forecasts("high.csv"));
    assert_eq!(low.len(), high.len());
    assert!(low.len() > 600, "{}", low.len());
    assert!(low.iter().zip(&high).all(|(low, high)| (high - low - 1024.0).abs() < 1e-2));
    assert!(low.windows(2).any(|pair| (pair[0] - pair[1]).abs() > 0.5), "forecasts differ");
}
