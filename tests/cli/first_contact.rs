//! The first minutes with a table: look at it, train on it, write an experiment for it, cross-validate.

use std::fs;

use crate::refusals::assert_refused;
use crate::{gridlight, workplace};

#[test]
fn inspect_tells_of_dates_that_training_refuses() {
    let place = tempfile::tempdir().unwrap();
    let rows: String = (0..60).map(|i| format!("2021-02-{:02},{i}\n", i % 28 + 1)).collect();
    fs::write(place.path().join("t.csv"), format!("day,y\n{rows}2021-02-29,60\n")).unwrap();
    let ended = gridlight(place.path(), &["inspect", "t.csv", "--target", "y"]);
    let told = "1 of its cells are no dates or times, such as \"2021-02-29\" in line 62";
    assert!(ended.stdout.contains(told), "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn inspect_of_a_table_takes_keys() {
    let place = tempfile::tempdir().unwrap();
    let rows: String = (0..60).map(|i| format!("{}.{:03};{i}\n", i % 9 + 1, i * 7 % 1000)).collect();
    fs::write(place.path().join("t.csv"), format!("x;y\n{rows}")).unwrap();
    let shown = |set: &str| gridlight(place.path(), &["inspect", "t.csv", "--target", "y", "--set", set]);
    for (decimal, least) in [(",", "1000 to"), (".", "1 to")] {
        let ended = shown(&format!("data.csv.decimal=\"{decimal}\""));
        assert!(ended.stdout.contains(least), "{decimal}: {}{}", ended.stdout, ended.stderr);
    }
    let ended = shown("data.nonsense=1");
    assert!(ended.code == Some(2) && ended.stderr.contains("unknown key `nonsense`"), "{}", ended.stderr);
}

#[test]
fn inspect_shows_what_is_understood_of_a_table() {
    let place = workplace();
    fs::write(
        place.path().join("t.csv"),
        std::iter::once("day;size;id;y\n".to_string())
            .chain((0..60).map(|i| format!("{:02}.03.2024;{},5;{i};{}\n", i % 31 + 1, i % 9, i % 7)))
            .collect::<String>(),
    )
    .unwrap();
    let ended = gridlight(place.path(), &["inspect", "t.csv", "--target", "y"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for part in
        ["60 rows, 4 columns", "semicolons", "dates, day first", "decimal comma", "exclude = [\"id\"]"]
    {
        assert!(ended.stdout.contains(part), "`{part}` is missing in:\n{}", ended.stdout);
    }
    let ended = gridlight(place.path(), &["inspect", "small.toml", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(shown["rows"], 60);
    assert_eq!(shown["columns"][2]["kind"], "category");
    assert_eq!(shown["parts"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>(), 60);
}

#[test]
fn a_table_trains_without_an_experiment_and_init_writes_one() {
    let place = workplace();
    let ended = gridlight(place.path(), &["train", "table.csv"]);
    assert_refused(
        &ended,
        &["table.csv: this is a table", "--target", "gridlight init table.csv"],
        "no target",
    );
    let ended = gridlight(place.path(), &["train", "table.csv", "--target", "z"]);
    assert_refused(&ended, &["no column `z`"], "wrong target");
    let arguments = ["train", "table.csv", "--target", "kind", "--epochs", "2", "--device", "cpu"];
    let ended = gridlight(place.path(), &arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("accuracy") && ended.stdout.contains("red (positive)"), "{}", ended.stdout);
    assert!(ended.stderr.contains("60 rows, 4 columns"), "{}", ended.stderr);

    let ended = gridlight(place.path(), &["init", "table.csv", "--target", "y"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let again = gridlight(place.path(), &["init", "table.csv", "--target", "y"]);
    assert_refused(&again, &["table.toml: exists"], "twice");
    let ended =
        gridlight(place.path(), &["train", "table.toml", "--epochs", "2", "--device", "cpu", "--quiet"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("columns; cells"), "{}", ended.stderr);
}

#[test]
fn folds_give_a_mean_and_a_deviation() {
    let place = workplace();
    let arguments = ["train", "small.toml", "--folds", "3", "--json", "--device", "cpu", "--out", "folds"];
    let ended = gridlight(place.path(), &arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let last: serde_json::Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    let mae = &last["metrics"]["mae"];
    let folds: Vec<f64> = mae["folds"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    assert_eq!((last["event"].as_str(), folds.len()), (Some("folds"), 3));
    let mean = folds.iter().sum::<f64>() / 3.0;
    let deviation = (folds.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
    assert!((mae["mean"].as_f64().unwrap() - mean).abs() < 1e-12 * mean.abs());
    assert!((mae["deviation"].as_f64().unwrap() - deviation).abs() < 1e-9);
    for fold in 0..3 {
        assert!(place.path().join(format!("folds/fold-{fold}/best.safetensors")).is_file());
    }
    let set = "data.split={ by = \"column\", column = \"kind\" }";
    let ended = gridlight(place.path(), &["train", "small.toml", "--folds", "3", "--set", set]);
    assert_refused(&ended, &["--folds", "says which rows test"], set);
    for wrong in [["--folds", "1"], ["--folds", "0"]] {
        let ended = gridlight(place.path(), &[&["train", "small.toml"], &wrong[..]].concat());
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    }
}

#[test]
fn a_table_may_have_any_ending() {
    let place = workplace();
    fs::copy(place.path().join("table.csv"), place.path().join("table.txt")).unwrap();
    let arguments = ["train", "table.txt", "--target", "y", "--epochs", "1", "--device", "cpu"];
    let ended = gridlight(place.path(), &arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn two_numbers_are_classes_and_few_numbers_may_be() {
    let place = workplace();
    let rows = (0..80).map(|i| format!("{},{},{}\n", i % 13, i % 2, i % 7));
    let table: String = std::iter::once("x,sick,stars\n".to_string()).chain(rows).collect();
    fs::write(place.path().join("t.csv"), table).unwrap();
    let arguments = ["train", "t.csv", "--target", "sick", "--epochs", "2", "--device", "cpu"];
    let ended = gridlight(place.path(), &arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("accuracy") && ended.stdout.contains("1 (positive)"), "{}", ended.stdout);
    assert_eq!(gridlight(place.path(), &["init", "t.csv", "--target", "stars"]).code, Some(0));
    let text = fs::read_to_string(place.path().join("t.toml")).unwrap();
    assert!(text.contains("loss = \"mse\"   # 7 different values; to learn them as classes"), "{text}");
}

#[test]
fn classes_that_an_experiment_predicts_as_numbers_are_doubted() {
    let place = workplace();
    let rows: String = (0..60).map(|i| format!("{},{}\n", i % 9, i % 3)).collect();
    fs::write(place.path().join("t.csv"), format!("x,y\n{rows}")).unwrap();
    let experiment = "name = \"t\"\n[data]\nsource = \"t.csv\"\ntarget = \"y\"\n[model]\nfamily = \"mlp\"\n";
    fs::write(place.path().join("t.toml"), experiment).unwrap();
    let train = |more: &[&str]| {
        let arguments = ["train", "t.toml", "--epochs", "1", "--device", "cpu"];
        let ended = gridlight(place.path(), &[&arguments, more].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stderr
    };
    let told = train(&[]);
    assert!(told.contains("3 different whole numbers"), "{told}");
    assert!(told.contains("train.loss = \"cross_entropy\""), "{told}");
    let told = train(&["--set", "train.loss=cross_entropy", "--out", "classes"]);
    assert!(!told.contains("whole numbers"), "{told}");
}

#[test]
fn shells_and_manuals_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let ended = gridlight(folder.path(), &["completions", "bash"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("robustness"));
    assert!(ended.stdout.contains("--init-map"));
    let ended = gridlight(folder.path(), &["man", "pages/man1"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for page in ["gridlight.1", "gridlight-train.1", "gridlight-tune-kernels.1"] {
        let text = fs::read_to_string(folder.path().join("pages/man1").join(page)).unwrap();
        assert!(text.starts_with(".ie") && text.contains(".SH NAME"), "{page}");
    }
    let ended = gridlight(folder.path(), &["completions", "cmd"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("powershell"), "{}", ended.stderr);
    fs::write(folder.path().join("file"), "").unwrap();
    assert_eq!(gridlight(folder.path(), &["man", "file/man1"]).code, Some(5));
}

#[test]
fn a_key_that_settles_a_doubt_may_be_set_for_a_table() {
    let place = tempfile::tempdir().unwrap();
    let rows = |row: usize| format!("{:02}/{:02}/55,{},{row}\n", 13 + row % 15, 1 + row % 12, row % 7);
    let table = (0..60).fold("born,a,y\n".to_string(), |text, row| text + &rows(row));
    fs::write(place.path().join("t.csv"), table).unwrap();
    let train = ["train", "t.csv", "--target", "y", "--epochs", "1", "--device", "cpu"];
    assert_refused(&gridlight(place.path(), &train), &["`born`", "set `data.csv.first_year`"], "a century");
    for set in ["data.csv.first_year=1925", "data.csv={first_year=1925}", "data.exclude=[\"born\"]"] {
        let ended = gridlight(place.path(), &[&train[..], &["--set", set]].concat());
        assert_eq!(ended.code, Some(0), "{set}: {}", ended.stderr);
    }
}
