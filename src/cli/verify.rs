//! `gridlight verify`

use std::path::{Path, PathBuf};

use clap::Args;
use gridlight::base::json::Unique;
use gridlight::device::{Device, DeviceChoice, DeviceInfo};
use gridlight::experiment::Experiment;
use gridlight::kernels::Kernel;
use gridlight::kernels::samples::{self, Sample};
use gridlight::plan::align;
use gridlight::train::output::refuse_same;
use gridlight::verify::cases::{self, OperatorCase, OperatorResult};
use gridlight::verify::kernels::{self, KernelCheck};
use serde::Serialize;

use super::output::save;
use super::{Failure, open_device, plan, print, print_json};

/// Compare each kernel on this device with double-precision arithmetic.
#[derive(Args)]
#[command(after_help = "Example:\n  gridlight verify assets/experiments/traffic.toml --device gpu\n  \
                  gridlight verify --device gpu --out report.md")]
pub struct Verify {
    /// Check the kernels of this experiment; by default, kernels of every family at awkward sizes.
    experiment: Option<PathBuf>,
    /// Check exact arithmetic, which has the same bits on every device.
    #[arg(long)]
    exact: bool,
    /// auto, cpu, gpu or gpu:N (see `gridlight devices`).
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Run operator cases from another framework instead: one JSON object per line.
    #[arg(long, value_name = "FILE", requires = "out", conflicts_with = "experiment")]
    cases: Option<PathBuf>,
    /// Write a report to attach to a bug: device, driver, version, every kernel. With --cases, where to write
    /// their results: one JSON object per line.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Random kernels per family.
const SAMPLES: u32 = 16;

/// What `verify --json` prints.
#[derive(Serialize)]
struct Report {
    device: String,
    passed: usize,
    failed: usize,
    kernels: Vec<KernelCheck>,
}

impl Verify {
    pub fn run(self) -> Result<(), Failure> {
        let device = open_device(self.device, self.exact)?;
        if let (Some(cases), Some(out)) = (&self.cases, &self.out) {
            return run_cases(&*device, cases, out);
        }
        let list = match &self.experiment {
            Some(path) => samples_of(path, &*device)?,
            None => random_samples(),
        };
        let checks = list.iter().map(|sample| kernels::check(&*device, sample));
        let checks = checks.collect::<Result<Vec<_>, _>>()?;
        let failed = checks.iter().filter(|c| !c.passed).count();
        let passed = checks.len() - failed;
        let report = Report { device: device.info().name.clone(), passed, failed, kernels: checks };
        if let Some(out) = &self.out {
            save("report", out, report.for_a_bug(device.info(), &self.command()).as_bytes())?;
        }
        if self.json {
            print_json(&report)?;
        } else {
            print(&report.table())?;
        }
        if failed > 0 {
            let reason = format!(
                "{failed} of {} kernels differ from the reference on this device by more than rounding \
                 explains; use another driver version, or --device cpu",
                passed + failed
            );
            return Err(Failure { code: 1, error: anyhow::Error::msg(reason) });
        }
        Ok(())
    }
}

impl Verify {
    /// What was checked.
    fn command(&self) -> String {
        let of = |path: &PathBuf| format!(" of `{}`", path.file_name().unwrap_or_default().to_string_lossy());
        format!("the kernels{}", self.experiment.as_ref().map_or_else(|| " of every family".into(), of))
    }
}

/// Runs the operator cases of `input` and writes one result per line to `output`.
fn run_cases(device: &dyn Device, input: &Path, output: &Path) -> Result<(), Failure> {
    refuse_same(input, output)?;
    let unreadable = |e: std::io::Error| Failure::input(format!("{}: {e}", input.display()));
    let text = std::fs::read_to_string(input).map_err(unreadable)?;
    let mut results = String::new();
    let (mut done, mut skipped) = (0, 0);
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let read = serde_json::from_str::<Unique>(line).and_then(|_| serde_json::from_str(line));
        let case: OperatorCase =
            read.map_err(|e| Failure::input(format!("{}:{}:{}: {e}", input.display(), at + 1, e.column())))?;
        let result = cases::run_case(&case, device)?;
        match result {
            OperatorResult::Done { .. } => done += 1,
            OperatorResult::Skipped { .. } => skipped += 1,
        }
        results += &serde_json::to_string(&result).unwrap_or_default();
        results.push('\n');
    }
    save(&format!("results of {done} cases ({skipped} skipped)"), output, results.as_bytes())
}

/// Random kernels of every family.
fn random_samples() -> Vec<Sample> {
    let of_family = |family| (0..SAMPLES).filter_map(move |seed| samples::random_kernel(family, seed));
    samples::families().flat_map(of_family).collect()
}

/// The distinct kernels of an experiment's training and evaluation phases.
fn samples_of(path: &Path, device: &dyn Device) -> Result<Vec<Sample>, Failure> {
    let compiled =
        plan::compile(&Experiment::read(path, &[])?, &Experiment::directory(path), device.target())?;
    let mut kernels: Vec<&Kernel> = vec![];
    for dispatch in compiled.program.phases.iter().flat_map(|p| &p.dispatches) {
        if !kernels.contains(&&dispatch.kernel) {
            kernels.push(&dispatch.kernel);
        }
    }
    Ok(kernels.into_iter().map(Sample::of).collect())
}

impl Report {
    /// Everything a developer needs to reproduce a bug, as Markdown.
    fn for_a_bug(&self, device: &DeviceInfo, checked: &str) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        format!(
            "# gridlight verify\n\n- gridlight {} on {} {}\n- device: {}\n- backend: {}\n- driver: {}\n\
             - type: {}\n- checked: {checked}\n- result: {} passed, {} failed\n\n```text\n{}```\n\n\
             ```json\n{json}\n```\n",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS,
            std::env::consts::ARCH,
            device.name,
            device.backend,
            device.driver,
            device.kind,
            self.passed,
            self.failed,
            self.table()
        )
    }

    fn table(&self) -> String {
        let mut rows = vec![["kernel", "shape", "largest error", "allowed", ""].map(String::from).to_vec()];
        for k in &self.kernels {
            rows.push(vec![
                k.name.clone(),
                k.shape.clone(),
                format!("{:.1e}", k.max_relative_error.0),
                format!("{:.1e}", k.tolerance.0),
                if k.passed { "ok" } else { "FAILED" }.into(),
            ]);
        }
        let mut text = align(&rows, &[2, 3]);
        text += &format!("\n{} passed, {} failed on {}\n", self.passed, self.failed, self.device);
        text
    }
}
