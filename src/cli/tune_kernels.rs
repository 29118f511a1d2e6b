//! `gridlight tune-kernels`

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use gridlight::base::target::{Family, Geometry};
use gridlight::device::DeviceChoice;
use gridlight::device::tuning::{Tuned, Tuning};
use gridlight::experiment::Experiment;

use super::{Failure, open_device, plan, print, print_json};

/// Time the layouts of an experiment's kernels on this machine and keep the fastest.
///
/// `train` does so on its own on GPUs, for a second and a half at most, with the heaviest kernels; this takes the
/// time for all of them, and also for software drivers. All layouts compute the same bits.
#[derive(Args)]
#[command(after_help = "Example:\n  gridlight tune-kernels assets/experiments/traffic.toml --device gpu")]
pub struct TuneKernels {
    /// Experiment file.
    experiment: PathBuf,
    /// auto, cpu, gpu or gpu:N (see `gridlight devices`).
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Override a key of the experiment: table.key=value. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Stop after this many seconds.
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// What is printed with `--json`.
#[derive(serde::Serialize)]
struct Report<'a> {
    device: &'a str,
    launches: &'a [Tuned],
}

impl TuneKernels {
    pub fn run(self) -> Result<(), Failure> {
        let seconds = Duration::try_from_secs_f64(self.seconds)
            .map_err(|_| Failure::input(format!("--seconds = {} is no time", self.seconds)))?;
        let experiment = Experiment::read(&self.experiment, &self.set)?;
        let mut device = open_device(self.device, experiment.train.exact)?;
        if device.target().family == Family::Native {
            let reason = "the CPU backend has no kernels to tune; add --device gpu";
            return Err(Failure::input(reason));
        }
        let directory = Experiment::directory(&self.experiment);
        let compiled = plan::compile(&experiment, &directory, device.target())?;
        device.set_tuning(Tuning::Again(seconds));
        let session = device.load(&compiled.program)?;
        let (device, launches) = (device.info().name.as_str(), session.tuned());
        if self.json { print_json(&Report { device, launches }) } else { print(&text(launches)) }
    }
}

/// A line for every launch: the time of each layout, and the one that was chosen.
pub fn text(launches: &[Tuned]) -> String {
    let mut text = String::new();
    for tuned in launches {
        let usual = tuned.tried.first().map_or(0.0, |tried| tried.seconds);
        let of_chosen = tuned.tried.iter().find(|tried| tried.geometry == tuned.chosen);
        let gain = usual / of_chosen.map_or(usual, |tried| tried.seconds);
        text += &format!("{}\n", tuned.launch);
        for tried in &tuned.tried {
            let mark = if tried.geometry == tuned.chosen { "*" } else { " " };
            text += &format!(
                "  {mark} {:28}{:>12}  first {:>12}\n",
                name(tried.geometry),
                time(tried.seconds),
                time(tried.first_seconds)
            );
        }
        text += &format!("    {gain:.2}x\n");
    }
    text
}

fn name(geometry: Geometry) -> String {
    let Geometry { row_groups, side, row_blocks, col_blocks, uniforms } = geometry;
    let space = if uniforms { "uniform" } else { "storage" };
    format!("{} rows, {side} wide, {}x{}, {space}", 8 * row_groups, 4 * row_blocks, 4 * col_blocks)
}

fn time(seconds: f64) -> String {
    if seconds < 1e-3 { format!("{:.1} us", 1e6 * seconds) } else { format!("{:.2} ms", 1e3 * seconds) }
}
