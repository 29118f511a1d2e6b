//! A run that answers requests: rows in memory become predictions, those of several requests together.

mod body;
mod description;

use std::path::Path;

use super::manifest::is_ensemble;
use super::opened::{Opened, open};
use super::sure;
use crate::data::Dataset;
use crate::device::Device;
use crate::tasks::{self, Table};
use crate::train::TrainError;
use crate::train::engine::Engine;
use crate::train::metrics::Predictions;
pub use body::{Body, Refused};
pub use description::{Description, InputColumn, Kind, Reads};

/// A run opened for requests; threads may share it.
pub struct Service {
    opened: Opened,
}

impl Service {
    /// Opens a run; predictions have intervals or sets of this coverage, or that of the experiment.
    ///
    /// # Errors
    /// If it cannot be read, or its model predicts no rows.
    pub fn open(run: &Path, coverage: Option<f64>, device: &dyn Device) -> Result<Self, TrainError> {
        if is_ensemble(run) {
            let reason = "is an ensemble, whose members are runs; serve one of them, such as `members/0`";
            return Err(TrainError::unusable(run, reason));
        }
        let mut opened = open(run)?;
        if opened.experiment.model.adversarial().is_some() {
            return Err(
                opened.refuse("its model draws rows and predicts nothing; draw with `gridlight sample`")
            );
        }
        if opened.fitted.graphs.is_some() {
            return Err(opened.refuse(
                "its rows are graphs, whose nodes and edges are in tables of their own, and requests are rows of one table \
                 or pictures; predict for files with `gridlight predict`",
            ));
        }
        if opened.fitted.symbols().is_some() {
            return Err(opened.refuse(
                "its model reads texts, and requests are rows of a table or pictures; write with `gridlight \
                 sample`, predict for a file with `gridlight predict`",
            ));
        }
        sure::cover(&mut opened, coverage, device)?;
        Ok(Self { opened })
    }

    /// Reads the rows of a request as `predict` reads those of a file.
    ///
    /// # Errors
    /// Where something is wrong with them, what was found, and what is allowed.
    pub fn read(&self, body: Body) -> Result<Dataset, Refused> {
        let task = self.opened.task();
        let mut rows = body::read(&self.opened.fitted, body, task.reads_target())?;
        task.admit(&mut rows);
        Ok(rows)
    }

    /// The table that `predict` writes.
    pub fn table(&self, rows: &Dataset, predictions: &Predictions) -> Table {
        let Opened { fitted, wanted, .. } = &self.opened;
        let mut table = self.opened.task().table(rows, predictions);
        tasks::add_coverage(&mut table, &fitted.target, wanted, rows, predictions);
        table
    }

    /// Whether the answers to a request depend on its rows alone only if it has the device for itself: the model
    /// draws random numbers row by row.
    pub fn draws(&self) -> bool {
        self.opened.task().draws().is_some()
    }

    /// What the run reads, and that it predicts columns of these titles.
    pub fn description(&self, titles: Vec<String>) -> Description {
        description::describe(&self.opened, titles)
    }

    /// Loads the model on a device, for `places` rows at a time.
    ///
    /// # Errors
    /// If the weights do not match the model, or it does not fit on the device.
    pub fn answering(&self, device: &dyn Device, places: usize) -> Result<Answering<'_>, TrainError> {
        let trained = self.opened.trained(device);
        let rows = Dataset::blank(&self.opened.fitted, places);
        let model = tasks::model(trained.settings, trained.fitted, &rows);
        let engine = trained.engine(&*model, &rows)?;
        Ok(Answering { service: self, engine, rows, places })
    }
}

/// A model on a device that answers requests. One program was compiled; nothing is allocated on the device later.
pub struct Answering<'s> {
    service: &'s Service,
    engine: Engine,
    /// The rows that the device holds.
    rows: Dataset,
    places: usize,
}

impl Answering<'_> {
    /// Predictions for the rows of each request. How rows are put together does not matter: each is predicted by
    /// itself.
    ///
    /// # Errors
    /// If the device fails.
    pub fn answer(&mut self, requests: &[&Dataset]) -> Result<Vec<Predictions>, TrainError> {
        let of = |rows: &&Dataset| Predictions {
            members: rows.windows.as_ref().map(|windows| windows.members.clone()),
            temperature: self.service.opened.fitted.temperature,
            ..Predictions::default()
        };
        let mut found: Vec<Predictions> = requests.iter().map(of).collect();
        let alone = self.service.draws();
        // The request of each row that waits in its place.
        let mut waiting = vec![];
        for (at, rows) in requests.iter().enumerate() {
            for row in 0..rows.rows {
                self.rows.put(waiting.len(), rows, row);
                waiting.push(at);
                if waiting.len() == self.places {
                    self.run(&mut waiting, &mut found)?;
                }
            }
            if alone {
                self.run(&mut waiting, &mut found)?;
            }
        }
        self.run(&mut waiting, &mut found)?;
        Ok(found)
    }

    /// Predicts the rows that wait.
    fn run(&mut self, waiting: &mut Vec<usize>, found: &mut [Predictions]) -> Result<(), TrainError> {
        if waiting.is_empty() {
            return Ok(());
        }
        self.engine.replace(&self.rows)?;
        let task = self.service.opened.task();
        let all = task.evaluate(&mut self.engine, task.draws().unwrap_or(1))?;
        for (place, request) in waiting.drain(..).enumerate() {
            let Some(own) = found.get_mut(request) else { continue };
            own.outputs = all.outputs;
            if own.raw.is_empty() {
                own.quantiles.clone_from(&all.quantiles);
                own.parts = all.parts.iter().map(|(name, _)| (*name, vec![])).collect();
            }
            own.raw.extend(&all.raw[place * all.outputs..(place + 1) * all.outputs]);
            own.losses.push(all.losses[place]);
            own.parts.iter_mut().zip(&all.parts).for_each(|(own, all)| own.1.push(all.1[place]));
        }
        Ok(())
    }

    /// Titles of the columns of predictions, from a first run of the program.
    ///
    /// # Errors
    /// If the device fails.
    pub fn titles(&mut self) -> Result<Vec<String>, TrainError> {
        let task = self.service.opened.task();
        let all = task.evaluate(&mut self.engine, 1)?;
        let none = Predictions { outputs: all.outputs, quantiles: all.quantiles, ..Predictions::default() };
        Ok(self.service.table(&Dataset::default(), &none).titles)
    }
}
