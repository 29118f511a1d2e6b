//! Series of different magnitude: scaled each by itself, with errors of their own.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output};

use gridlight::experiment::Experiment;
use gridlight::run::trainer;

/// Hours of two meters, one after the other: waves of a day, one 20,000 times as high as the other.
fn meters() -> String {
    let mut text = String::from("time,meter,y\n");
    for (meter, shift, height) in [("low", 0.5, 0.25), ("high", 9000.0, 5000.0)] {
        for hour in 0..480_u32 {
            let wave = (f64::from(hour % 24) / 24.0 * std::f64::consts::TAU).sin();
            let noise = f64::from(hour * 7919 % 101) / 101.0 - 0.5;
            let (day, y) = (1 + hour / 24, shift + height * (wave + 0.2 * noise));
            writeln!(text, "2024-03-{day:02} {:02}:00,{meter},{y:.5}", hour % 24).unwrap();
        }
    }
    text
}

fn experiment(window: &str) -> String {
    format!(
        "name = \"meters\"\n[data]\nsource = \"meters.csv\"\ntarget = \"y\"\nfeatures = []\n[data.window]\n\
         length = 24\ntime = \"time\"\n{window}\n[data.split]\nby = \"order\"\n[model]\nhidden = [32]\n\
         [train]\nepochs = 20\nbatch_size = 16\n"
    )
}

fn gridlight(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gridlight")).args(arguments).current_dir(directory).output().unwrap()
}

#[test]
fn each_series_is_scaled_by_its_own_training_rows() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("meters.csv"), meters()).unwrap();
    let text = experiment("group = \"meter\"\nscale_by = \"group\"");
    let experiment = Experiment::parse(&text, "e.toml", &[]).unwrap();
    let loaded = trainer::load_data(&experiment, directory.path()).unwrap();
    let windows = loaded.train.windows.as_ref().unwrap();
    for (name, shift) in [("low", 0.5), ("high", 9000.0)] {
        let at = windows.places.iter().position(|p| p.group == name).unwrap();
        let start = windows.starts[at] as usize;
        let past = &loaded.train.x[start..start + 240];
        let mean = past.iter().sum::<f32>() / 240.0;
        let square = past.iter().map(|x| x * x).sum::<f32>() / 240.0;
        assert!(mean.abs() < 0.1 && (square - 1.0).abs() < 0.1, "{name}: {mean} {square}");
        // The truth comes back in the series' own units.
        let truth = windows.members.own_units(&loaded.train.truth(), 1);
        assert!((truth[at] - windows.baselines.truth[at]).abs() < 1e-3 * shift, "{name}");
        let fitted = &loaded.fitted.window.as_ref().unwrap().series[name];
        // The noise of two days: by hand, the mean difference at the same hour.
        assert!(
            fitted.naive[0].is_some_and(|naive| naive < 0.1 * shift && naive > 0.01 * shift),
            "{fitted:?}"
        );
    }
}

#[test]
fn a_small_series_is_forecast_as_well_as_a_large_one() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    std::fs::write(directory.join("meters.csv"), meters()).unwrap();
    std::fs::write(directory.join("e.toml"), experiment("group = \"meter\"\nscale_by = \"group\"")).unwrap();
    let trained = gridlight(directory, &["train", "e.toml", "--out", "run", "--device", "cpu"]);
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    let output = gridlight(directory, &["evaluate", "run", "--json", "--device", "cpu"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |of: &serde_json::Value, key: &str| of[key].as_f64().unwrap();
    let series = found["by_series"].as_array().unwrap();
    assert_eq!(series.len(), 2);
    for (name, s) in ["low", "high"].iter().zip(series) {
        assert_eq!(s["series"], *name);
        assert_eq!(s["samples"].as_u64().unwrap() * 2, found["samples"].as_u64().unwrap());
        assert!(number(s, "mae") < number(s, "baseline_seasonal_mae"), "{s}");
    }
    // Each series counts the same in what has no unit.
    for metric in ["mase", "smape"] {
        let mean = (number(&series[0], metric) + number(&series[1], metric)) / 2.0;
        assert!((number(&found["metrics"], metric) - mean).abs() < 1e-9, "{metric}: {found}");
    }
    let mean = (number(&series[0], "mae") + number(&series[1], "mae")) / 2.0;
    assert!((number(&found["metrics"], "mae") - mean).abs() < 1e-6 * mean, "{found}");
    let report = std::fs::read_to_string(directory.join("run/report.html")).unwrap();
    assert!(report.contains("By series") && report.contains("MASE"));

    // Forecasts come in the units of their series, and an unknown series has none.
    let predict = |input: &str| {
        gridlight(directory, &["predict", "run", "--input", input, "--output", "f.csv", "--device", "cpu"])
    };
    assert!(predict("meters.csv").status.success());
    let forecast = std::fs::read_to_string(directory.join("f.csv")).unwrap();
    for line in forecast.lines().skip(1) {
        let y: f64 = line.rsplit(',').next().unwrap().parse().unwrap();
        assert_eq!(y > 100.0, line.starts_with("high,"), "{line}");
    }
    std::fs::write(directory.join("new.csv"), meters().replace(",high,", ",new,")).unwrap();
    let refused = predict("new.csv");
    let message = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && message.contains("series `new` has no training rows"), "{message}");
}

#[test]
fn scaling_by_group_needs_a_group() {
    let error =
        Experiment::parse(&experiment("scale_by = \"group\""), "e.toml", &[]).unwrap_err().to_string();
    assert!(error.contains("e.toml:") && error.contains("scale_by") && error.contains("`group`"), "{error}");
}
