//! Rows that stream to the device, from memory or from disk: what is said of them, and how much memory they take.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::refusals::assert_refused;
use super::{Ended, gridlight, workplace};

/// IDX files of `count` images of 28 x 28 pixels in two classes.
fn images(directory: &Path, count: u32) {
    let header = |axes: &[u32]| {
        let mut bytes = vec![0, 0, 8, axes.len() as u8];
        bytes.extend(axes.iter().flat_map(|side| side.to_be_bytes()));
        bytes
    };
    let mut file = std::io::BufWriter::new(fs::File::create(directory.join("a-images-idx3-ubyte")).unwrap());
    file.write_all(&header(&[count, 28, 28])).unwrap();
    let mut state = 1u32;
    let mut labels = header(&[count]);
    for at in 0..count {
        let class = (at % 2) as u8;
        let mut image = [0; 28 * 28];
        for pixel in &mut image {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *pixel = (state >> 25) as u8 + 100 * class;
        }
        file.write_all(&image).unwrap();
        labels.push(class);
    }
    file.flush().unwrap();
    fs::write(directory.join("a-labels-idx1-ubyte"), labels).unwrap();
}

/// Trains a small network on the images for some steps; returns the most bytes that were resident.
fn trained(directory: &Path, out: &str, memory: &str) -> u64 {
    let text = "name = \"t\"\n[data]\nsource = \"a-images-idx3-ubyte\"\n[data.split]\nby = \"random\"\nvalidation = 0.05\ntest = 0.05\n\
                [model]\nfamily = \"mlp\"\nhidden = [4]\n[train]\nbatch_size = 32\nepochs = 1\n";
    fs::write(directory.join("t.toml"), text).unwrap();
    let arguments =
        ["train", "t.toml", "--device", "cpu", "--json", "--max-steps", "40", "--out", out, "--set", memory];
    let ended = gridlight(directory, &arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let end: serde_json::Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    end["peak_host_bytes"].as_u64().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn images_of_disk_take_less_memory_than_their_file() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path();
    // 96 MB.
    images(directory, 122_000);
    let disk = trained(directory, "disk", "data.memory={rows=\"disk\",host_mib=8}");
    let memory = trained(directory, "memory", "data.memory={rows=\"device\"}");
    assert!(disk < 96_000_000, "{disk} bytes");
    assert!(memory > 190_000_000, "{memory} bytes: the test would show nothing");
    // The scratch file has no name, and is gone.
    let left: Vec<_> = fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 5, "{left:?}");
    let ended = gridlight(directory, &["evaluate", "disk", "--device", "cpu", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((found["split"].as_str(), found["samples"].as_u64()), (Some("test"), Some(6100)));
    assert!(found["metrics"]["accuracy"].as_f64().unwrap() > 0.9, "{found}");
}

fn plan(directory: &Path, more: &[&str]) -> Ended {
    let ended = gridlight(directory, &[&["plan", "small.toml", "--device", "cpu"], more].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended
}

#[test]
fn a_plan_says_where_rows_are() {
    let place = workplace();
    let directory = place.path();
    for (rows, told) in [
        ("auto", "rows: all on the device"),
        ("host", "rows: in the host's memory"),
        ("disk", "rows: on disk"),
    ] {
        let memory = format!("data.memory.rows={rows}");
        let ended = plan(directory, &["--set", &memory]);
        assert!(ended.stdout.contains(told), "{}", ended.stdout);
        let ended = plan(directory, &["--json", "--set", &memory]);
        let found: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(found["rows"], if rows == "auto" { "device" } else { rows });
    }
    let ended = plan(directory, &["--set", "data.memory.device_mib=0.00001"]);
    assert!(ended.stdout.contains("rows: in the host's memory"), "{}", ended.stdout);
    let ended = plan(directory, &["--set", "data.memory.host_mib=0.0001"]);
    assert!(ended.stdout.contains("are shuffled, and then the rows of"), "{}", ended.stdout);
    let wrong = ["plan", "small.toml", "--device", "cpu", "--set", "data.memory.host_mib=-1"];
    let ended = gridlight(directory, &wrong);
    assert_refused(&ended, &["data.memory.host_mib", "= -1 is not a number of MiB above 0"], "a size");
    let wrong =
        ["plan", "small.toml", "--device", "cpu", "--set", "data.memory={rows=\"disk\",scratch=\"nowhere\"}"];
    let ended = gridlight(directory, &wrong);
    assert!([Some(2), Some(5)].contains(&ended.code), "{:?}", ended.code);
    assert!(
        ended.stderr.contains("nowhere") && ended.stderr.contains("data.memory.scratch"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_plan_predicts_steps_of_several_processes() {
    let place = workplace();
    let directory = place.path();
    let more = ["--set", "train.batch_size=16", "--ranks", "8", "--network", "1.25"];
    let ended = plan(directory, &more);
    assert!(ended.stdout.contains("A model of steps of several processes"), "{}", ended.stdout);
    let ended = plan(directory, &[&more[..], &["--json"]].concat());
    let found: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let ranks = found["ranks"].as_array().unwrap();
    let counts: Vec<u64> = ranks.iter().map(|scale| scale["ranks"].as_u64().unwrap()).collect();
    assert_eq!(counts, [1, 2, 4, 8]);
    assert_eq!(ranks[3]["rows"], 2);
    assert_eq!(ranks[0]["efficiency"], 1.0);
    for scale in ranks {
        let of = |key: &str| scale[key].as_f64().unwrap();
        let sum = of("compute_seconds") + of("copy_seconds") + of("network_seconds");
        assert!((of("step_seconds") - sum).abs() < 1e-12 && of("compute_seconds") > 0.0, "{scale}");
        assert_eq!(of("network_seconds") > 0.0, of("ranks") > 1.0);
    }
    let wrong = [
        "plan",
        "small.toml",
        "--device",
        "cpu",
        "--ranks",
        "7",
        "--network",
        "1",
        "--set",
        "train.batch_size=16",
    ];
    assert_refused(&gridlight(directory, &wrong), &["--ranks = 7", "16 rows"], "ranks");
}
