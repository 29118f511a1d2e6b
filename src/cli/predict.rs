//! `gridlight predict`

use std::path::PathBuf;

use clap::Args;
use gridlight::device::DeviceChoice;
use gridlight::run::evaluate;
use gridlight::tasks::Input;

use super::{Failure, is_exact, open_device};

/// Predict the rows of a table, or images, in the target's own units.
#[derive(Args)]
#[command(
    after_help = "Example:\n  gridlight predict runs/traffic --input next-week.csv --output forecast.csv"
)]
pub struct Predict {
    /// Run directory.
    run: PathBuf,
    /// The same kind of data the model was trained on, without a target: a CSV or Parquet file with the same
    /// columns; for images an IDX, NPY or NPZ file, a folder of pictures, or a single picture.
    #[arg(long)]
    input: PathBuf,
    /// Rows to come of a series: a file with their times, their series and the columns of `known_future`.
    /// They follow the rows of the input.
    #[arg(long)]
    future: Option<PathBuf>,
    /// CSV file to write: one row per input row.
    #[arg(long)]
    output: PathBuf,
    /// auto, cpu, gpu or gpu:N (see `gridlight devices`).
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
}

impl Predict {
    pub fn run(self) -> Result<(), Failure> {
        let device = open_device(self.device, is_exact(&self.run)?)?;
        let input = Input { file: &self.input, future: self.future.as_deref() };
        let table = evaluate::forecast(&self.run, input, &self.output, &*device)?;
        eprintln!("{} predictions written to {}", table.rows, self.output.display());
        if let Some(note) = table.note {
            eprintln!("note: {note}");
        }
        Ok(())
    }
}
