//! `explain` and `robustness` on the command line: files and JSON, and what cannot be explained.

use std::fs;
use std::path::Path;

use super::{assert_refused, gridlight, table, workplace};

fn json(directory: &Path, arguments: &[&str]) -> serde_json::Value {
    let ended = gridlight(directory, arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    assert!(!ended.stderr.contains("written to"), "nothing is written with --json: {}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn explanations_are_printed_and_written() {
    let place = workplace();
    let directory = place.path();
    let ended = gridlight(directory, &["explain", "runs/small", "--device", "cpu"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for part in ["permutation importance", "Shapley values of y", "integrated gradients of y", "█"] {
        assert!(ended.stdout.contains(part), "`{part}` is missing in:\n{}", ended.stdout);
    }
    let files = ["explain.html", "explain.json", "permutation.csv", "shap.csv", "effects.csv"];
    for file in files {
        assert!(directory.join("runs/small/explain").join(file).exists(), "{file}");
    }
    let page = fs::read_to_string(directory.join("runs/small/explain/explain.html")).unwrap();
    assert!(
        page.contains("<svg") && !page.contains("NaN") && !page.contains("http"),
        "a self-contained \
    page"
    );
    let found = json(directory, &["explain", "runs/small", "--rows", "2..5", "--device", "cpu", "--json"]);
    assert_eq!(found["rows"], 4);
    assert_eq!(found["shap"]["rows"], serde_json::json!([2, 3, 4, 5]));
    assert_eq!(found["shap"]["columns"], serde_json::json!(["a", "b", "kind"]));
    fs::write(directory.join("new.csv"), "a,b,kind\n1,2,red\n3,,green\n").unwrap();
    let found =
        json(directory, &["explain", "runs/small", "--input", "new.csv", "--device", "cpu", "--json"]);
    assert_eq!((&found["rows"], found.get("permutation")), (&serde_json::json!(2), None));
    assert!(found["notes"][0].as_str().unwrap().contains("true target"), "{}", found["notes"]);
    let grouped = ["explain", "runs/small", "--group", "a,kind", "--method", "permutation"];
    let found = json(directory, &[&grouped[..], &["--device", "cpu", "--json"]].concat());
    let columns = found["permutation"]["by_metric"][0]["columns"].as_array().unwrap();
    assert_eq!(columns.len(), 2);
    let output = ["explain", "runs/small", "--method", "effects", "--output", "why.html", "--device", "cpu"];
    assert_eq!(gridlight(directory, &output).code, Some(0));
    assert!(fs::read_to_string(directory.join("why.html")).unwrap().contains("partial dependence"));
}

#[test]
fn robustness_is_printed_and_written() {
    let place = workplace();
    let directory = place.path();
    let few = ["--steps", "3", "--radii", "0.1,0.2", "--device", "cpu"];
    let ended = gridlight(directory, &[&["robustness", "runs/small"], &few[..]].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for part in ["`mae` by radius, linf", "pgd", "weakest columns", "checks of the attacks"] {
        assert!(ended.stdout.contains(part), "`{part}` is missing in:\n{}", ended.stdout);
    }
    for file in ["robustness.html", "robustness.json", "robustness.csv"] {
        assert!(directory.join("runs/small/robustness").join(file).exists(), "{file}");
    }
    let found = json(directory, &[&["robustness", "runs/small", "--json"], &few[..]].concat());
    let pgd = found["attacks"].as_array().unwrap().iter().find(|of| of["change"] == "pgd").unwrap();
    let values: Vec<f64> = pgd["values"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    assert!(found["clean"].as_f64().unwrap() <= values[0] && values[0] <= values[1], "{values:?}");
}

#[test]
fn what_cannot_be_explained_is_refused_with_a_word_on_why() {
    let place = workplace();
    let directory = place.path();
    let refused = |arguments: &[&str], wanted: &[&str]| {
        let ended = gridlight(directory, &[arguments, &["--device", "cpu"]].concat());
        assert_refused(&ended, wanted, &arguments.join(" "));
    };
    refused(
        &["explain", "runs/small", "--method", "grad-cam"],
        &["grad-cam is not for rows of a table", "shap"],
    );
    refused(&["explain", "runs/small", "--rows", "3..900"], &["--rows", "3..900", "the first row is 1"]);
    refused(&["explain", "runs/small", "--rows", "0..2"], &["--rows", "0..2"]);
    refused(&["explain", "runs/small", "--group", "a,c"], &["--group", "`c`"]);
    refused(&["explain", "runs/small", "--group", "a,b", "--group", "b"], &["--group", "`b`"]);
    refused(&["explain", "runs/small", "--repeats", "0"], &["--repeats", "1..=100"]);
    refused(&["explain", "runs/small", "--baseline", "black"], &["black is for pictures"]);
    refused(&["explain", "runs/small", "--metric", "accuracy"], &["`accuracy` is not measured", "mae"]);
    refused(&["explain", "runs/small", "--split", "best"], &["no such split"]);
    refused(&["robustness", "runs/small", "--radii", "0.2,0.1"], &["--radii", "ascending"]);
    refused(&["robustness", "runs/small", "--steps", "0"], &["--steps", "1..=1000"]);
    fs::write(directory.join("new.csv"), "a,b,kind\n1,2,red\n").unwrap();
    refused(&["robustness", "runs/small", "--input", "new.csv"], &["true target"]);
    refused(&["explain", "runs/small", "--input", "new.csv", "--method", "permutation"], &["true target"]);
    let vae = "name = 'vae'\n[data]\nsource = 'table.csv'\n[model]\nfamily = 'vae'\nhidden = [4]\n\
               latent = 2\n[train]\nepochs = 1\n";
    fs::write(directory.join("vae.toml"), vae).unwrap();
    fs::write(directory.join("text.txt"), table().repeat(20)).unwrap();
    let text = "name = 'text'\n[data]\nsource = 'text.txt'\n[data.text]\nlength = 16\n[data.split]\n\
                by = 'order'\n[model]\nfamily = 'rnn'\nhidden = [4]\n[train]\nepochs = 1\nbatch_size = 4\n";
    fs::write(directory.join("text.toml"), text).unwrap();
    fs::write(directory.join("gan.toml"), vae.replace("vae", "gan")).unwrap();
    for name in ["vae", "gan", "text"] {
        let ended = gridlight(directory, &["train", &format!("{name}.toml"), "--device", "cpu"]);
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.stderr);
    }
    for command in ["explain", "robustness"] {
        refused(&[command, "runs/vae"], &["autoencoder"]);
        refused(&[command, "runs/gan"], &["draws rows"]);
        refused(&[command, "runs/text"], &["writes text"]);
    }
}
