//! `gridlight watch`: runs as they are, over HTTP, and training that does not notice.

use std::fs;

use serde_json::Value;

use super::serve::Server;
use super::{gridlight, workplace};

#[test]
fn runs_are_shown_as_they_are() {
    let place = workplace();
    let set = ["--set", "train.epochs=3", "--set", "train.learning_rate=0.01", "--out", "runs/other"];
    let arguments = [&["train", "small.toml", "--device", "cpu"], &set[..]].concat();
    assert_eq!(gridlight(place.path(), &arguments).code, Some(0));
    let server = Server::start(place.path(), &["watch", "runs"]);
    let data: Value = serde_json::from_str(&server.get("/data?since=").body).unwrap();
    let runs = data["runs"].as_array().unwrap();
    let names: Vec<&str> = runs.iter().map(|run| run["run"].as_str().unwrap()).collect();
    assert_eq!(names, ["other", "small"]);
    let run = &runs[0];
    assert_eq!((run["state"].as_str(), run["epochs_asked"].as_u64()), (Some("finished"), Some(3)));
    // The numbers are those of `metrics.csv`.
    let file = fs::read_to_string(place.path().join("runs/other/metrics.csv")).unwrap();
    let mut lines = file.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let at = names.iter().position(|name| *name == "validation_loss").unwrap();
    let expected: Vec<f64> = lines.map(|line| line.split(',').nth(at).unwrap().parse().unwrap()).collect();
    let found: Vec<f64> = run["epochs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|epoch| epoch["validation"]["loss"].as_f64().unwrap())
        .collect();
    assert_eq!(found, expected);
    assert_eq!(run["gradients"].as_array().unwrap().len(), 3);
    let layer = &run["layers"][0];
    assert_eq!(layer["name"], "0.weight");
    assert!(layer["gradient"].as_f64().unwrap() > 0.0);
    // Nothing new is not sent again; another run is.
    let since = format!("/data?since={}", data["version"].as_str().unwrap());
    assert_eq!(server.get(&since).status, 204);
    let again = ["train", "small.toml", "--device", "cpu", "--out", "runs/third"];
    assert_eq!(gridlight(place.path(), &again).code, Some(0));
    assert_eq!(server.get(&since).status, 200);
    assert!(server.get("/").body.contains("<!doctype html>"));
    for path in ["/sample/small/1", "/sample/..%2f..%2fsmall/1", "/runs/small/metrics.csv", "/../Cargo.toml"]
    {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    assert_eq!(
        server.ask("POST /data HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", b"").status,
        405
    );
    assert_eq!(
        server.ask("GET /data HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", b"").status,
        403
    );
    let ended = gridlight(place.path(), &["watch", "nowhere"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
}

#[test]
fn what_is_watched_goes_on_after_a_resumption() {
    let place = workplace();
    let train = |arguments: &[&str]| {
        let all =
            [&["train", "small.toml", "--device", "cpu", "--set", "train.epochs=4"], arguments].concat();
        assert_eq!(gridlight(place.path(), &all).code, Some(0), "{arguments:?}");
    };
    train(&["--out", "whole"]);
    // 48 training rows in batches of 16 are three steps an epoch.
    train(&["--out", "parts", "--max-steps", "7"]);
    train(&["--out", "parts", "--resume"]);
    let read = |run: &str, name: &str| fs::read(place.path().join(run).join(name)).unwrap();
    assert!(read("whole", "watch.jsonl") == read("parts", "watch.jsonl"));
    let text = String::from_utf8(read("whole", "watch.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 4);
}
