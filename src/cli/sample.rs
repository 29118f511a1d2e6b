//! `gridlight sample`

use std::path::PathBuf;

use clap::Args;
use gridlight::device::DeviceChoice;
use gridlight::train::sample;

use super::{Failure, is_exact, open_device, parse_device};

/// New rows or images drawn from a generative model (`family = "vae"`).
#[derive(Args)]
#[command(after_help = "Example:\n  gridlight sample runs/digits-vae --count 64 --output digits.png")]
pub struct Sample {
    /// Run directory.
    run: PathBuf,
    /// How many.
    #[arg(long, default_value_t = 64)]
    count: usize,
    /// File to write: .png (images, in a grid), .npy or .csv.
    #[arg(long)]
    output: PathBuf,
    /// Seed of the draw.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// auto, cpu, gpu or gpu:N (see `gridlight devices`).
    #[arg(long, default_value = "auto", value_parser = parse_device)]
    device: DeviceChoice,
}

impl Sample {
    pub fn run(self) -> Result<(), Failure> {
        let device = open_device(self.device, is_exact(&self.run)?)?;
        sample::sample(&self.run, self.count, self.seed, &self.output, &*device)?;
        eprintln!("{} samples written to {}", self.count, self.output.display());
        Ok(())
    }
}
