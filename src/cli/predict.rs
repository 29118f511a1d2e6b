//! `gridlight predict`

use std::path::PathBuf;

use clap::Args;
use gridlight::device::DeviceChoice;
use gridlight::run::evaluate;
use gridlight::tasks;
use gridlight::train::output::refuse_same;

use super::input::Input;
use super::output::{is_standard_output, save};
use super::{Failure, is_exact, open_device, stream, tell};

/// Predict the rows of a table, or images, in the target's own units.
#[derive(Args)]
#[command(
    after_help = "Example:\n  gridlight predict runs/traffic --input next-week.csv --output forecast.csv\n  \
                  gridlight predict runs/houses --input new.csv --output prices.csv --keep id,street\n  \
                  tail -f -n +1 new.csv | gridlight predict runs/houses --input - --output - --stream"
)]
pub struct Predict {
    /// Run directory.
    run: PathBuf,
    /// The same kind of data the model was trained on, without a target: a CSV or Parquet file with the same
    /// columns; for images an IDX, NPY or NPZ file, a folder of pictures, or a single picture. `-` reads a
    /// table from standard input.
    #[arg(long)]
    input: PathBuf,
    /// Rows to come of a series: a file with their times, their series and the columns of `known_future`.
    /// They follow the rows of the input.
    #[arg(long)]
    future: Option<PathBuf>,
    /// CSV file to write: one row per input row. `-` writes to standard output.
    #[arg(long)]
    output: PathBuf,
    /// Columns of the input to write before the predictions, separated by commas, as they are written there;
    /// all of them without names.
    #[arg(long, value_name = "COLUMNS", num_args = 0..=1)]
    keep: Option<Option<String>>,
    /// Predict each row as it comes, from standard input (CSV with a header, or a JSON object a line) to standard
    /// output.
    #[arg(long, conflicts_with_all = ["future", "keep"])]
    stream: bool,
    /// auto, cpu, gpu or gpu:N (see `gridlight devices`).
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
}

impl Predict {
    pub fn run(self) -> Result<(), Failure> {
        if self.stream {
            if self.input.as_os_str() != "-" || !is_standard_output(&self.output) {
                return Err(Failure::input(
                    "--stream reads standard input and writes standard output; add --input - --output -",
                ));
            }
            return stream::run(&self.run, self.device);
        }
        if !is_standard_output(&self.output) {
            refuse_same(&self.input, &self.output)?;
            if let Some(future) = &self.future {
                refuse_same(future, &self.output)?;
            }
        }
        let exact = is_exact(&self.run)?;
        let input = Input::open(&self.input)?;
        let device = open_device(self.device, exact)?;
        let given = tasks::Input { file: input.path(), future: self.future.as_deref() };
        let predicted = match &self.keep {
            Some(keep) => evaluate::predictions_beside(&self.run, given, keep.as_deref(), &*device),
            None => evaluate::predictions(&self.run, given, &*device),
        };
        let table = predicted.map_err(|e| input.blame(e))?;
        save(&format!("{} predictions", table.rows), &self.output, &table.csv()?)?;
        if let Some(note) = table.note {
            tell(format_args!("note: {note}"));
        }
        Ok(())
    }
}
