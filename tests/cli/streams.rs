//! Standard output and standard error that nobody reads: the work is done all the same, and a lost result is
//! an error.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::workplace;

/// A pipe that nobody reads.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn gridlight(directory: &Path, arguments: &[&str], stdout: Stdio, stderr: Stdio) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gridlight"))
        .args(arguments)
        .current_dir(directory)
        .stdout(stdout)
        .stderr(stderr)
        .output()
        .unwrap()
}

#[test]
fn training_goes_on_without_anybody_who_reads_its_progress() {
    let place = workplace();
    let whole = fs::read(place.path().join("runs/small/best.safetensors")).unwrap();
    let train = ["train", "small.toml", "--device", "cpu", "--out", "again"];
    let json = [&train[..], &["--json", "--log-every", "1"]].concat();
    for (arguments, output_is_read, errors_are_read, code) in [
        (&train[..], true, false, 0),
        (&train, false, true, 5),
        (&train, false, false, 5),
        (&json, true, false, 0),
        (&json, false, true, 5),
        (&json, false, false, 5),
    ] {
        let stream = |is_read| if is_read { Stdio::piped() } else { unread() };
        let ended = gridlight(place.path(), arguments, stream(output_is_read), stream(errors_are_read));
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(
            ended.status.code(),
            Some(code),
            "{arguments:?} {output_is_read} {errors_are_read}: {stderr}"
        );
        let run = place.path().join("again");
        assert!(fs::read(run.join("best.safetensors")).unwrap() == whole, "{arguments:?}");
        assert!(run.join("report.html").exists());
        assert!(fs::read_dir(run.join("checkpoints")).unwrap().count() > 0);
        assert_eq!(ended.stdout.is_empty(), !output_is_read);
        if code == 5 && errors_are_read {
            assert!(stderr.contains("error: standard output: "), "{stderr}");
        }
        fs::remove_dir_all(run).unwrap();
    }
}

#[test]
fn a_result_that_could_not_be_printed_is_an_error() {
    let place = workplace();
    for arguments in [
        &["evaluate", "runs/small", "--device", "cpu"][..],
        &["evaluate", "runs/small", "--device", "cpu", "--json"],
        &["plan", "small.toml", "--device", "cpu"],
        &["replay", "runs/small", "--json"],
        &["devices"],
    ] {
        let ended = gridlight(place.path(), arguments, unread(), Stdio::piped());
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(5), "{arguments:?}: {stderr}");
        assert!(stderr.contains("error: standard output: "), "{arguments:?}: {stderr}");
        let ended = gridlight(place.path(), arguments, Stdio::piped(), unread());
        assert_eq!(ended.status.code(), Some(0), "{arguments:?}");
    }
    let ended = gridlight(place.path(), &["evaluate", "nowhere"], unread(), unread());
    assert_eq!(ended.status.code(), Some(2), "an error nobody reads");
}
