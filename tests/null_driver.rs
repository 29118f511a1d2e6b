//! Compiles kernels of every family with the compiler of a driver that computes nothing, so that what it makes of them
//! can be read (tests/long/contraction.py). `GRIDLIGHT_NULL_DRIVER=exact` or `=fast` says which arithmetic; without it,
//! there is nothing to test.

use std::process::ExitCode;

use gridlight::base::target::Family;
use gridlight::device::gpu::{GpuOptions, adapters};
use gridlight::kernels::samples;
use gridlight::verify::kernels;
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let name = "kernels_compile";
    let trial = match std::env::var("GRIDLIGHT_NULL_DRIVER").as_deref() {
        Ok(arithmetic @ ("exact" | "fast")) => {
            let exact = arithmetic == "exact";
            Trial::test(name, move || kernels_compile(exact))
        }
        _ => Trial::test(format!("{name} [ignored: no null driver is named]"), || Ok(()))
            .with_ignored_flag(true),
    };
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
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
