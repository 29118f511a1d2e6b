//! `gridlight plan`

use std::path::PathBuf;

use clap::Args;
use gridlight::device::DeviceChoice;
use gridlight::experiment::Experiment;
use gridlight::train::engine::{self, Training};
use gridlight::train::trainer;

use super::{Failure, open_device, parse_device, print, print_json};

/// What a training step will do, before it runs.
#[derive(Args)]
#[command(
    after_help = "Example:\n  gridlight plan assets/experiments/traffic.toml --device gpu --dump shaders-as-compiled"
)]
pub struct Plan {
    /// Experiment file.
    experiment: PathBuf,
    /// auto, cpu, gpu or gpu:N (see `gridlight devices`).
    #[arg(long, default_value = "auto", value_parser = parse_device)]
    device: DeviceChoice,
    /// Any key of the experiment: table.key=value. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

impl Plan {
    pub fn run(self) -> Result<(), Failure> {
        let experiment = Experiment::read(&self.experiment, &self.set)?;
        let data = trainer::load_data(&experiment, &Experiment::directory(&self.experiment))?;
        let device = open_device(self.device)?;
        let model = trainer::model_of(&experiment, &data.fitted, &data.train);
        let training = Training {
            data: &data.train,
            batch: experiment.train.batch_size,
            noise: experiment.data.augment.noise,
            optimizer: experiment.train.optimizer.clone(),
            clip_norm: experiment.train.clip_norm,
        };
        let (compiled, _) = engine::compile(&model, Some(&training), &data.validation, device.target())?;
        let Some(report) = compiled.report(0, |_| [1, 1, 1]) else { return Ok(()) };
        if self.json {
            print_json(&report);
        } else {
            print(&report.table());
        }
        Ok(())
    }
}
