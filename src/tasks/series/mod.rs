//! Series: predicts the rows that follow a window.

mod errors;
mod report;
mod stretches;

use super::table::Head;
use super::{Details, Shown, Table, Task, Trained};
use crate::data::config::ScaleBy;
use crate::data::{Dataset, FittedTarget, FittedWindow};
use crate::train::TrainError;
use crate::train::metrics::{Metric, Predictions};
pub use errors::{HorizonError, SeriesError};

/// Windows of series.
pub(super) struct Forecast<'a> {
    pub window: &'a FittedWindow,
    pub head: Box<dyn Head + 'a>,
    pub target: &'a FittedTarget,
}

impl Task for Forecast<'_> {
    fn subject(&self) -> String {
        format!("predicts {}", self.head.name())
    }

    fn unit(&self, _rows: &Dataset) -> String {
        format!("windows of {} rows", self.window.config.length)
    }

    fn treatment(&self) -> Option<[String; 2]> {
        let [names, treatment] = self.head.treatment();
        Some(match self.window.config.scale_by {
            ScaleBy::Group => [names, "target: scaled in each series by itself".into()],
            ScaleBy::All => [names, treatment],
        })
    }

    fn metrics(&self, predictions: &Predictions) -> Vec<Metric> {
        let mut metrics = self.head.metrics(predictions);
        if self.head.classes().is_empty() {
            metrics.extend(errors::scale_free(predictions, self.target));
        }
        metrics
    }

    fn details(&self, rows: &Dataset, predictions: &Predictions) -> Details {
        Details {
            baselines: errors::baselines(rows),
            by_horizon: errors::by_horizon(predictions, self.target, rows),
            by_series: errors::by_series(predictions, self.target, rows),
            ..self.head.details(predictions)
        }
    }

    fn table(&self, rows: &Dataset, predictions: &Predictions) -> Table {
        let titles = place_titles(self.window);
        let table = self.head.table(rows, predictions, titles, |at| place(self.window, rows, at));
        let note = rows.windows.as_ref().and_then(|w| w.note.clone());
        Table { note: note.or(table.note.clone()), ..table }
    }

    fn sections(&self, _trained: &Trained, shown: &Shown) -> Result<String, TrainError> {
        Ok(self.head.section(shown) + &report::section(shown, self.target))
    }
}

/// Titles of the columns that identify each window.
fn place_titles(window: &FittedWindow) -> Vec<String> {
    let config = &window.config;
    let time = config.time.clone().unwrap_or_else(|| "row".into());
    let mut titles: Vec<String> = config.group.clone().into_iter().collect();
    titles.push(format!("last {time}"));
    titles.extend(config.time.clone());
    titles
}

/// The cells under [`place_titles`] for sample `at`.
fn place(window: &FittedWindow, rows: &Dataset, at: usize) -> Vec<String> {
    let Some(place) = rows.windows.as_ref().and_then(|w| w.places.get(at)) else { return vec![] };
    let mut cells: Vec<String> = window.config.group.iter().map(|_| place.group.clone()).collect();
    cells.push(place.last.clone());
    cells.extend(window.config.time.iter().map(|_| place.predicted.clone()));
    cells
}
