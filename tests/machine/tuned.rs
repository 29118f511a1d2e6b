//! Layouts of shaders that were measured on the machine change the time that steps take, and nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::{harness, mutate};

pub fn trials() -> Vec<Trial> {
    harness::trials(&[("measured_layouts_are_shown_and_change_no_bits", measured_layouts)])
}

/// Runs the program on the GPU with its caches in `home`.
fn run(home: &Path, arguments: &[&str]) -> Result<String, Failed> {
    let experiment = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/experiments/traffic.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gridlight"));
    command.arg(arguments[0]).arg(experiment).args(["--device", "gpu"]).args(&arguments[1..]);
    for name in ["XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"] {
        command.env(name, home);
    }
    let done = command.current_dir(home).output()?;
    if !done.status.success() {
        return Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&done.stderr)).into());
    }
    Ok(String::from_utf8(done.stdout)?)
}

/// The weights after a few steps.
fn trained(home: &Path, out: &str, more: &[&str]) -> Result<Vec<u8>, Failed> {
    run(home, &[&["train", "--max-steps", "3", "--quiet", "--out", out], more].concat())?;
    Ok(std::fs::read(home.join(out).join("best.safetensors"))?)
}

fn planned(home: &Path) -> Result<Value, Failed> {
    Ok(serde_json::from_str(&run(home, &["plan", "--quiet", "--json"])?)?)
}

fn measured_layouts() -> Result<(), Failed> {
    let place = tempfile::tempdir()?;
    let home = place.path();
    let usual = trained(home, "usual", &["--no-tune"])?;
    assert!(planned(home)?.get("layouts").is_none(), "nothing was measured");
    let tuned: Value = serde_json::from_str(&run(home, &["tune-kernels", "--seconds", "3", "--json"])?)?;
    let launches = tuned["launches"].as_array().ok_or("no launches")?;
    assert!(!launches.is_empty());
    let plan = planned(home)?;
    let shown = plan["layouts"].as_array().ok_or("no layouts")?;
    assert!(!shown.is_empty() && shown.iter().all(|layout| launches.contains(layout)), "{plan}");
    let text = run(home, &["plan", "--quiet"])?;
    assert!(text.contains("Layouts that were measured on this device"), "{text}");
    assert!(trained(home, "tuned", &[])? == usual, "other bits");

    // The choices may be damaged; they are then measured no more than any others.
    let found = std::fs::read_dir(home.join("gridlight"))?.flatten().map(|entry| entry.path());
    let is_choices = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
    let choices = found.into_iter().find(is_choices).ok_or("no choices were kept")?;
    let valid = std::fs::read(&choices)?;
    for seed in 0..8 {
        std::fs::write(&choices, mutate::mutate(&valid, seed))?;
        planned(home)?;
    }
    assert!(trained(home, "damaged", &[])? == usual, "other bits from damaged choices");
    Ok(())
}
