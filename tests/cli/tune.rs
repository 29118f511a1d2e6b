//! `gridlight tune`: a whole study, what it refuses, and that it goes on after a kill as if nothing had happened.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{EXPERIMENT, Ended, gridlight, table};

const STUDY: &str = r#"name = "hunt"
experiment = "small.toml"
trials = 12
metric = "mae"
seed = 5

[scheduler]
type = "asha"
reduction = 2
min_epochs = 1

[search]
"train.optimizer.momentum" = { uniform = [0.5, 0.9], when = { "train.optimizer.type" = "sgd" } }
"train.learning_rate" = { log = [1e-4, 0.3] }
"train.optimizer.type" = { choice = ["adam", "sgd"] }
"model.hidden" = { choice = [[4], [8, 8]] }
"#;

/// A directory with a table, an experiment of 4 epochs and a study of it.
fn workplace(study: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("table.csv"), table()).unwrap();
    let experiment =
        EXPERIMENT.replace("epochs = 2", "epochs = 4\ncheckpoint_every_steps = 1\nschedule = \"cosine\"");
    fs::write(directory.path().join("small.toml"), experiment).unwrap();
    fs::write(directory.path().join("study.toml"), study).unwrap();
    directory
}

fn tune(directory: &Path, more: &[&str]) -> Ended {
    gridlight(directory, &[&["tune", "study.toml", "--device", "cpu"], more].concat())
}

fn lines(ended: &Ended) -> Vec<serde_json::Value> {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The lines of a study without the times, which differ.
fn course(study: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(study.join("study.jsonl")).unwrap();
    let line = |line: &str| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("seconds");
        line
    };
    text.lines().map(line).collect()
}

/// The files of a study that must have the same bits.
fn bits(study: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = vec![("best.toml".to_string(), fs::read(study.join("best.toml")).unwrap())];
    for trial in fs::read_dir(study.join("trials")).unwrap().flatten() {
        for name in ["metrics.csv", "best.safetensors", "experiment.toml"] {
            if let Ok(bytes) = fs::read(trial.path().join(name)) {
                found.push((format!("{:?} {name}", trial.file_name()), bytes));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_study_finds_a_setting_that_trains_to_the_same_weights() {
    let place = workplace(STUDY);
    let events = lines(&tune(place.path(), &["--json"]));
    let of = |kind: &str| events.iter().filter(|e| e["event"] == kind).collect::<Vec<_>>();
    let ([start], [end]) = (&of("start")[..], &of("end")[..]) else { panic!("{events:?}") };
    assert_eq!((&start["rungs"], &start["direction"]), (&serde_json::json!([1, 2, 4]), &"minimize".into()));
    let trials = of("trial");
    for trial in &trials {
        let settings = trial["settings"].as_object().unwrap();
        let is_sgd = settings["train.optimizer.type"] == "sgd";
        assert_eq!(settings.contains_key("train.optimizer.momentum"), is_sgd, "{trial}");
        assert!(["paused", "finished", "diverged"].contains(&trial["state"].as_str().unwrap()), "{trial}");
    }
    // The best is the best of those that were trained to the end.
    let finished = trials.iter().filter(|trial| trial["state"] == "finished");
    let least = finished.map(|trial| trial["value"].as_f64().unwrap()).fold(f64::INFINITY, f64::min);
    assert_eq!(end["best"]["value"].as_f64().unwrap(), least);
    let parts = end["importance"].as_object().unwrap().values().map(|part| part.as_f64().unwrap());
    assert!((parts.sum::<f64>() - 1.0).abs() < 1e-9);

    let study = place.path().join("runs/hunt");
    let number = end["best"]["trial"].as_u64().unwrap();
    let best = study.join(format!("trials/{number:04}"));
    let kept: Vec<_> = fs::read_dir(study.join("trials"))
        .unwrap()
        .flatten()
        .filter(|trial| {
            trial.path().join("best.safetensors").exists() || trial.path().join("checkpoints").exists()
        })
        .collect();
    assert!(kept.len() == 1 && kept[0].path() == best, "only the best keeps its weights: {kept:?}");

    // A trial that was paused at rungs has the bits of one that was not.
    let ended = gridlight(place.path(), &["train", "runs/hunt/best.toml", "--device", "cpu", "--json"]);
    let trained = lines(&ended);
    let mae = trained.last().unwrap()["best"]["mae"].as_f64().unwrap();
    assert_eq!(mae, least);
    let weights = |run: &Path| fs::read(run.join("best.safetensors")).unwrap();
    assert_eq!(weights(&place.path().join("runs/hunt-best")), weights(&best));
    let metrics = |run: &Path| fs::read(run.join("metrics.csv")).unwrap();
    assert_eq!(metrics(&place.path().join("runs/hunt-best")), metrics(&best));

    let page = fs::read_to_string(study.join("report.html")).unwrap();
    for part in ["<h2>Best so far", "<h2>Which settings matter", "<h2>Trials", "train.learning_rate", "sgd"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("NaN") && !page.contains("http") && !page.contains("<script"));

    // With more trials, it goes on where it was, though checkpoints are gone.
    let before = course(&study);
    let events = lines(&tune(place.path(), &["--json", "--resume", "--trials", "16"]));
    assert_eq!(events[0]["resumed_trials"], 12);
    let after = course(&study);
    assert_eq!(after[..before.len()], before);
    assert_eq!(after.iter().filter(|line| line["line"] == "proposed").count(), 16);

    let text = tune(place.path(), &["--trials", "3"]);
    assert!(
        text.stdout.contains("train the best with: gridlight train runs/hunt/best.toml"),
        "{}",
        text.stdout
    );
    assert!(text.stderr.contains("moved to runs/hunt-1"), "{}", text.stderr);
}

#[test]
fn a_killed_study_goes_on_to_the_same_bits() {
    let place = workplace(STUDY);
    assert_eq!(tune(place.path(), &["--out", "whole"]).code, Some(0));
    let whole = place.path().join("whole");
    for number in 0..3u64 {
        let out = format!("killed-{number}");
        let study = place.path().join(&out);
        // Kill after so many bytes of the file, and a moment later: often within a trial.
        for (kill, size) in [300, 2500, 5000].into_iter().enumerate() {
            let mut child = Command::new(env!("CARGO_BIN_EXE_gridlight"))
                .args(["tune", "study.toml", "--device", "cpu", "--resume", "--out", &out])
                .current_dir(place.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let long =
                |path: &Path| fs::metadata(path.join("study.jsonl")).map_or(0, |file| file.len()) >= size;
            while child.try_wait().unwrap().is_none() && !long(&study) {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            std::thread::sleep(std::time::Duration::from_millis(7 * number + 3 * kill as u64));
            let _ = child.kill();
            child.wait().unwrap();
            if kill == 1 {
                // A line torn in the middle.
                let path = study.join("study.jsonl");
                let text = fs::read(&path).unwrap();
                fs::write(&path, &text[..text.len() - 5]).unwrap();
            }
        }
        let ended = tune(place.path(), &["--resume", "--out", &out]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_eq!(course(&study), course(&whole), "{out}");
        assert_eq!(bits(&study), bits(&whole), "{out}");
    }
}

#[test]
fn two_processes_do_not_share_a_study_and_another_study_does_not_go_on() {
    let place = workplace(&STUDY.replace("trials = 12", "trials = 3"));
    assert_eq!(tune(place.path(), &[]).code, Some(0));
    let study = place.path().join("runs/hunt");
    let lock = fs::File::open(study.join(".lock")).unwrap();
    lock.lock().unwrap();
    for more in [&["--resume"][..], &[]] {
        let ended = tune(place.path(), more);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains("another gridlight process"), "{}", ended.stderr);
    }
    drop(lock);
    for (from, to, wanted) in [
        ("seed = 5", "seed = 6", "seed = 5"),
        ("[1e-4, 0.3]", "[1e-4, 0.2]", "train.learning_rate"),
        ("\"mae\"", "\"rmse\"", "metric = mae"),
    ] {
        fs::write(place.path().join("study.toml"), STUDY.replace(from, to)).unwrap();
        let ended = tune(place.path(), &["--resume"]);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains("was begun with") && ended.stderr.contains(wanted), "{}", ended.stderr);
    }
    fs::write(place.path().join("study.toml"), STUDY).unwrap();
    fs::write(place.path().join("table.csv"), table() + "1,2,red,0\n").unwrap();
    let ended = tune(place.path(), &["--resume"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("data have changed"), "{}", ended.stderr);
}

#[test]
fn a_grid_with_folds_tries_every_setting() {
    let study = "name = \"grid\"\nexperiment = \"small.toml\"\nsampler = \"grid\"\nfolds = 3\nmetric = \"r2\"\n[search]\n\
                 \"train.batch_size\" = { choice = [8, 16] }\n\"model.dropout\" = { uniform = [0.0, 0.2], step = 0.1 }\n";
    let place = workplace(study);
    let events = lines(&tune(place.path(), &["--json"]));
    let trials: Vec<_> = events.iter().filter(|e| e["event"] == "trial").collect();
    let tried: Vec<String> = trials.iter().map(|trial| trial["settings"].to_string()).collect();
    assert_eq!(tried.len(), 6);
    assert_eq!(tried[0], r#"{"model.dropout":0.0,"train.batch_size":8}"#);
    assert!((1..6).all(|at| !tried[..at].contains(&tried[at])));
    assert_eq!(events[0]["direction"], "maximize");
    let most = trials.iter().map(|t| t["value"].as_f64().unwrap()).fold(f64::NEG_INFINITY, f64::max);
    let end = events.last().unwrap();
    assert_eq!(end["best"]["value"].as_f64().unwrap(), most);
    // The mean over the folds, each on rows that its model did not train on.
    let best = format!("runs/grid/trials/{:04}", end["best"]["trial"].as_u64().unwrap());
    let sum: f64 = (0..3)
        .map(|fold| {
            let run = format!("{best}/fold-{fold}");
            let ended =
                gridlight(place.path(), &["evaluate", &run, "--split", "test", "--device", "cpu", "--json"]);
            lines(&ended)[0]["metrics"]["r2"].as_f64().unwrap()
        })
        .sum();
    assert!((sum / 3.0 - most).abs() < 1e-12);
}

#[test]
fn trials_that_fail_are_the_worst_and_a_study_of_them_alone_fails() {
    let study = "name = \"fail\"\nexperiment = \"small.toml\"\nsampler = \"grid\"\n[search]\n\
                 \"train.learning_rate\" = { choice = [1e30, 0.01] }\n\"train.optimizer\" = { choice = [\"sgd\"] }\n";
    let place = workplace(study);
    let events = lines(&tune(place.path(), &["--json"]));
    assert_eq!(events[1]["state"], "diverged");
    assert!(events[1]["reason"].as_str().unwrap().contains("diverged at step"), "{}", events[1]);
    assert_eq!(events.last().unwrap()["best"]["trial"], 2);
    fs::write(place.path().join("study.toml"), study.replace(", 0.01", "")).unwrap();
    let ended = tune(place.path(), &["--out", "all"]);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("none of 1 trials stayed finite"), "{}", ended.stderr);
}

#[cfg(unix)]
#[test]
fn an_interrupt_keeps_what_was_tried() {
    let place = workplace(&STUDY.replace("trials = 12", "trials = 100000"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_gridlight"))
        .args(["tune", "study.toml", "--device", "cpu"])
        .current_dir(place.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let study = place.path().join("runs/hunt");
    while fs::metadata(study.join("study.jsonl")).map_or(0, |file| file.len()) < 3000 {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("go on with:\n  gridlight tune study.toml --device cpu --resume"), "{stderr}");
    assert!(study.join("report.html").exists() && study.join("best.toml").exists());
}

#[test]
fn mistakes_are_found_before_the_first_trial() {
    let place = workplace(STUDY);
    let swap = |from: &str, to: &str| {
        assert!(STUDY.contains(from), "{from}");
        STUDY.replace(from, to)
    };
    let rate = |value: &str| swap("{ log = [1e-4, 0.3] }", value);
    let cases = [
        ("unknown key", swap("trials = 12", "trails = 12"), &["study.toml:3:1", "did you mean `trials`"][..]),
        (
            "unknown sampler",
            swap("seed = 5", "sampler = \"tp\""),
            &["study.toml:5:", "tp", "did you mean `tpe`"],
        ),
        ("no trials", swap("trials = 12\n", ""), &["`trials` is missing"]),
        ("zero trials", swap("= 12", "= 0"), &["study.toml:3:1", "= 0 is not in 1..=100000"]),
        ("no hours", swap("trials = 12", "hours = -1.0"), &["study.toml:3:1", "= -1 must be"]),
        ("metric of classes", swap("\"mae\"", "\"auc\""), &["study.toml:4:1", "no metric of this model"]),
        (
            "incomparable losses",
            swap("metric = \"mae\"\n", "").replace(
                "\"model.hidden\" = { choice = [[4], [8, 8]] }",
                "\"train.loss\" = { choice = [\"mse\", \"mae\"] }",
            ),
            &["`metric` = \"loss\" cannot compare", "mae, rmse"],
        ),
        (
            "no experiment",
            swap("small.toml", "none.toml"),
            &["study.toml:2:1", "none.toml", "cannot be read"],
        ),
        ("no rungs", swap("min_epochs = 1", "min_epochs = 3"), &["study.toml:7:2", "no rung", "epochs = 4"]),
        ("reduction", swap("reduction = 2", "reduction = 1"), &["study.toml:9:1", "not in 2..="]),
        (
            "searched epochs",
            swap(
                "\"train.learning_rate\" = { log = [1e-4, 0.3] }",
                "\"train.epochs\" = { integer = [1, 4] }",
            ),
            &["`train.epochs` cannot be searched"],
        ),
        (
            "unknown search key",
            swap("\"train.learning_rate\"", "\"train.learning_rates\""),
            &["study.toml:14:1", "unknown key `learning_rates`", "did you mean"],
        ),
        (
            "unquoted key",
            swap("\"train.learning_rate\"", "train.learning_rate"),
            &["study.toml:14:1", "in quotes"],
        ),
        ("empty range", rate("{ log = [0.3, 0.3] }"), &["study.toml:14:1", "empty range"]),
        ("lo above hi", rate("{ uniform = [0.3, 0.1] }"), &["study.toml:14:1", "0.3 is not below 0.1"]),
        ("log of zero", rate("{ log = [0.0, 0.1] }"), &["study.toml:14:1", "no logarithm"]),
        ("not finite", rate("{ uniform = [0.1, inf] }"), &["study.toml:14:1", "two finite numbers"]),
        (
            "refused value",
            rate("{ uniform = [-1.0, 0.1] }"),
            &["study.toml:14:1", "`train.learning_rate` = -1 must be"],
        ),
        ("two forms", rate("{ uniform = [0.1, 0.2], choice = [1] }"), &["study.toml:14:1", "exactly one of"]),
        ("no form", rate("{ when = {} }"), &["study.toml:14:1", "exactly one of"]),
        ("a number", rate("0.1"), &["study.toml:14:1", "= 0.1 must be one of"]),
        ("unknown form", rate("{ loguniform = [0.1, 0.2] }"), &["study.toml:14:1", "`loguniform`"]),
        ("step of log", rate("{ log = [0.1, 0.2], step = 0.1 }"), &["study.toml:14:1", "`step`"]),
        ("large step", rate("{ uniform = [0.1, 0.2], step = 1.0 }"), &["study.toml:14:1", "step = 1.0"]),
        (
            "given twice",
            rate("{ log = [1e-4, 0.3] }\n\"train.learning_rate\" = { log = [1e-4, 0.3] }"),
            &["study.toml:15:1", "duplicate"],
        ),
        ("no choice", swap("[[4], [8, 8]]", "[]"), &["study.toml:16:1", "0 choices"]),
        ("choice twice", swap("[[4], [8, 8]]", "[[4], [4]]"), &["study.toml:16:1", "[4] twice"]),
        (
            "refused choice",
            swap("[[4], [8, 8]]", "[[4], [0]]"),
            &["study.toml:16:1", "model.hidden", "0 units"],
        ),
        ("choice of another type", swap("[[4], [8, 8]]", "[[4], \"x\"]"), &["study.toml:16:1", "list"]),
        (
            "when of no key",
            swap("when = { \"train.optimizer.type\"", "when = { \"train.optimizer.typ\""),
            &["study.toml:13:1", "not searched", "did you mean `train.optimizer.type`"],
        ),
        (
            "when of no choice",
            swap("= \"sgd\" }", "= \"sdg\" }"),
            &["study.toml:13:1", "no choice", "\"sgd\""],
        ),
        (
            "when of a number",
            swap("when = { \"train.optimizer.type\" = \"sgd\"", "when = { \"train.learning_rate\" = 0.1"),
            &["study.toml:13:1", "searched as a number"],
        ),
        (
            "within another",
            swap(
                "\"model.hidden\" = { choice = [[4], [8, 8]] }",
                "\"train.optimizer\" = { choice = [\"sgd\"] }",
            ),
            &["lies within `train.optimizer`"],
        ),
        (
            "large batch",
            swap(
                "\"model.hidden\" = { choice = [[4], [8, 8]] }",
                "\"train.batch_size\" = { choice = [8, 4096] }",
            ),
            &["study.toml:16:1", "= 4096", "at most 42"],
        ),
        ("no grid", swap("seed = 5", "sampler = \"grid\""), &["study.toml:14:1", "no end of values"]),
        ("folds", swap("seed = 5", "folds = 1"), &["study.toml:5:1", "not in 2..="]),
        ("empty", "".into(), &["study.toml", "`name` is missing"]),
        (
            "nothing searched",
            "name = \"a\"\nexperiment = \"small.toml\"\ntrials = 1\n[search]\n".into(),
            &["is empty"],
        ),
    ];
    for (what, study, wanted) in cases {
        fs::write(place.path().join("study.toml"), study).unwrap();
        let ended = tune(place.path(), &[]);
        assert_eq!(ended.code, Some(2), "{what}: {}", ended.stderr);
        for part in wanted {
            assert!(ended.stderr.contains(part), "{what}: `{part}` is not in\n{}", ended.stderr);
        }
        assert!(!ended.stderr.contains("trial  "), "{what}: {}", ended.stderr);
    }
    fs::write(place.path().join("study.toml"), STUDY).unwrap();
    let set = tune(place.path(), &["--set", "train.learning_rate=0.1"]);
    assert!(set.code == Some(2) && set.stderr.contains("would be lost"), "{}", set.stderr);
    fs::create_dir_all(place.path().join("full")).unwrap();
    fs::write(place.path().join("full/mine.txt"), "").unwrap();
    let full = tune(place.path(), &["--out", "full"]);
    assert!(full.code == Some(2) && full.stderr.contains("choose another directory"), "{}", full.stderr);
    assert!(!place.path().join("runs").exists());
}

#[test]
fn the_shipped_study_is_one() {
    let place = tempfile::tempdir().unwrap();
    let study = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/studies/student-grades.toml");
    let study = study.to_str().unwrap();
    let more = ["--device", "cpu", "--trials", "2", "--set", "train.epochs=6", "--json"];
    let events = lines(&gridlight(place.path(), &[&["tune", study], &more[..]].concat()));
    assert_eq!(events[0]["rungs"], serde_json::json!([2, 6]));
    assert!(place.path().join("runs/student-grades-study/best.toml").exists());
}
