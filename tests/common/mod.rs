//! Harness of the tests that need a GPU.
//!
//! Any adapter counts, software ones included. Without one every test is listed as ignored, with the reason in
//! its name; with `GRIDLIGHT_REQUIRE_GPU=1` (set where a GPU is known to be) the tests then fail instead.

use std::process::ExitCode;
use std::sync::OnceLock;

use gridlight::base::target::Family;
use gridlight::device::gpu::{GpuDevice, GpuOptions, adapters};
use libtest_mimic::{Arguments, Failed, Trial};

/// A test: opens what it needs with [`device`] or [`shared`] and panics or gives an error if a promise is
/// broken.
pub type Test = Box<dyn FnOnce() -> Result<(), Failed> + Send>;

/// A test without captured values.
#[allow(dead_code, reason = "each test binary compiles this module, not all need it")]
pub type Check = fn() -> Result<(), Failed>;

/// Opens the best adapter.
#[allow(dead_code, reason = "each test binary compiles this module, not all need it")]
pub fn device(options: &GpuOptions) -> Result<GpuDevice, Failed> {
    Ok(adapters::open(None, options)?)
}

/// The best adapter with kernels of one family, opened once for all tests of the process: with checks and without
/// exchange in subgroups, or the other way round.
#[allow(dead_code, reason = "each test binary compiles this module, not all need it")]
pub fn shared(family: Family, checked: bool) -> Result<&'static GpuDevice, Failed> {
    static DEVICES: [OnceLock<Result<GpuDevice, String>>; 4] = [const { OnceLock::new() }; 4];
    let place = 2 * usize::from(family == Family::Workgroup) + usize::from(checked);
    let (family, checked, subgroups) = (Some(family), Some(checked), Some(!checked));
    let options = GpuOptions { family, checked, subgroups, ..GpuOptions::default() };
    let opened = DEVICES[place].get_or_init(|| adapters::open(None, &options).map_err(|e| e.to_string()));
    opened.as_ref().map_err(|e| Failed::from(e.as_str()))
}

/// Runs `tests`, or shows why they cannot run.
#[allow(dead_code, reason = "each test binary compiles this module, not all need it")]
pub fn run(tests: &[(&str, Check)]) -> ExitCode {
    run_all(tests.iter().map(|&(name, test)| (name.to_string(), Box::new(test) as Test)).collect())
}

/// As [`run`], for tests that are made in a loop.
pub fn run_all(tests: Vec<(String, Test)>) -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = adapters::open(None, &GpuOptions::default()).err();
    let required = std::env::var("GRIDLIGHT_REQUIRE_GPU").is_ok_and(|v| v == "1");
    let trial = |(name, test): (String, Test)| match &missing {
        None => Trial::test(name, test),
        Some(error) => {
            let reason = error.to_string();
            let name = format!("{name} [ignored: {reason}]");
            Trial::test(name, move || Err(reason.into())).with_ignored_flag(!required)
        }
    };
    libtest_mimic::run(&arguments, tests.into_iter().map(trial).collect()).exit_code()
}
