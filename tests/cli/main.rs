//! The command line: bad input exits with code 2 and one paragraph that says where and how to go on, existing
//! runs are never overwritten, and results are machine-readable.

mod beside;
mod book;
mod explain;
mod export;
mod export_step;
mod first_contact;
mod forecasts;
mod import;
mod large;
mod places;
mod refusals;
mod rows;
mod seeds;
#[cfg(feature = "serve")]
mod serve;
mod streams;
mod tune;
mod uncertainty;
#[cfg(feature = "serve")]
mod watch;
mod web;

use std::fs;
use std::path::Path;
use std::process::Command;

use refusals::{assert_refused, runs};

/// The outcome of a command.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs `gridlight` in `directory`.
fn gridlight(directory: &Path, arguments: &[&str]) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_gridlight"))
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A table of 60 rows with `y = 2 a - b` and a class.
fn table() -> String {
    let mut text = "a,b,kind,y\n".to_string();
    for i in 0..60 {
        let (a, b) = (f64::from(i % 10), f64::from(i * 7 % 13));
        text += &format!("{a},{b},{},{}\n", ["red", "blue"][i as usize % 2], 2.0 * a - b);
    }
    text
}

const EXPERIMENT: &str = r#"name = "small"

[data]
source = "table.csv"
target = "y"

[model]
hidden = [8]

[train]
epochs = 2
batch_size = 16
"#;

/// A directory with a table, an experiment, and a finished run.
fn workplace() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("table.csv"), table()).unwrap();
    fs::write(directory.path().join("small.toml"), EXPERIMENT).unwrap();
    let ended = gridlight(directory.path(), &["train", "small.toml", "--device", "cpu"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    directory
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let directory = tempfile::tempdir().unwrap();
    let help = gridlight(directory.path(), &["--help"]);
    assert_eq!(help.code, Some(0));
    for command in [
        "train",
        "tune",
        "evaluate",
        "predict",
        "explain",
        "robustness",
        "export",
        #[cfg(feature = "serve")]
        "serve",
        #[cfg(feature = "serve")]
        "watch",
        "list",
        "compare",
        "plan",
        "replay",
        "verify",
        "bench",
        "devices",
        "web",
    ] {
        assert!(help.stdout.contains(command), "{command} is not listed:\n{}", help.stdout);
        let ended = gridlight(directory.path(), &[command, "--help"]);
        assert_eq!(ended.code, Some(0), "{command}");
        let example = ended.stdout.split_once("Example").map(|(_, rest)| rest.to_string());
        let example = example.unwrap_or_else(|| panic!("{command} --help has no example"));
        assert!(example.contains(&format!("gridlight {command}")), "{command}:\n{example}");
    }
}

#[test]
fn json_is_all_that_json_commands_print() {
    let directory = workplace();
    let lines = |arguments: &[&str]| -> Vec<serde_json::Value> {
        let ended = gridlight(directory.path(), arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
        ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let events = lines(&["train", "small.toml", "--device", "cpu", "--json", "--log-every", "1"]);
    let kinds: Vec<&str> = events.iter().filter_map(|e| e["event"].as_str()).collect();
    assert_eq!(kinds.first(), Some(&"start"));
    assert_eq!(kinds.last(), Some(&"end"));
    assert_eq!(kinds.iter().filter(|k| **k == "epoch").count(), 2);
    assert!(kinds.contains(&"step"));
    assert!(
        directory.path().join("runs/small-1/best.safetensors").exists(),
        "the earlier run was moved aside"
    );

    let [evaluation] = &lines(&["evaluate", "runs/small", "--device", "cpu", "--json"])[..] else { panic!() };
    assert_eq!(evaluation["split"], "test");
    assert!(evaluation["metrics"]["mae"].is_number());

    let [plan] = &lines(&["plan", "small.toml", "--device", "cpu", "--json"])[..] else { panic!() };
    let kernels = plan["kernels"].as_array().unwrap();
    assert_eq!(plan["kernels_per_step"], kernels.len());
    assert!(kernels.iter().all(|k| k["name"].is_string() && k["bytes"].is_number()));

    for arguments in [&["verify", "small.toml"][..], &["verify"]] {
        let arguments = [arguments, &["--device", "cpu", "--json"]].concat();
        let [verified] = &lines(&arguments)[..] else { panic!() };
        assert_eq!(verified["failed"], 0);
        assert_eq!(verified["passed"], verified["kernels"].as_array().unwrap().len());
        assert!(verified["kernels"][0]["tolerance"].is_number());
    }

    let bench = lines(&["bench", "half_store", "--device", "cpu", "--json"]);
    assert!(bench[0]["limits"]["gflops"].as_f64().unwrap() > 0.0);
    assert_eq!(bench[0]["kernels"][0]["name"], "half_store");
    let devices = lines(&["devices", "--json"]);
    assert_eq!(devices.len(), 1);
}

#[test]
fn a_benchmark_much_slower_than_before_fails_the_comparison() {
    let directory = tempfile::tempdir().unwrap();
    let ended = gridlight(directory.path(), &["bench", "store", "--device", "cpu", "--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let mut report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let mut compare = |seconds: f64| {
        // All of them, so that nothing measured now is held against what was measured a moment ago.
        for kernel in report["kernels"].as_array_mut().unwrap() {
            kernel["seconds"] = seconds.into();
        }
        fs::write(directory.path().join("before.json"), report.to_string()).unwrap();
        gridlight(directory.path(), &["bench", "store", "--device", "cpu", "--compare", "before.json"])
    };
    let slower = compare(1e-15);
    assert_eq!(slower.code, Some(1), "{}", slower.stderr);
    assert!(slower.stderr.contains("store"), "{}", slower.stderr);
    assert_eq!(compare(1e3).code, Some(0));
}

#[test]
fn growth_refuses_what_it_cannot_write_before_it_measures() {
    let directory = tempfile::tempdir().unwrap();
    for (arguments, code, part) in [
        (&["--growth", "-", "--json"][..], 2, "standard output"),
        (&["--growth", "."], 2, "is a directory"),
        (&["--growth", "no/g.html"], 5, "there is no folder no"),
        (&["--growth", "g.html", "--rounds", "3"], 2, "cannot be used with"),
    ] {
        let all = [&["bench", "mlp", "--device", "cpu"][..], arguments].concat();
        let ended = gridlight(directory.path(), &all);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(part) && !ended.stderr.contains("batch 1:"), "{}", ended.stderr);
    }
}

#[test]
fn predictions_are_in_the_targets_units_and_need_no_target() {
    let directory = workplace();
    fs::write(directory.path().join("new.csv"), "kind,b,a\nred,1,5\nblue,0,2\ngreen,3,3\n").unwrap();
    let arguments = ["predict", "runs/small", "--input", "new.csv", "--output", "out.csv", "--device", "cpu"];
    let ended = gridlight(directory.path(), &arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let text = fs::read_to_string(directory.path().join("out.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (4, "y"));
    assert!(lines[1..].iter().all(|line| line.parse::<f64>().is_ok_and(f64::is_finite)), "{text}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_gpu_that_is_not_there_is_a_failure_of_the_device() {
    let directory = workplace();
    let output = Command::new(env!("CARGO_BIN_EXE_gridlight"))
        .args(["train", "small.toml", "--device", "gpu"])
        .envs(["VK_ICD_FILENAMES", "VK_DRIVER_FILES"].map(|name| (name, "/nonexistent")))
        .current_dir(directory.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("error: no GPU adapter found"), "{stderr}");
}

#[test]
fn a_run_is_repeated_and_its_weights_compared() {
    let directory = workplace();
    let ended = gridlight(directory.path(), &["replay", "runs/small"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("same bits"), "{}", ended.stdout);
    let before = runs(directory.path());
    let ended = gridlight(directory.path(), &["replay", "runs/small", "--json"]);
    let replay: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((ended.code, &replay["same"]), (Some(0), &true.into()), "{}", ended.stderr);
    assert_eq!(replay["found"], replay["expected"]);
    assert_eq!(runs(directory.path()), before, "the run was touched");
    // A different experiment produces different weights.
    let path = directory.path().join("runs/small/experiment.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("learning_rate = 0.001"));
    fs::write(&path, text.replace("learning_rate = 0.001", "learning_rate = 0.002")).unwrap();
    let ended = gridlight(directory.path(), &["replay", "runs/small"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("error: runs/small: the repeated run has different weights"),
        "{}",
        ended.stderr
    );
    assert_refused(
        &gridlight(directory.path(), &["replay", "nowhere"]),
        &["nowhere", "run directory"],
        "no run",
    );
    fs::write(directory.path().join("runs/small/run.json"), "{").unwrap();
    assert_refused(&gridlight(directory.path(), &["replay", "runs/small"]), &["run.json"], "damaged record");
}

#[test]
fn a_default_batch_is_no_larger_than_the_table() {
    let directory = tempfile::tempdir().unwrap();
    let rows: String = table().lines().take(25).map(|l| format!("{l}\n")).collect();
    fs::write(directory.path().join("table.csv"), rows).unwrap();
    let train = |experiment: &str, more: &[&str]| {
        fs::write(directory.path().join("few.toml"), experiment).unwrap();
        gridlight(
            directory.path(),
            &[&["train", "few.toml", "--device", "cpu", "--out", "runs/few"], more].concat(),
        )
    };
    let experiment = EXPERIMENT.replace("batch_size = 16\n", "");
    let ended = train(&experiment, &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let note = "train.batch_size is 16 instead of 32, because only 16 rows train";
    assert_eq!(ended.stderr.matches(note).count(), 1, "{}", ended.stderr);
    let written = fs::read_to_string(directory.path().join("runs/few/experiment.toml")).unwrap();
    assert!(written.contains("\nbatch_size = 16\n"), "{written}");
    // The run goes on with it.
    let ended = train(&experiment, &["--resume", "--epochs", "3"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // As does one of an earlier version, whose record lacks what was not written then.
    let path = directory.path().join("runs/few/experiment.toml");
    let earlier = fs::read_to_string(&path).unwrap();
    let old = |line: &&str| {
        !["missing = ", "default_missing", "flip_", "exclude"].iter().any(|k| line.starts_with(k))
    };
    let earlier: String = earlier.lines().filter(old).map(|l| format!("{l}\n")).collect();
    fs::write(&path, earlier).unwrap();
    let ended = train(&experiment, &["--resume", "--epochs", "4"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let ended = train(&format!("{experiment}batch_size = 32\n"), &[]);
    assert_refused(&ended, &["few.toml:12:1", "train.batch_size", "at most 16"], "given");
}

#[test]
fn verify_writes_a_report_to_attach_to_a_bug() {
    let directory = tempfile::tempdir().unwrap();
    let ended = gridlight(directory.path(), &["verify", "--device", "cpu", "--out", "report.md"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let report = fs::read_to_string(directory.path().join("report.md")).unwrap();
    for part in ["- gridlight 0", "- device: ", "- driver: ", "0 failed", "largest error"] {
        assert!(report.contains(part), "`{part}` is missing in: {report}");
    }
    let json = report.split("```json\n").nth(1).and_then(|rest| rest.split("\n```").next()).unwrap();
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert!(json["passed"].as_u64().unwrap() > 0 && json["failed"] == 0);
}
