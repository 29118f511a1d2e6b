//! Options of rows of tables: the threshold of two classes, losses of counts, baselines and the worst rows.

use std::fs;
use std::path::Path;

use super::refusals::assert_refused;
use super::{Ended, gridlight, workplace};

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

/// A table whose rows are weighted by `w`: those of weight 0 hold nonsense.
fn weighted() -> String {
    let row = |i: u32| {
        let (x, weight) = (i * 37 % 100, i % 4);
        let y = if weight == 0 { 9000 } else { 3 * x + i % 5 };
        let w = if i == 7 { String::new() } else { weight.to_string() };
        format!("{x},{w},{y}\n")
    };
    format!("x,w,y\n{}", (0..240).map(row).collect::<String>())
}

#[test]
fn rows_count_as_much_as_their_weight_says() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path();
    fs::write(directory.join("t.csv"), weighted()).unwrap();
    let text = "name = \"t\"\n[data]\nsource = \"t.csv\"\ntarget = \"y\"\nweight = \"w\"\ntransform = { target = \"none\" }\n\
                [model]\nhidden = []\n[train]\nepochs = 60\nlearning_rate = 2\n";
    fs::write(directory.join("t.toml"), text).unwrap();
    let ended = gridlight(directory, &["train", "t.toml", "--device", "cpu"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for part in ["the weight of the row", "1 row left out: the weight is missing", "weighted by `w`"] {
        assert!(
            (ended.stdout.clone() + &ended.stderr).contains(part),
            "{part}: {} {}",
            ended.stdout,
            ended.stderr
        );
    }
    let test = evaluated(directory, "test");
    assert_eq!(test["weight"], "w");
    assert!(test["metrics"]["r2"].as_f64().unwrap() > 0.99, "{test}");
    // The mean of the rows that count is near 150; a quarter of the rows hold 9000.
    let constant = test["metrics"]["baseline_mae"].as_f64().unwrap();
    assert!(constant < 100.0, "{test}");
    // Predictions need no weights, evaluations do.
    fs::write(directory.join("new.csv"), "x\n10\n20\n").unwrap();
    let arguments = ["predict", "runs/t", "--input", "new.csv", "--output", "-", "--device", "cpu"];
    let ended = gridlight(directory, &arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 3);
    fs::write(directory.join("new.csv"), "x,y\n10,31\n20,62\n").unwrap();
    let ended = gridlight(directory, &["evaluate", "runs/t", "--data", "new.csv", "--device", "cpu"]);
    assert_refused(&ended, &["new.csv", "there is no column `w`"], "no weights");
}

#[test]
fn weights_that_cannot_be_used_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path();
    let text = "name = \"t\"\n[data]\nsource = \"t.csv\"\ntarget = \"y\"\nweight = \"w\"\n";
    fs::write(directory.join("t.toml"), text).unwrap();
    let table = weighted();
    let negative = table.replacen(",2,", ",-2,", 1);
    let zero: String = table
        .lines()
        .map(|line| match line.split(',').collect::<Vec<_>>()[..] {
            [x, w, y] if w != "w" => format!("{x},0,{y}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let cases: [(&str, &str, &[&str]); 6] = [
        (&negative, "", &["t.csv:4", "`w`", "-2", "from 0 up"]),
        (&zero, "", &["`w`", "all have weight 0"]),
        (&table, "data.weight=v", &["there is no column `v`"]),
        (&table, "data.features=[\"x\",\"w\"]", &["`w`", "remove it from `features`"]),
        (&table, "train.accumulate=2", &["train.accumulate", "data.weight"]),
        (&table, "data.window={length=3}", &["`data.weight`", "[data.window]"]),
    ];
    for (table, set, wanted) in cases {
        fs::write(directory.join("t.csv"), table).unwrap();
        let mut arguments = vec!["train", "t.toml", "--device", "cpu"];
        if !set.is_empty() {
            arguments.extend(["--set", set]);
        }
        assert_refused(&gridlight(directory, &arguments), wanted, set);
    }
}

/// A table with two numbers to predict, of different size, and a text.
fn pairs() -> String {
    let row = |i: u32| {
        let (a, b) = (i * 37 % 100, i * 13 % 50);
        let high = if i == 7 { String::new() } else { (2000 + 40 * a).to_string() };
        format!("{a},{b},{},{high},{}\n", 2 * a + b, ["u", "v"][(i % 2) as usize])
    };
    format!("a,b,low,high,word\n{}", (0..240).map(row).collect::<String>())
}

const PAIRS: &str = "name = \"t\"\n[data]\nsource = \"t.csv\"\ntarget = [\"low\", \"high\"]\nexclude = [\"word\"]\n\
                     transform = { columns = { high = \"log1p\" } }\n[model]\nhidden = [32]\n[train]\nepochs = 60\n\
                     learning_rate = 0.01\n";

#[test]
fn several_numbers_are_predicted_by_one_model() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path();
    fs::write(directory.join("t.csv"), pairs()).unwrap();
    fs::write(directory.join("t.toml"), PAIRS).unwrap();
    let ended = gridlight(directory, &["train", "t.toml", "--device", "cpu"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let shown = ended.stdout.clone() + &ended.stderr;
    for part in ["1 row left out: a target is missing", "what is predicted: (ln(1 + x)", "baseline rmse"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let test = evaluated(directory, "test");
    let (metrics, each) = (&test["metrics"], &test["by_target"]);
    assert_eq!([&each[0]["target"], &each[1]["target"]], ["low", "high"]);
    for name in ["mae", "rmse", "r2", "baseline_mae", "baseline_rmse"] {
        let [low, high] = [0, 1].map(|at| each[at][name].as_f64().unwrap());
        let mean = metrics[name].as_f64().unwrap();
        assert!((mean - (low + high) / 2.0).abs() <= 1e-9 * mean.abs(), "{name}: {test}");
    }
    assert!(each[0]["r2"].as_f64().unwrap() > 0.95 && each[1]["r2"].as_f64().unwrap() > 0.95, "{test}");
    assert!(each[1]["baseline_mae"].as_f64().unwrap() > 10.0 * each[0]["baseline_mae"].as_f64().unwrap());
    // Predictions have a column for each, in its own units, and are what was evaluated.
    let arguments =
        ["predict", "runs/t", "--input", "t.csv", "--output", "out.csv", "--keep", "a", "--device", "cpu"];
    assert_eq!(gridlight(directory, &arguments).code, Some(0));
    let text = fs::read_to_string(directory.join("out.csv")).unwrap();
    assert!(text.starts_with("a,low,high\n"), "{text}");
    let row: Vec<f64> = text.lines().nth(1).unwrap().split(',').map(|cell| cell.parse().unwrap()).collect();
    assert!(row[1].abs() < 50.0 && (row[2] - 2000.0).abs() < 500.0, "{row:?}");
    let report = fs::read_to_string(directory.join("runs/t/report.html")).unwrap();
    assert!(report.contains("predicts low, high") && report.contains("<h2>Targets</h2>"));
}

#[test]
fn targets_that_are_not_numbers_of_rows_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path();
    fs::write(directory.join("t.csv"), pairs()).unwrap();
    fs::write(directory.join("t.toml"), PAIRS).unwrap();
    let cases: [(&str, &[&str]); 7] = [
        ("data.target=[]", &["data.target", "names no column"]),
        ("data.target=[\"low\",\"low\"]", &["data.target", "`low` twice"]),
        ("data.target=[\"low\",\"word\"]", &["`word`", "holds \"u\"", "columns of numbers"]),
        ("data.target=[\"low\",\"height\"]", &["there is no column `height`", "`high`"]),
        ("train.loss=bce_with_logits", &["data.target", "bce_with_logits", "mse"]),
        ("train.loss=poisson", &["data.target", "poisson", "mse"]),
        ("data.window={length=3}", &["data.target", "[data.window]: targets = [\"high\"]"]),
    ];
    for (set, wanted) in cases {
        let arguments = ["train", "t.toml", "--device", "cpu", "--set", set];
        assert_refused(&gridlight(directory, &arguments), wanted, set);
    }
}

#[test]
fn losses_that_do_not_suit_the_target_say_which_do() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path();
    let table: String =
        (0..200).map(|i| format!("{},{}.5,{}\n", i * 37 % 100, i, ["u", "v"][i % 2])).collect();
    fs::write(directory.join("t.csv"), format!("a,y,word\n{table}")).unwrap();
    fs::write(directory.join("t.toml"), "name = \"t\"\n[data]\nsource = \"t.csv\"\ntarget = \"y\"\n")
        .unwrap();
    let cases: [(&[&str], &[&str]); 5] = [
        (&["train.loss=focal"], &["target `y`", "different numbers", "train.loss = \"mse\""]),
        (&["train.loss=cross_entropy"], &["target `y`", "not classes"]),
        (&["train.loss=poisson", "data.target=word"], &["target `word`", "\"u\"", "cross_entropy"]),
        (&["data.ignore=[\"a\"]"], &["unknown key `ignore`; did you mean `exclude`?"]),
        (&["model.family=transformer", "model.patch=4"], &["model.patch", "rows are no images"]),
    ];
    for (sets, wanted) in cases {
        let mut arguments = vec!["train", "t.toml", "--device", "cpu"];
        sets.iter().for_each(|set| arguments.extend(["--set", set]));
        assert_refused(&gridlight(directory, &arguments), wanted, sets[0]);
    }
    let ended = gridlight(directory, &["train", "t.toml", "--device", "cpu", "--set", "train.epochs=1"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let predict = ["predict", "runs/t", "--input", "t.csv", "--output", "-", "--device", "cpu"];
    for keep in ["--keep=", "--keep=a,,word"] {
        let ended = gridlight(directory, &[&predict[..], &[keep]].concat());
        assert_refused(&ended, &["--keep names a column without a name", "--keep alone"], keep);
    }
    // A run whose figures were lost is not as good as finished.
    fs::write(directory.join("runs/t/metrics.csv"), "").unwrap();
    let listed = gridlight(directory, &["list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(listed[0]["state"], "damaged", "{listed}");
}

#[test]
fn rows_without_a_target_cannot_be_evaluated_and_weights_of_other_models_not_be_taken() {
    let place = workplace();
    let directory = place.path();
    fs::write(directory.join("none.csv"), "a,b,kind,y\n1,2,red,\n").unwrap();
    let ended = gridlight(directory, &["evaluate", "runs/small", "--data", "none.csv", "--device", "cpu"]);
    assert_refused(&ended, &["none.csv", "no row with a target"], "no target");

    let bytes = fs::read(directory.join("runs/small/best.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let more = vec![0u8; 8];
    let counter = safetensors::tensor::TensorView::new(safetensors::Dtype::I64, vec![], &more).unwrap();
    let spare = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2], &more).unwrap();
    let with = |further: Vec<(&str, &safetensors::tensor::TensorView)>| {
        let own = tensors.tensors().into_iter();
        let further = further.into_iter().map(|(name, view)| (name.to_string(), view.clone()));
        safetensors::serialize(own.chain(further).collect::<Vec<_>>(), None).unwrap()
    };
    let (counted, spare) =
        (with(vec![("9.num_batches_tracked", &counter)]), with(vec![("9.weight", &spare)]));
    let arguments = ["train", "small.toml", "--epochs", "1", "--device", "cpu", "--init", "w.safetensors"];
    fs::write(directory.join("w.safetensors"), counted).unwrap();
    let ended = gridlight(directory, &[&arguments[..], &["--out", "counted"]].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    fs::write(directory.join("w.safetensors"), spare).unwrap();
    let ended = gridlight(directory, &[&arguments[..], &["--out", "spare"]].concat());
    assert_refused(&ended, &["w.safetensors", "not in the model: `9.weight`"], "a spare tensor");
}

#[test]
fn predictions_need_no_column_of_which_only_the_target_is_made() {
    let place = workplace();
    let directory = place.path();
    let experiment = "name = 'twice'\n[data]\nsource = 'table.csv'\ntarget = 'twice'\nexclude = ['y']\n\
                      derive = { twice = 'y * 2' }\n[model]\nhidden = [4]\n[train]\nepochs = 1\n";
    fs::write(directory.join("twice.toml"), experiment).unwrap();
    let ended = gridlight(directory, &["train", "twice.toml", "--device", "cpu"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    fs::write(directory.join("new.csv"), "a,b,kind\n1,2,red\n3,4,red\n").unwrap();
    let predict = ["predict", "runs/twice", "--input", "new.csv", "--output", "-", "--device", "cpu"];
    let ended = gridlight(directory, &predict);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 3, "{}", ended.stdout);
}
