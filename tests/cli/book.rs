//! Every command of the book under `docs/` runs as it stands there, in less time: with fewer epochs, trials, rows and attacks.

#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

/// The commands of a chapter, in order.
fn commands(chapter: &str) -> Vec<String> {
    let mut found = vec![];
    let mut inside = false;
    for line in chapter.lines() {
        match line.strip_prefix("$ ") {
            Some(command) if inside => found.push(command.to_string()),
            _ if line.starts_with("```") => inside = line == "```console",
            _ => {}
        }
    }
    found
}

/// The command as the test runs it: on the CPU, and shorter where it takes long.
fn shortened(command: &str) -> String {
    let word = command.split(' ').nth(1).unwrap_or_default();
    let more = match word {
        // Two transformers whose epochs take minutes.
        "train" if command.contains("/plays-") => " --device cpu --max-steps 4",
        "train" => " --device cpu --epochs 1",
        "tune" => " --device cpu --trials 3 --set train.epochs=6",
        "explain" => " --device cpu --rows 1..20",
        "robustness" => " --device cpu --rows 1..20 --steps 1 --restarts 1 --radii 0.1 --radii-l2 0.1",
        "plan" | "evaluate" | "predict" | "serve" => " --device cpu",
        _ => "",
    };
    format!("{command}{more}")
}

fn run(directory: &Path, command: &str) {
    let programs = Path::new(env!("CARGO_BIN_EXE_gridlight")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec {}", shortened(command))]).current_dir(directory).env("PATH", path);
    shell.stdout(Stdio::piped()).stderr(Stdio::piped());
    if command.contains(" serve ") {
        // It ends when it is told to: once it listens, the command works.
        let mut child = shell.stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(line.contains("http://"), "{command}: {line}");
        return;
    }
    let ended = shell.output().unwrap();
    assert!(ended.status.success(), "{command}: {}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn every_command_of_the_book_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let summary = fs::read_to_string(root.join("docs/src/SUMMARY.md")).unwrap();
    let mut count = 0;
    for link in summary.split("](").skip(1) {
        let name = link.split(')').next().unwrap();
        let chapter = fs::read_to_string(root.join("docs/src").join(name)).unwrap();
        let place = tempfile::tempdir().unwrap();
        symlink(root.join("assets"), place.path().join("assets")).unwrap();
        for command in commands(&chapter) {
            run(place.path(), &command);
            count += 1;
        }
    }
    assert!(count > 25, "{count} commands were found");
}

/// Links and pictures of a text in Markdown, but for what stands in blocks of code.
fn links(text: &str) -> Vec<String> {
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    let lines: Vec<&str> = lines.collect();
    lines
        .join("\n")
        .split("](")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(')')?.0.to_string()))
        .collect()
}

/// The book is read where it lies and where only its own folder is served; a link to a chapter leads there in both, and one
/// out of the folder leads to a file that is no chapter, which the program that builds books leaves as it is.
#[test]
fn every_link_of_the_book_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("docs/src");
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let chapter = entry.unwrap().path();
        if chapter.extension().is_none_or(|ending| ending != "md") {
            continue;
        }
        for link in links(&fs::read_to_string(&chapter).unwrap()) {
            if link.starts_with("https://") {
                continue;
            }
            let (path, place) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { chapter.clone() } else { folder.join(path) };
            let named = format!("{}: {link}", chapter.display());
            assert!(target.exists(), "{named}: there is no such file");
            assert!(!(path.starts_with("..") && path.ends_with(".md")), "{named}: this is no chapter");
            assert!(
                !(path.starts_with("..") && path.ends_with(".png")),
                "{named}: a picture is not in the book"
            );
            if !place.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                let headings = text
                    .lines()
                    .filter_map(|line| Some(line.strip_prefix('#')?.trim_start_matches('#').trim()));
                let name = |heading: &str| {
                    let kept = heading.to_lowercase().replace(' ', "-");
                    kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect::<String>()
                };
                assert!(
                    headings.map(name).any(|heading| heading == place),
                    "{named}: there is no such heading"
                );
            }
            count += 1;
        }
    }
    assert!(count > 40, "{count} links were found");
}
