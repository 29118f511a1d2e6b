//! `gridlight predict`

use std::path::{Path, PathBuf};

use clap::Args;
use gridlight::device::DeviceChoice;
use gridlight::run::evaluate::{self, Extras};
use gridlight::run::pictures;
use gridlight::tasks;
use gridlight::train::output::refuse_same;

use super::input::Input;
use super::output::{is_standard_output, save};
use super::{Failure, experiment_of, is_exact, open_device, stream, tell};

/// Predict the rows of a table, or images, in the target's own units.
#[derive(Args)]
#[command(
    after_help = "Example:\n  gridlight predict runs/traffic --input next-week.csv --output forecast.csv\n  \
                  gridlight predict runs/houses --input new.csv --output prices.csv --keep id,street\n  \
                  gridlight predict runs/houses --input new.csv --output prices.csv --coverage 0.9\n  \
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
    /// Add the interval of each predicted number (`NAME_low`, `NAME_high`), or the set of classes (`set`), that holds
    /// the true one with this probability, such as 0.9 [default: `uncertainty.coverage` of the experiment].
    #[arg(long, value_name = "PART")]
    coverage: Option<f64>,
    /// Predict as often with other units dropped each time (Monte Carlo dropout): the mean, and how much the
    /// predictions differ (`NAME_deviation`; of classes `mutual_information`). For models with dropout.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    dropout_samples: Option<u32>,
    /// Add how unlike the training rows each row is, from 0 to 1: the part of the validation rows that are less so in
    /// the last hidden features, of an ensemble those of its first member (`novelty`). Needs the run's data.
    #[arg(long)]
    novelty: bool,
    /// Write what is predicted of each pixel as pictures too, PNG files in this folder called as those of the input: masks
    /// with the values of those for training, or images. For models of `data.image.target`.
    #[arg(long, value_name = "FOLDER", conflicts_with = "stream")]
    pictures: Option<PathBuf>,
    /// Predict each row as it comes, from standard input (CSV with a header, or a JSON object a line) to standard
    /// output.
    #[arg(long, conflicts_with_all = ["future", "keep", "dropout_samples", "novelty"])]
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
            return stream::run(&self.run, self.coverage, self.device);
        }
        if !is_standard_output(&self.output) {
            refuse_same(&self.input, &self.output)?;
            if let Some(future) = &self.future {
                refuse_same(future, &self.output)?;
            }
            // Of rows that are graphs, these are read from files beside them.
            let graph = experiment_of(&self.run)?.data.graph.filter(|graph| graph.nodes.is_some());
            let beside = graph.map(|graph| [graph.nodes, graph.edges]).unwrap_or_default();
            for file in beside.iter().flatten().filter_map(|path| Path::new(path).file_name()) {
                refuse_same(&self.input.with_file_name(file), &self.output)?;
            }
        }
        let exact = is_exact(&self.run)?;
        let input = Input::open(&self.input)?;
        let device = open_device(self.device, exact)?;
        let given = tasks::Input { file: input.path(), future: self.future.as_deref() };
        let extras = Extras {
            keep: self.keep.as_ref().map(Option::as_deref),
            coverage: self.coverage,
            dropout_samples: self.dropout_samples.unwrap_or(0),
            novelty: self.novelty,
        };
        let predicted = evaluate::predictions_with(&self.run, given, &extras, &*device);
        let table = predicted.map_err(|e| input.blame(e))?;
        if let Some(folder) = &self.pictures {
            let note = pictures::save(&table.pictures, &self.run, &self.input, folder)?;
            tell(format_args!("{} pictures written to {}", table.pictures.len(), folder.display()));
            if let Some(note) = note {
                tell(format_args!("note: {note}"));
            }
        }
        save(&format!("{} predictions", table.rows), &self.output, &table.csv()?)?;
        if let Some(note) = table.note {
            tell(format_args!("note: {note}"));
        }
        Ok(())
    }
}
