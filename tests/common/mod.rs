//! Harness of the tests that need a GPU.
//!
//! Any adapter counts, software ones included. Without one every test is listed as ignored, with the reason in
//! its name; with `GRIDLIGHT_REQUIRE_GPU=1` (set where a GPU is known to be) the tests then fail instead.

use std::process::ExitCode;

use gridlight::device::gpu::{GpuDevice, GpuOptions, adapters};
use libtest_mimic::{Arguments, Failed, Trial};

/// A test: opens what it needs with [`device`] and panics or gives an error if a promise is broken.
pub type Test = (&'static str, fn() -> Result<(), Failed>);

/// Opens the best adapter.
pub fn device(options: &GpuOptions) -> Result<GpuDevice, Failed> {
    Ok(adapters::open(None, options)?)
}

/// Runs `tests`, or shows why they cannot run.
pub fn run(tests: &[Test]) -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = adapters::open(None, &GpuOptions::default()).err();
    let required = std::env::var("GRIDLIGHT_REQUIRE_GPU").is_ok_and(|v| v == "1");
    let trial = |(name, test): &Test| {
        let test = *test;
        match &missing {
            None => Trial::test(*name, test),
            Some(error) => {
                let reason = error.to_string();
                let name = format!("{name} [ignored: {reason}]");
                Trial::test(name, move || Err(reason.into())).with_ignored_flag(!required)
            }
        }
    };
    libtest_mimic::run(&arguments, tests.iter().map(trial).collect()).exit_code()
}
