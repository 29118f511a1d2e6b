//! Tests for any device: run on the CPU backend, and on the GPU backend with both kernel families.
//!
//! Without an adapter, or without a required file, a test is listed as ignored with the reason in its name;
//! with `GRIDLIGHT_REQUIRE_GPU=1`, a missing adapter is a failure.

use std::path::Path;
use std::sync::Arc;

use gridlight::base::target::Family;
use gridlight::device::Device;
use gridlight::device::cpu::CpuDevice;
use libtest_mimic::Trial;

use crate::harness::{self, ignored, missing, required};

/// A test for any device.
pub type OnDevice = Arc<dyn Fn(&dyn Device) -> Result<(), String> + Send + Sync>;

/// The test on every backend, with the backend's name appended to its own.
pub fn on_every_backend(name: &str, test: OnDevice) -> Vec<Trial> {
    let on_cpu = Arc::clone(&test);
    let mut trials = vec![Trial::test(format!("{name}::cpu"), move || Ok(on_cpu(&CpuDevice::new(Some(1)))?))];
    for (suffix, family) in [("gpu", Family::Registers), ("gpu-workgroup", Family::Workgroup)] {
        let (name, test) = (format!("{name}::{suffix}"), Arc::clone(&test));
        trials.push(match missing() {
            Some(reason) if !required() => ignored(&name, reason),
            // Opening reports why there is none.
            _ => Trial::test(name, move || Ok(test(harness::shared(family, false)?)?)),
        });
    }
    trials
}

/// The text of a file in the folder `shared` beside this checkout, or why it cannot be read.
pub fn shared_file(name: &str) -> Result<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(name);
    std::fs::read_to_string(path).map_err(|e| format!("../shared/{name} beside this checkout: {e}"))
}
