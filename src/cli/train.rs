//! `gridlight train`

mod ranks;
mod several;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use gridlight::base::number::shown;
use gridlight::base::target::Family;
use gridlight::data::config::RowsIn;
use gridlight::device::open::Installed;
use gridlight::device::tuning::Tuning;
use gridlight::device::{Device, DeviceChoice};
use gridlight::experiment::Experiment;
use gridlight::run::directory::RunDirectory;
use gridlight::run::evaluate::evaluate_loaded;
use gridlight::run::job::{Options, Outcome};
use gridlight::run::recovery::Recovery;
use gridlight::run::trainer;
use gridlight::train::TrainError;
use gridlight::train::events::Event;

use super::progress::Console;
use super::{Failure, exit_code, open_device, print, starter, tell};
use several::Seeds;

/// Train an experiment and write a run directory.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  gridlight train assets/experiments/traffic.toml --set train.batch_size=64\n  \
                  gridlight train assets/experiments/traffic.toml --seeds 8"
)]
pub struct Train {
    /// Experiment file; or a table with --target, or a folder of pictures.
    experiment: PathBuf,
    /// The column of a table to predict, where there is no experiment file.
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// Cross-validation: train as many models, each tested on another part of the rows, and show the mean and the
    /// deviation of their metrics. Where later rows test (data.split.by = "order", "time" or "rolling"), each model
    /// is trained on the rows before its test part.
    #[arg(long, value_name = "K", conflicts_with = "max_steps", value_parser = clap::value_parser!(u64).range(2..=1000))]
    folds: Option<u64>,
    /// Repeat the cross-validation with other folds.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "folds", value_parser = clap::value_parser!(u64).range(1..=1000))]
    repeats: u64,
    /// Train as many models that differ in their seed, which predict and are evaluated together: their mean, and how
    /// much they differ. They are runs of their own in the folder `members` of the run directory.
    #[arg(long, value_name = "N", conflicts_with_all = ["folds", "max_steps"], value_parser = clap::value_parser!(u64).range(1..=100))]
    ensemble: Option<u64>,
    /// Train a model for each of N seeds (0 to N - 1), or for those from FIRST to before END, at the same time, and
    /// show the mean and the deviation of their metrics. Each is the model that --seed alone gives.
    #[arg(long, value_name = "N|FIRST..END", conflicts_with_all = ["seed", "folds", "ensemble"])]
    seeds: Option<Seeds>,
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
    /// Initialise the model with these weights: a .safetensors file (or the .index.json of one in several parts), a
    /// checkpoint, or a file of torch.save.
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// What tensors of --init are called in the model, such as 'backbone.*=*'. May be repeated.
    #[arg(long, value_name = "OLD=NEW", requires = "init")]
    init_map: Vec<String>,
    /// Take those tensors of --init that fit the model, and say which do not.
    #[arg(long, requires = "init")]
    init_partial: bool,
    /// If a number is no longer finite, run the step again node by node and name the operator responsible.
    #[arg(long)]
    anomaly: bool,
    /// Report the loss every this many steps.
    #[arg(long, value_name = "STEPS")]
    log_every: Option<u64>,
    /// Train with the other processes that an MPI launcher started; needed only if the launcher is not recognised.
    #[arg(long)]
    mpi: bool,
    /// Do not show what was understood of the data.
    #[arg(long)]
    quiet: bool,
    /// Do not measure which layout of each kernel is the fastest on this GPU, nor use what was measured before.
    #[arg(long)]
    no_tune: bool,
    /// Print one JSON object per line on standard output, and nothing else there.
    #[arg(long)]
    json: bool,
}

/// Why `--max-steps 0` is refused.
const NO_STEPS: &str = "--max-steps = 0 leaves nothing to train; give at least 1";
/// Time that measuring kernels may take at the start of a training.
const TUNING: Duration = Duration::from_millis(1500);

impl Train {
    pub fn run(self, started: Instant) -> Result<(), Failure> {
        match self.group()? {
            Some(group) if group.size() > 1 => self.run_with(&group, started),
            // A group of one ends with its process.
            _group => self.run_alone(started),
        }
    }

    fn run_alone(self, started: Instant) -> Result<(), Failure> {
        if let Some(seeds) = &self.seeds {
            return self.train_seeds(seeds, started);
        }
        if let Some(folds) = self.folds {
            return self.cross_validate(folds, started);
        }
        if let Some(members) = self.ensemble {
            return self.train_ensemble(members as usize, started);
        }
        // Before anything else, so that an interrupt while the data is read also ends in a saved checkpoint.
        let mut console = Console::new(self.json);
        let experiment = self.read(&self.overrides())?;
        if self.max_steps == Some(0) {
            return Err(Failure::input(NO_STEPS));
        }
        let data = trainer::load_data(&experiment, &PathBuf::new())?;
        if !self.quiet {
            // On standard error: standard output is for results.
            tell(super::inspect::text(&data.understood).trim_end());
        }
        let exact = experiment.train.exact;
        let mut installed = Installed { choice: self.device, exact };
        let mut recovery = Recovery::new(self.open(exact)?, &mut installed);
        let out = self.out_of(&experiment);
        let options = Options { started: Some(started), ..self.options(out) };
        let outcome =
            recovery.train(&experiment, &data, &options, &mut console).map_err(|e| how_to_go_on(e, ""))?;
        if !self.json {
            self.show_end(&outcome)?;
            let evaluation =
                recovery.run(&mut console, |device, _| evaluate_loaded(&options.out, &data, None, device))?;
            super::evaluate::show(&evaluation)?;
        }
        console.all_was_printed()
    }
}

impl Train {
    /// What flags change in the experiment.
    fn overrides(&self) -> Vec<String> {
        let mut overrides = self.set.clone();
        overrides.extend(self.epochs.map(|n| format!("train.epochs={n}")));
        overrides.extend(self.exact.then(|| "train.exact=true".to_string()));
        overrides.extend(self.seed.map(|n| format!("seed={n}")));
        overrides
    }

    /// The run directory.
    fn out_of(&self, experiment: &Experiment) -> PathBuf {
        self.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&experiment.name))
    }

    fn options(&self, out: PathBuf) -> Options {
        Options {
            out,
            max_steps: self.max_steps,
            resume: self.resume,
            init: self.init.clone(),
            init_map: self.init_map.clone(),
            init_partial: self.init_partial,
            log_every: self.log_every,
            anomaly: self.anomaly,
            ..Options::default()
        }
    }

    /// Prints how the training ended.
    fn show_end(&self, outcome: &Outcome) -> Result<(), Failure> {
        let Event::End { run, best_epoch, best, seconds, steps_per_second, .. } = &outcome.end else {
            return Ok(());
        };
        let metrics: Vec<String> = best.0.iter().map(|(name, x)| format!("{name} {}", shown(*x))).collect();
        print(&format!(
            "best epoch {best_epoch}: validation {}\n\
             trained {seconds:.1} s at {steps_per_second:.0} steps/s; results in {run}",
            metrics.join("  ")
        ))
    }

    /// The device, which measures kernels unless told not to.
    fn open(&self, exact: bool) -> Result<Box<dyn Device>, Failure> {
        let mut device = open_device(self.device, exact)?;
        device.set_tuning(match device.target().family {
            _ if self.no_tune => Tuning::Off,
            // Software drivers take longer to compile a layout than it is likely to save.
            Family::Registers => Tuning::Known,
            _ => Tuning::Measure(TUNING),
        });
        Ok(device)
    }

    /// The experiment, with paths from anywhere.
    fn read(&self, overrides: &[String]) -> Result<Experiment, Failure> {
        let mut experiment = starter::read(&self.experiment, self.target.as_deref(), overrides)?;
        let of_data = self.target.is_some() || self.experiment.is_dir();
        let directory = if of_data { PathBuf::new() } else { Experiment::directory(&self.experiment) };
        experiment.make_paths_absolute(&directory);
        if self.resume && experiment.data.memory.rows == RowsIn::Auto {
            // Rows on disk have an order of their own, in which the run goes on even if there is room by now.
            let begun = RunDirectory::open(&self.out_of(&experiment)).and_then(|run| run.experiment());
            if begun.is_ok_and(|begun| begun.data.memory.rows == RowsIn::Disk) {
                experiment.data.memory.rows = RowsIn::Disk;
            }
        }
        Ok(experiment)
    }
}

/// Adds to the error of an interrupted training the command that resumes it, after that of its launcher.
pub fn how_to_go_on(error: TrainError, launcher: &str) -> Failure {
    let TrainError::Interrupted { step, .. } = error else { return error.into() };
    let command = command_to_go_on(launcher);
    let text = format!("interrupted at step {step}; a checkpoint was saved, go on with:\n  {command}");
    Failure { code: exit_code(error.kind()), error: anyhow::anyhow!(text) }
}

/// The command that was given, with `--resume`, after that of its launcher.
pub fn command_to_go_on(launcher: &str) -> String {
    let mut command = format!("{launcher}gridlight");
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
    command
}
