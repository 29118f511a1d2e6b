//! Every shipped experiment trains on a device with only the limits that every WebGPU implementation
//! guarantees.

use std::path::{Path, PathBuf};

use gridlight::base::target::{Family, Target};
use gridlight::device::Device;
use gridlight::device::gpu::{GpuOptions, adapters};
use gridlight::experiment::Experiment;
use gridlight::run::job::Options;
use gridlight::run::trainer;
use libtest_mimic::{Failed, Trial};

use crate::harness;
use crate::silent::Silent;

pub fn trials() -> Vec<Trial> {
    let mut tests: Vec<(String, harness::Test)> = vec![];
    for path in shipped() {
        for family in [Family::Registers, Family::Workgroup] {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let name = format!("{name}_with_{family:?}").to_lowercase();
            let path = path.clone();
            tests.push((name, Box::new(move || a_few_steps(&path, family))));
        }
    }
    assert!(tests.len() >= 6, "the shipped experiments are found");
    harness::trials_of(tests)
}

/// The experiments under `assets/`.
fn shipped() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/experiments");
    let entries = std::fs::read_dir(directory).expect("the source tree has its assets").flatten();
    let mut paths: Vec<PathBuf> =
        entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "toml")).collect();
    paths.sort();
    paths
}

/// Trains three steps, validates and tests.
fn a_few_steps(path: &Path, family: Family) -> Result<(), Failed> {
    let family = Some(family);
    let options = GpuOptions { family, minimum_limits: true, ..GpuOptions::default() };
    let device = adapters::open(None, &options)?;
    let target = device.target();
    let minimum = Target::webgpu_minimum(target.family);
    assert_eq!(
        *target,
        Target { subgroup_size: target.subgroup_size, ..minimum },
        "the limits are the least"
    );
    // Only part of a long text is read: software Vulkan takes minutes for a hundred thousand characters.
    let less = ["validation", "test"].map(|part| format!("data.split.{part}=0.003"));
    let text = Experiment::read(path, &[])?.data.text;
    let experiment = Experiment::read(path, if text.is_some() { &less } else { &[] })?;
    let data = trainer::load_data(&experiment, &Experiment::directory(path))?;
    let scratch = tempfile::tempdir()?;
    let out = scratch.path().join("run");
    let options = Options { out, max_steps: Some(3), ..Options::default() };
    let outcome = trainer::train(&experiment, &data, &device, &options, &mut Silent)?;
    let loss = outcome.best.get("loss").ok_or("no loss")?;
    assert!(loss.is_finite(), "{loss}");
    Ok(())
}
