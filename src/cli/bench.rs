//! `gridlight bench`

mod growth;
mod versus;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use gridlight::base::number::shown;
use gridlight::bench::steps::{self, StepMeasurement};
use gridlight::bench::workloads::{self, Workload};
use gridlight::bench::{self, Limits, Measurement};
use gridlight::device::DeviceChoice;
use gridlight::device::tuning::Tuning;
use gridlight::kernels;
use gridlight::plan::align;
use serde::{Deserialize, Serialize};

use super::{Failure, open_device, print, print_json};

/// Times every kernel and whole training steps, relative to this device's own limits.
#[derive(Args)]
#[command(after_help = "Examples:\n  gridlight bench matmul --device cpu\n  gridlight bench --json > \
                        before.json\n  gridlight bench --compare before.json")]
pub struct Bench {
    /// Only benchmarks whose name and shape contain this text, for example `matmul` or `512x512`.
    pattern: Option<String>,
    /// auto, cpu, gpu or gpu:N (see `gridlight devices`).
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Measure the layouts of each benchmark's shaders first, for at most this many seconds, and use the
    /// fastest; by default those are used that were measured before.
    #[arg(long, value_name = "SECONDS")]
    tune: Option<f64>,
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
    /// Compare with an earlier --json report; exit code 1 if anything takes more than 1.25 times as long.
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Measure the training steps beside those of other programs (`--peer`), in turn, and write tables in Markdown to
    /// this file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "compare", "tune", "line"])]
    report: Option<PathBuf>,
    /// Measure how the time of a training step grows with its batch, its sequences and its widths, and write the curves to
    /// this page (HTML).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["report", "compare", "tune", "line", "peer", "rounds", "seconds"])]
    growth: Option<PathBuf>,
    /// With --report: a command to which a workload's word (`mlp32`, `cnn`, `lstm`, ...) is added, and whose last line is
    /// a JSON object with `steps_per_s`; see benches/peers. May be repeated.
    #[arg(long, value_name = "COMMAND", requires = "report")]
    peer: Vec<String>,
    /// With --report: how often each program is measured.
    #[arg(long, default_value_t = 5, requires = "report", value_parser = clap::value_parser!(u32).range(1..1000))]
    rounds: u32,
    /// Run one training step, named by its word, for --seconds, and print one JSON line, as a --peer does.
    #[arg(long, value_name = "WORD", conflicts_with_all = ["json", "compare", "tune", "pattern"])]
    line: Option<String>,
    /// With --report and --line: seconds of each measurement.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

/// What `bench --json` prints.
#[derive(Serialize, Deserialize)]
struct Report {
    device: String,
    limits: Limits,
    kernels: Vec<Measurement>,
    steps: Vec<StepMeasurement>,
}

/// A slowdown beyond this factor is a failure; smaller ones occur between runs on a busy machine.
const SLOWER: f64 = 1.25;

impl Bench {
    pub fn run(self) -> Result<(), Failure> {
        let start = Instant::now();
        if !(self.seconds > 0.0 && self.seconds.is_finite()) {
            return Err(Failure::input(format!("--seconds {} is no time", self.seconds)));
        }
        if let Some(word) = &self.line {
            let workload = workloads::all().into_iter().find(|w| w.word == *word);
            let workload = workload.ok_or_else(|| Failure::input(no_word(word)))?;
            return versus::line(&*open_device(self.device, false)?, &workload, self.seconds, start);
        }
        if let Some(page) = &self.growth {
            let pattern = self.pattern.as_deref().unwrap_or("");
            return growth::run(&*open_device(self.device, false)?, pattern, page, self.json);
        }
        let before = self.compare.as_deref().map(read_report).transpose()?;
        let pattern = self.pattern.as_deref().unwrap_or("");
        let kernels: Vec<_> = kernels::benchmarks()
            .into_iter()
            .filter(|k| format!("{} {}", k.name(), k.shape()).contains(pattern))
            .collect();
        let steps: Vec<_> =
            workloads::all().into_iter().filter(|w| w.word == pattern || w.name.contains(pattern)).collect();
        if kernels.is_empty() && steps.is_empty() {
            let networks = workloads::all();
            let networks = networks.iter().filter_map(|w| w.name.split(' ').next());
            let mut names: Vec<&str> = vec![];
            for name in kernels::benchmarks().iter().map(|k| k.name()).chain(networks) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            let reason =
                format!("no benchmark matches `{pattern}`; kernels and networks are {}", names.join(", "));
            return Err(Failure::input(reason));
        }
        let mut device = open_device(self.device, false)?;
        if let Some(report) = &self.report {
            return self.beside(steps, &device.info().name, report);
        }
        if let Some(seconds) = self.tune {
            let budget = Duration::try_from_secs_f64(seconds)
                .map_err(|_| Failure::input(format!("--tune {seconds} is no number of seconds")))?;
            device.set_tuning(Tuning::Again(budget));
        }
        let limits = bench::limits(&*device)?;
        let measured = kernels.iter().map(|kernel| bench::measure(&*device, kernel, &limits));
        let kernels = measured.collect::<Result<Vec<_>, _>>()?;
        let measured = steps.iter().map(|workload| steps::measure(&*device, workload));
        let steps = measured.collect::<Result<Vec<_>, _>>()?;
        let report = Report { device: device.info().name.clone(), limits, kernels, steps };
        if self.json {
            print_json(&report)?;
        } else {
            print(&report.text(before.as_ref()))?;
        }
        let slower = before.map(|before| report.slower(&before)).unwrap_or_default();
        if !slower.is_empty() {
            let reason = format!(
                "{} of the benchmarks take more than {SLOWER} times as long as before: {}; run again to rule \
                 out other work on the machine",
                slower.len(),
                slower.join(", ")
            );
            return Err(Failure { code: 1, error: anyhow::Error::msg(reason) });
        }
        Ok(())
    }
}

impl Bench {
    /// Measures training steps beside those of other programs.
    fn beside(&self, workloads: Vec<Workload>, device: &str, report: &Path) -> Result<(), Failure> {
        if workloads.is_empty() {
            return Err(Failure::input(no_word(self.pattern.as_deref().unwrap_or(""))));
        }
        let (peers, rounds, seconds) = (&self.peer[..], self.rounds as usize, self.seconds);
        versus::Versus { workloads, device: self.device, peers, rounds, seconds }.run(device, report)
    }
}

/// No training step has this word.
fn no_word(word: &str) -> String {
    let words: Vec<&str> = workloads::all().iter().map(|w| w.word).collect();
    format!("no training step is called `{word}`; there are {}", words.join(", "))
}

fn read_report(path: &Path) -> Result<Report, Failure> {
    let fail = |reason: String| {
        let go_on = "give a file written by `gridlight bench --json`";
        Failure::input(format!("{}: {reason}; {go_on}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
    serde_json::from_str(&text).map_err(|e| fail(e.to_string()))
}

impl Report {
    /// Name and seconds of every benchmark.
    fn times(&self) -> Vec<(String, f64)> {
        let kernels = self.kernels.iter().map(|k| (format!("{} {}", k.name, k.shape), k.seconds));
        let steps = self.steps.iter().map(|s| (s.name.clone(), 1.0 / s.steps_per_second));
        kernels.chain(steps).collect()
    }

    /// Time now over time before, for a benchmark that is in both reports.
    fn change(&self, before: &Report, name: &str) -> Option<f64> {
        let find = |report: &Report| report.times().into_iter().find(|(n, _)| n == name).map(|(_, t)| t);
        Some(find(self)? / find(before)?)
    }

    fn slower(&self, before: &Report) -> Vec<String> {
        let names = self.times().into_iter().map(|(name, _)| name);
        names.filter(|name| self.change(before, name).is_some_and(|change| change > SLOWER)).collect()
    }

    /// Tables for people; with an earlier report, including how times have changed.
    fn text(&self, before: Option<&Report>) -> String {
        let change = |name: &str| {
            let change = before.and_then(|before| self.change(before, name));
            change.map_or(String::new(), |c| format!("{c:.2}x time"))
        };
        let header =
            ["kernel", "shape", "time", "GFLOP/s", "GB/s", "of limit", "of products", ""].map(String::from);
        let mut rows = vec![header.to_vec()];
        for k in &self.kernels {
            rows.push(vec![
                k.name.clone(),
                k.shape.clone(),
                duration(k.seconds),
                shown(k.gflops),
                shown(k.gigabytes),
                format!("{:.0} %", 100.0 * k.fraction),
                k.of_products.map_or(String::new(), |part| format!("{:.0} %", 100.0 * part)),
                change(&format!("{} {}", k.name, k.shape)),
            ]);
        }
        let mut text = format!(
            "{}: at most {} GFLOP/s (multiply-adds) and {} GB/s (copy)\n\n",
            self.device,
            shown(self.limits.gflops),
            shown(self.limits.gigabytes)
        );
        if !self.kernels.is_empty() {
            text += &align(&rows, &[2, 3, 4, 5, 6]);
        }
        for step in &self.steps {
            let change = change(&step.name);
            text += &format!("\n{}: {} steps/s  {change}\n", step.name, shown(step.steps_per_second));
            let total: f64 = step.kernels.iter().map(|k| k.seconds).sum();
            let row = |k: &steps::KernelTime| {
                let part = format!("{:.0} %", 100.0 * k.seconds / total.max(1e-12));
                vec![format!("  {}", k.name), k.shape.clone(), k.layer.clone(), duration(k.seconds), part]
            };
            text += &align(&step.kernels.iter().map(row).collect::<Vec<_>>(), &[3, 4]);
        }
        text
    }
}

/// `1.23 ms`
fn duration(seconds: f64) -> String {
    match seconds {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.2} ms", s * 1e3),
        s => format!("{:.2} us", s * 1e6),
    }
}
