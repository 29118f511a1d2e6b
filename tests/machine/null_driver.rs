//! Compiles kernels of every family with the compiler of a driver that computes nothing, so that its output
//! can be inspected (tests/long/contraction.py). `GRIDLIGHT_NULL_DRIVER=exact` or `=fast` selects the
//! arithmetic; without it, there is nothing to test.

use gridlight::base::target::Family;
use gridlight::device::gpu::{GpuOptions, adapters};
use gridlight::kernels::samples;
use gridlight::verify::kernels;
use libtest_mimic::{Failed, Trial};

use crate::harness;

pub fn trials() -> Vec<Trial> {
    let name = "kernels_compile";
    vec![match arithmetic() {
        Some(arithmetic) => Trial::test(name, move || kernels_compile(arithmetic == Arithmetic::Exact)),
        None => harness::ignored(name, "no null driver is named"),
    }]
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    Exact,
    Fast,
}

/// The selected arithmetic, if the driver computes nothing.
pub fn arithmetic() -> Option<Arithmetic> {
    match std::env::var("GRIDLIGHT_NULL_DRIVER").as_deref() {
        Ok("exact") => Some(Arithmetic::Exact),
        Ok("fast") => Some(Arithmetic::Fast),
        _ => None,
    }
}

fn kernels_compile(exact: bool) -> Result<(), Failed> {
    for family in [Family::Registers, Family::Workgroup] {
        let options = GpuOptions { family: Some(family), exact, untested: true, ..GpuOptions::default() };
        let device = adapters::open(None, &options)?;
        for kernel in samples::families() {
            for seed in 0..8 {
                let sample = samples::random_kernel(kernel, seed).ok_or("there is no such family")?;
                kernels::load(&device, &sample).map_err(|e| format!("{kernel} {seed}: {e}"))?;
            }
        }
    }
    Ok(())
}
