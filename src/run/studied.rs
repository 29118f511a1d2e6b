//! The rows of a run that are explained or attacked, and the training rows that they are compared with.

use std::path::Path;

use super::evaluate::part;
use super::opened::Opened;
use super::room;
use crate::data::{self, DataError, Dataset};
use crate::device::Device;
use crate::explain::attack::Room;
use crate::explain::points::sample;
use crate::explain::{Network, Points, Space};
use crate::nn::Model;
use crate::tasks;
use crate::train::TrainError;

/// Which rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'a> {
    /// Rows of this file.
    pub input: Option<&'a Path>,
    /// Rows of this split; by default test, else validation.
    pub split: Option<&'a str>,
    /// The first and the last of them, counted from 1.
    pub rows: Option<(usize, usize)>,
}

/// Training rows that ranges, means and backgrounds are taken from, at most.
const MOST_TRAINING: usize = 10_000;
/// Numbers that rows have in all at most, in one method.
const MOST_NUMBERS: usize = 1 << 26;

/// Floating-point operations that a method may take, unless rows are selected by number: some seconds of a
/// processor.
const WORK: u64 = 200_000_000_000;

/// Rows to study.
pub(super) struct Studied {
    pub rows: Dataset,
    pub split: String,
    pub model: Box<dyn Model>,
    pub space: Space,
    /// A sample of the training rows.
    pub training: Points,
    /// How far each number of a point may be moved.
    pub room: Room,
    /// Positions of the selected rows.
    selected: Vec<usize>,
    /// Whether rows were selected by number.
    pub by_number: bool,
    pub notes: Vec<String>,
}

impl Studied {
    /// Reads the selected rows and a sample of the training rows.
    ///
    /// # Errors
    /// If the model predicts no target, the rows cannot be read, or there are no such rows.
    pub fn new(opened: &Opened, selection: Selection, seed: u64) -> Result<Self, TrainError> {
        let (settings, fitted) = (opened.experiment.settings(), &opened.fitted);
        if settings.model.variational().is_some() {
            return Err(opened.refuse(
                "its model is an autoencoder, which reconstructs rows and predicts no target that columns \
                 could be held responsible for; `report.html` shows the features behind its most anomalous \
                 rows",
            ));
        }
        if settings.model.adversarial().is_some() {
            return Err(opened.refuse(
                "its model draws rows like those of the data and predicts no target that columns could be held \
                 responsible for; `evaluate` says how alike they are",
            ));
        }
        if fitted.graphs.is_some() {
            return Err(opened.refuse(
                "its rows are graphs, which it reads node by node, not as columns of rows; this is for tables, series and \
                 pictures",
            ));
        }
        if fitted.documents.is_some() {
            return Err(opened.refuse(
                "its model reads the texts of rows, whose symbols are no columns; this is for tables, series and pictures",
            ));
        }
        if fitted.target.text().is_some() {
            return Err(opened.refuse(
                "its model writes text, and reads characters that are no columns; this is for tables, \
                 series and pictures",
            ));
        }
        if fitted.target.pixels().is_some() {
            return Err(opened.refuse(
                "its model predicts something of each pixel, not one thing that pixels could be held responsible for; \
                 `report.html` shows its images",
            ));
        }
        if opened.experiment.is_of_nodes() {
            return Err(opened.refuse(
                "its rows are nodes of a graph, whose predictions depend on their neighbours too, so that the columns of \
                 a row alone explain or change none of them; `report.html` shows the graph",
            ));
        }
        let own = data::load(&opened.experiment.data, Path::new(""), opened.experiment.goal());
        if let Ok(loaded) = &own {
            opened.check_alike(loaded)?;
        }
        let mut notes = vec![];
        let (mut rows, split, training) = match (selection.input, own) {
            (Some(file), own) => {
                let rows = load(opened, file)?;
                let training = match own {
                    Ok(loaded) => loaded.train,
                    Err(error) => {
                        notes.push(format!(
                            "the run's own data cannot be read ({error}): rows of the input stand for the \
                             training rows"
                        ));
                        rows.clone()
                    }
                };
                (rows, file.display().to_string(), training)
            }
            (None, own) => {
                let loaded = own?;
                let training = loaded.train.clone();
                let (rows, split) = part(&loaded, selection.split)?;
                (rows, split, training)
            }
        };
        opened.task().admit(&mut rows);
        let model = tasks::model(settings, fitted, &rows);
        let space = Space::of(fitted, &rows, &opened.weights)?;
        let most = MOST_TRAINING.min(MOST_NUMBERS / space.width().max(1)).max(1);
        let room = room::of(fitted, &training).widened(space.width());
        let training = Points::of(&space, &training, &sample(training.rows, most, seed));
        let count = rows.rows;
        let selected: Vec<usize> = match selection.rows {
            None => (0..count).collect(),
            Some((first, last)) if (1..=last).contains(&first) && last <= count => {
                (first - 1..last).collect()
            }
            Some((first, last)) => {
                let problem = format!(
                    "{first}..{last} is no range of the {count} rows of {split}; the first row is 1, and \
                     the last one of the range is included"
                );
                return Err(TrainError::Setting { run: None, name: "rows", problem });
            }
        };
        if selected.is_empty() {
            return Err(TrainError::Input(format!("{split} has no rows")));
        }
        let by_number = selection.rows.is_some();
        Ok(Self { rows, split, model, space, training, room, selected, by_number, notes })
    }

    /// The selected rows, at most `most` of them; with a note if there are more.
    pub fn points(&mut self, what: &str, most: usize, seed: u64) -> Points {
        let most = most.min(MOST_NUMBERS / self.space.width().max(1)).max(1);
        let rows = self.positions(what, most, seed);
        Points::of(&self.space, &self.rows, &rows)
    }

    /// Positions of the selected rows, at most `most`; with a note if there are more.
    pub fn positions(&mut self, what: &str, most: usize, seed: u64) -> Vec<usize> {
        let count = self.selected.len();
        if count > most {
            self.notes.push(format!("{what}: a sample of {most} of the {count} rows"));
        }
        sample(count, most, seed).into_iter().map(|at| self.selected[at]).collect()
    }

    /// Predictions that a method may take; a gradient counts as three.
    ///
    /// # Errors
    /// If the model does not fit the device.
    pub fn predictions(&self, opened: &Opened, device: &dyn Device) -> Result<usize, TrainError> {
        let (model, weights, space) = (&*self.model, &opened.weights[..], &self.space);
        Ok((WORK / Network { model, weights, device, space }.work()?) as usize)
    }

    /// As [`Studied::points`], but fewer, down to `least`, if `each` predictions for every row are more than
    /// a method may take. Rows selected by number are never left out so.
    ///
    /// # Errors
    /// If the model does not fit the device.
    pub fn affordable(
        &mut self,
        what: &str,
        [least, most]: [usize; 2],
        each: usize,
        (opened, device): (&Opened, &dyn Device),
        seed: u64,
    ) -> Result<Points, TrainError> {
        let predictions = self.predictions(opened, device)?;
        let rows = if self.by_number { most } else { (predictions / each.max(1)).clamp(least, most) };
        Ok(self.points(what, rows, seed))
    }

    /// Number of selected rows.
    pub fn count(&self) -> usize {
        self.selected.len()
    }

    /// Whether the rows have a target.
    pub fn has_target(&self) -> bool {
        self.rows.target.is_some()
    }
}

/// The rows of a file; with the target, if it is there.
fn load(opened: &Opened, file: &Path) -> Result<Dataset, TrainError> {
    let target = opened.fitted.target.name();
    match data::load_with(&opened.fitted, file, true) {
        Err(DataError::MissingColumn { column, .. }) if Some(column.as_str()) == target => {
            Ok(data::load_with(&opened.fitted, file, false)?)
        }
        Ok(rows) => Ok(rows),
        // What is wrong with the target does not matter to explanations of predictions.
        Err(error) => data::load_with(&opened.fitted, file, false).map_err(|_| error.into()),
    }
}
