//! Harness of the tests that need a GPU.
//!
//! Any adapter counts, including software adapters. Without one, every test is listed as ignored with the
//! reason in its name; with `GRIDLIGHT_REQUIRE_GPU=1` (set where a GPU is known to exist), they fail instead.

use std::sync::OnceLock;

use gridlight::base::target::Family;
use gridlight::device::gpu::{GpuDevice, GpuOptions, adapters};
use libtest_mimic::{Failed, Trial};

/// A test: opens what it needs with [`device`] or [`shared`], and panics or returns an error if an
/// expectation is not met.
pub type Test = Box<dyn FnOnce() -> Result<(), Failed> + Send>;

/// A test without captured values.
pub type Check = fn() -> Result<(), Failed>;

/// Opens the best adapter.
pub fn device(options: &GpuOptions) -> Result<GpuDevice, Failed> {
    Ok(adapters::open(None, options)?)
}

/// The best adapter with kernels of one family, opened once for all tests in the process: with checks and
/// without subgroup exchange, or the reverse.
pub fn shared(family: Family, checked: bool) -> Result<&'static GpuDevice, Failed> {
    static DEVICES: [OnceLock<Result<GpuDevice, String>>; 4] = [const { OnceLock::new() }; 4];
    let place = 2 * usize::from(family == Family::Workgroup) + usize::from(checked);
    let (family, checked, subgroups) = (Some(family), Some(checked), Some(!checked));
    let options = GpuOptions { family, checked, subgroups, ..GpuOptions::default() };
    let opened = DEVICES[place].get_or_init(|| adapters::open(None, &options).map_err(|e| e.to_string()));
    opened.as_ref().map_err(|e| Failed::from(e.as_str()))
}

/// `tests`, or why they cannot run.
pub fn trials(tests: &[(&str, Check)]) -> Vec<Trial> {
    trials_of(tests.iter().map(|&(name, test)| (name.to_string(), Box::new(test) as Test)).collect())
}

/// Like [`trials`], for tests created in a loop.
pub fn trials_of(tests: Vec<(String, Test)>) -> Vec<Trial> {
    let trial = |(name, test): (String, Test)| match missing() {
        None => Trial::test(name, test),
        Some(reason) if required() => Trial::test(name, move || Err(reason.into())),
        Some(reason) => ignored(&name, reason),
    };
    tests.into_iter().map(trial).collect()
}

/// Why there is no adapter, if there is none.
pub fn missing() -> Option<&'static str> {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    let open = || adapters::open(None, &GpuOptions::default()).err().map(|e| e.to_string());
    MISSING.get_or_init(open).as_deref()
}

/// Whether a test fails if it finds no adapter.
pub fn required() -> bool {
    std::env::var("GRIDLIGHT_REQUIRE_GPU").is_ok_and(|v| v == "1")
}

/// A test that cannot run, with the reason in its name.
pub fn ignored(name: &str, reason: &str) -> Trial {
    Trial::test(format!("{name} [ignored: {reason}]"), || Ok(())).with_ignored_flag(true)
}
