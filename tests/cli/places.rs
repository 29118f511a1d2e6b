//! Places to read from and to write to that are no plain files: links, pipes, devices, standard input and
//! output.

#![cfg(unix)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::{table, workplace};

fn gridlight(directory: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gridlight"))
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that ends without reading it breaks the pipe.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn predict(directory: &Path, input: &str, output: &str, text: &str) -> Output {
    let arguments = ["predict", "runs/small", "--device", "cpu", "--input", input, "--output", output];
    gridlight(directory, &arguments, text)
}

#[track_caller]
fn assert_code(ended: &Output, code: i32) -> String {
    let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(code), "{stderr}");
    stderr
}

fn mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn an_output_goes_through_links_pipes_and_devices() {
    let place = workplace();
    let at = |name: &str| place.path().join(name);
    assert_code(&predict(place.path(), "table.csv", "plain.csv", ""), 0);
    let expected = fs::read(at("plain.csv")).unwrap();
    assert_eq!(expected.iter().filter(|&&byte| byte == b'\n').count(), 61);
    // Standard output by its names, and nothing else there.
    for name in ["-", "/dev/stdout"] {
        assert_eq!(predict(place.path(), "table.csv", name, "").stdout, expected, "{name}");
    }
    // The target of a link is replaced, also where there is none yet.
    fs::create_dir(at("deep")).unwrap();
    fs::write(at("deep/old.csv"), "old").unwrap();
    for (link, target) in [("one.csv", "deep/old.csv"), ("two.csv", "deep/new.csv"), ("three.csv", "two.csv")]
    {
        symlink(target, at(link)).unwrap();
        assert_code(&predict(place.path(), "table.csv", link, ""), 0);
        assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink(), "{link}");
        assert_eq!(fs::read(at(link)).unwrap(), expected, "{link}");
    }
    assert!(fs::symlink_metadata(at("deep/new.csv")).unwrap().is_file());
    // Devices and pipes remain what they are.
    symlink("/dev/null", at("null.csv")).unwrap();
    for name in ["/dev/null", "null.csv"] {
        assert_code(&predict(place.path(), "table.csv", name, ""), 0);
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }
    if Path::new("/dev/full").exists() {
        assert!(assert_code(&predict(place.path(), "table.csv", "/dev/full", ""), 5).contains("/dev/full: "));
    }
    mkfifo(&at("pipe"));
    let pipe = at("pipe");
    let reader = std::thread::spawn(move || fs::read(pipe).unwrap());
    assert_code(&predict(place.path(), "table.csv", "pipe", ""), 0);
    assert_eq!(reader.join().unwrap(), expected);
    // A file that the shell holds open is written to, not replaced.
    let program = env!("CARGO_BIN_EXE_gridlight");
    let line = format!(
        "(echo first; '{program}' predict runs/small --device cpu --input table.csv --output /dev/fd/3 3>&1) > all.csv"
    );
    assert!(
        Command::new("sh").args(["-c", &line]).current_dir(place.path()).output().unwrap().status.success()
    );
    assert_eq!(fs::read(at("all.csv")).unwrap(), [&b"first\n"[..], &expected].concat());
}

#[test]
fn the_input_is_not_overwritten() {
    let place = workplace();
    let at = |name: &str| place.path().join(name);
    symlink("table.csv", at("link.csv")).unwrap();
    fs::hard_link(at("table.csv"), at("same.csv")).unwrap();
    for (input, output) in
        [("table.csv", "./table.csv"), ("link.csv", "table.csv"), ("table.csv", "same.csv")]
    {
        let message = assert_code(&predict(place.path(), input, output, ""), 2);
        assert!(message.contains(&format!("{output}: is the input too")), "{message}");
        assert_eq!(fs::read_to_string(at("table.csv")).unwrap(), table());
    }
    fs::create_dir(at("folder")).unwrap();
    let message = assert_code(&predict(place.path(), "table.csv", "folder", ""), 2);
    assert!(message.contains("folder: is a directory"), "{message}");
    fs::write(at("cases.jsonl"), "").unwrap();
    let arguments = ["verify", "--device", "cpu", "--cases", "cases.jsonl", "--out", "cases.jsonl"];
    assert!(assert_code(&gridlight(place.path(), &arguments, ""), 2).contains("is the input too"));
}

#[test]
fn a_table_may_come_through_standard_input_or_a_pipe() {
    let place = workplace();
    let expected = predict(place.path(), "table.csv", "-", "").stdout;
    for name in ["-", "/dev/stdin"] {
        assert_eq!(predict(place.path(), name, "-", &table()).stdout, expected, "{name}");
    }
    let pipe = place.path().join("pipe");
    mkfifo(&pipe);
    let writer = std::thread::spawn(move || fs::write(pipe, table()).unwrap());
    assert_eq!(predict(place.path(), "pipe", "-", "").stdout, expected);
    writer.join().unwrap();
    let bad = table().replacen("0,0,red", "x,0,red", 1);
    let message = assert_code(&predict(place.path(), "-", "-", &bad), 2);
    assert!(message.contains("standard input:2: "), "{message}");
    let ended = gridlight(place.path(), &["evaluate", "runs/small", "--data", "-", "--json"], &table());
    assert_code(&ended, 0);
    let json: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!((&json["split"], &json["samples"]), (&"standard input".into(), &60.into()));
    // An experiment too; its paths are relative to the current directory.
    let experiment = fs::read_to_string(place.path().join("small.toml")).unwrap();
    let train = ["train", "/dev/stdin", "--device", "cpu", "--out", "piped"];
    assert_code(&gridlight(place.path(), &train, &experiment), 0);
    let best = |run: &str| fs::read(place.path().join(run).join("best.safetensors")).unwrap();
    assert!(best("piped") == best("runs/small"));
    assert_code(&gridlight(place.path(), &["plan", "/dev/stdin", "--device", "cpu"], &experiment), 0);
}

#[test]
fn what_never_ends_or_never_begins_is_refused_at_once() {
    let place = workplace();
    let at = |name: &str| place.path().join(name);
    mkfifo(&at("pipe"));
    fs::create_dir(at("folder")).unwrap();
    let _listener = UnixListener::bind(at("socket")).unwrap();
    for name in ["/dev/zero", "pipe", "folder", "socket"] {
        let message = assert_code(&gridlight(place.path(), &["train", name], ""), 2);
        assert!(message.contains(&format!("error: {name}: is a ")), "{message}");
        let source = format!("data.source=\"{name}\"");
        let ended =
            gridlight(place.path(), &["train", "small.toml", "--device", "cpu", "--set", &source], "");
        let message = assert_code(&ended, 2);
        assert!(message.contains(name), "{message}");
        let message = assert_code(&predict(place.path(), name, "-", ""), 2);
        assert!(message.contains(name), "{message}");
    }
    let text = "x".repeat(2 << 20);
    let message = assert_code(&gridlight(place.path(), &["train", "/dev/stdin"], &text), 2);
    assert!(message.contains("1048576"), "{message}");
}

#[test]
fn files_of_a_run_are_not_replaced() {
    let place = workplace();
    let run = place.path().join("runs/small");
    symlink("runs/small/run.json", place.path().join("link.csv")).unwrap();
    let names = ["best.safetensors", "experiment.toml", "run.json", "metrics.csv", "report.html"];
    let contents = |name: &str| fs::read(run.join(name)).unwrap();
    let before = names.map(contents);
    let checkpoint = fs::read_dir(run.join("checkpoints")).unwrap().next().unwrap().unwrap().file_name();
    let checkpoint = format!("runs/small/checkpoints/{}", checkpoint.to_string_lossy());
    let outputs = names.map(|name| format!("runs/small/{name}"));
    for output in outputs.iter().map(String::as_str).chain(["link.csv", &checkpoint]) {
        let said = assert_code(&predict(place.path(), "table.csv", output, ""), 2);
        assert!(said.contains("belongs to a run"), "{output}: {said}");
    }
    assert_eq!(names.map(contents), before);
    // A new file beside them is fine.
    assert_code(&predict(place.path(), "table.csv", "runs/small/predictions.csv", ""), 0);
    let said = assert_code(&predict(place.path(), "table.csv", "nowhere/out.csv", ""), 5);
    assert!(said.contains("there is no folder nowhere"), "{said}");
}
