//! `gridlight train`

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use gridlight::base::number::shown;
use gridlight::device::DeviceChoice;
use gridlight::device::open::Installed;
use gridlight::experiment::Experiment;
use gridlight::run::directory::RunDirectory;
use gridlight::run::evaluate::evaluate;
use gridlight::run::job::Options;
use gridlight::run::recovery::Recovery;
use gridlight::run::trainer;
use gridlight::run::tune;
use gridlight::train::TrainError;
use gridlight::train::events::Event;

use super::progress::Console;
use super::{Failure, exit_code, open_device, print};

/// Train an experiment and write a run directory.
#[derive(Args)]
#[command(
    after_help = "Example:\n  gridlight train assets/experiments/traffic.toml --set train.batch_size=64"
)]
pub struct Train {
    /// Experiment file.
    experiment: PathBuf,
    /// auto, cpu, gpu or gpu:N (see `gridlight devices`).
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Run directory; by default runs/<name>.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Number of epochs (overrides the experiment's).
    #[arg(long)]
    epochs: Option<usize>,
    /// Stop after this many steps in total.
    #[arg(long)]
    max_steps: Option<u64>,
    /// Random seed (overrides the experiment's).
    #[arg(long)]
    seed: Option<u64>,
    /// Override a key of the experiment: table.key=value. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Compute the same bits on every device (train.exact); takes several times as long.
    #[arg(long)]
    exact: bool,
    /// Resume from the newest checkpoint in the run directory, or begin if there is none yet.
    #[arg(long)]
    resume: bool,
    /// Initialise the model with these weights.
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// If a number is no longer finite, run the step again node by node and name the operator responsible.
    #[arg(long)]
    anomaly: bool,
    /// Report the loss every this many steps.
    #[arg(long, value_name = "STEPS")]
    log_every: Option<u64>,
    /// Print one JSON object per line on standard output, and nothing else there.
    #[arg(long)]
    json: bool,
}

impl Train {
    pub fn run(self, started: Instant) -> Result<(), Failure> {
        // Before anything else, so that an interrupt while the data is read also ends in a saved checkpoint.
        let mut console = Console::new(self.json);
        let mut overrides = self.set.clone();
        overrides.extend(self.epochs.map(|n| format!("train.epochs={n}")));
        overrides.extend(self.exact.then(|| "train.exact=true".to_string()));
        overrides.extend(self.seed.map(|n| format!("seed={n}")));
        let mut experiment = Experiment::read(&self.experiment, &overrides)?;
        make_paths_absolute(&mut experiment, &Experiment::directory(&self.experiment));
        if self.max_steps == Some(0) {
            return Err(Failure::input("--max-steps = 0 leaves nothing to train; give at least 1"));
        }
        let data = trainer::load_data(&experiment, &PathBuf::new())?;
        let exact = experiment.train.exact;
        let mut installed = Installed { choice: self.device, exact };
        let mut recovery = Recovery::new(open_device(self.device, exact)?, &mut installed);
        let out = self.out.unwrap_or_else(|| PathBuf::from("runs").join(&experiment.name));
        // A run stopped before its settings were known tries them again.
        let (experiment, trials) = if self.resume && RunDirectory::open(&out).is_ok() {
            (tune::settings_of_run(&experiment, &out)?, vec![])
        } else {
            recovery.run(&mut console, |device, observer| tune::tune(&experiment, &data, device, observer))?
        };
        let options = Options {
            out,
            trials,
            without_report: false,
            max_steps: self.max_steps,
            resume: self.resume,
            init: self.init,
            log_every: self.log_every,
            anomaly: self.anomaly,
            started: Some(started),
        };
        let outcome = recovery.train(&experiment, &data, &options, &mut console).map_err(how_to_go_on)?;
        if let (false, Event::End { run, best_epoch, best, seconds, steps_per_second, .. }) =
            (self.json, &outcome.end)
        {
            let metrics: Vec<String> =
                best.0.iter().map(|(name, x)| format!("{name} {}", shown(*x))).collect();
            print(&format!(
                "best epoch {best_epoch}: validation {}\n\
                 trained {seconds:.1} s at {steps_per_second:.0} steps/s; results in {run}",
                metrics.join("  ")
            ))?;
            let evaluation =
                recovery.run(&mut console, |device, _| evaluate(&options.out, None, None, None, device))?;
            super::evaluate::show(&evaluation)?;
        }
        console.all_was_printed()
    }
}

/// Adds to the error of an interrupted training the command that resumes it.
fn how_to_go_on(error: TrainError) -> Failure {
    let TrainError::Interrupted { step, .. } = error else { return error.into() };
    let mut command = String::from("gridlight");
    let given: Vec<String> = std::env::args().skip(1).collect();
    let resume = (!given.iter().any(|a| a == "--resume")).then(|| "--resume".to_string());
    for argument in given.into_iter().chain(resume) {
        let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
        if !argument.is_empty() && argument.chars().all(plain) {
            command += &format!(" {argument}");
        } else {
            command += &format!(" '{}'", argument.replace('\'', r"'\''"));
        }
    }
    let text = format!("interrupted at step {step}; a checkpoint was saved, go on with:\n  {command}");
    Failure { code: exit_code(error.kind()), error: anyhow::anyhow!(text) }
}

/// The run directory may be used from anywhere, so paths to data are made absolute.
pub fn make_paths_absolute(experiment: &mut Experiment, directory: &std::path::Path) {
    let absolute = |path: &mut String| {
        let joined = directory.join(&path);
        if let Ok(full) = std::path::absolute(joined) {
            *path = full.to_string_lossy().into_owned();
        }
    };
    experiment.data.paths().into_iter().for_each(absolute);
}
