//! Rows of a table, and the kinds of prediction for any row: a number, one of two classes, one of several.

mod binary;
mod check;
mod classes;
mod nodes;
mod regression;
mod targets;
mod worst;

pub(super) use check::check;
pub use targets::TargetError;

use super::{Details, Shown, Table, Task, Trained};
use crate::data::{self, Dataset, Fitted};
use crate::report::section;
use crate::train::TrainError;
use crate::train::metrics::{Metric, Predictions, regression};
use crate::train::quantiles::Interval;
use crate::train::scores;

/// The prediction made for a row.
pub(super) trait Head {
    /// Name of the target.
    fn name(&self) -> &str;

    /// A description of its encoding, for display.
    fn treatment(&self) -> [String; 2];

    /// The metrics of predictions.
    fn metrics(&self, predictions: &Predictions) -> Vec<Metric>;

    /// Names of the classes; empty for numbers.
    fn classes(&self) -> &[String];

    /// How well intervals between predicted quantiles hold, where there are any.
    fn intervals(&self, _predictions: &Predictions) -> Vec<Interval> {
        vec![]
    }

    /// The probability above which the second of two classes is predicted, where it is not one half.
    fn threshold(&self) -> Option<f64> {
        None
    }

    /// Figures of predictions against the truth, as HTML.
    fn pictures(&self, predictions: &Predictions) -> String;

    /// Titles of the columns of a table of predictions.
    fn titles(&self, predictions: &Predictions) -> Vec<String>;

    /// The cells of the table, row by row.
    fn cells(&self, predictions: &Predictions) -> Vec<Vec<String>>;
}

/// The head for a target.
pub(super) fn head(fitted: &Fitted) -> Box<dyn Head + '_> {
    let (target, threshold) = (&fitted.target, fitted.threshold);
    let name = target.name().unwrap_or_default();
    match target.classes() {
        [] => Box::new(regression::Regression { target, name: target.columns().join(", ") }),
        [negative, positive] if target.outputs() == 1 => {
            Box::new(binary::Binary { name, names: target.classes(), negative, positive, threshold })
        }
        names => Box::new(classes::Classes { name, names, threshold }),
    }
}

impl dyn Head + '_ {
    /// Further results for classes, besides their metrics.
    pub(super) fn details(&self, predictions: &Predictions) -> Details {
        let names = self.classes();
        let threshold = self.threshold();
        let confusion =
            (!names.is_empty()).then(|| (predictions.confusion(names.len(), threshold), names.to_vec()));
        let scores = match names.is_empty() {
            true => vec![],
            false => scores::of_classes(predictions, names.len(), threshold),
        };
        let per_class = predictions.class_scores(names.len(), threshold);
        Details { confusion, scores, per_class, intervals: self.intervals(predictions), ..Details::default() }
    }

    /// The section of the report with predictions against the truth.
    pub(super) fn section(&self, shown: &Shown) -> String {
        let html = self.pictures(shown.predictions);
        let title = format!("Predictions on the {} rows", shown.part);
        section(&title, &format!("<div class=\"pictures\">\n{html}</div>\n"))
    }

    /// The table of predictions for rows; each line starts with the cells that `place` returns for its row,
    /// under `titles`.
    pub(super) fn table(
        &self,
        rows: &Dataset,
        predictions: &Predictions,
        titles: Vec<String>,
        place: impl Fn(usize) -> Vec<String>,
    ) -> Table {
        // A class is told by its name, before the probabilities.
        let texts = titles.len() + usize::from(!self.classes().is_empty());
        let cells = self.cells(predictions).into_iter().enumerate();
        let lines = cells.map(|(at, cells)| place(at).into_iter().chain(cells).collect()).collect();
        let titles: Vec<String> = titles.into_iter().chain(self.titles(predictions)).collect();
        let texts = (0..titles.len()).map(|at| at < texts).collect();
        Table { titles, texts, lines, rows: rows.rows, note: told(rows), pictures: vec![] }
    }
}

/// What is to be known of rows: names that training did not have, and missing values.
fn told(rows: &Dataset) -> Option<String> {
    let of = |u: &data::Unseen| {
        let cells =
            if u.cells == 1 { "1 cell holds a name" } else { &format!("{} cells hold names", u.cells) };
        format!("`{}`: {cells} that training did not have, such as \"{}\"", u.column, u.example)
    };
    let notes: Vec<String> = rows.unseen.iter().map(of).chain(filled(&rows.filled)).collect();
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// How many missing values were filled, and in which columns.
fn filled(columns: &[data::Filled]) -> Option<String> {
    const SHOWN: usize = 8;
    let all: usize = columns.iter().map(|column| column.cells).sum();
    let names = columns.iter().take(SHOWN).map(|column| format!("`{}` {}", column.column, column.cells));
    let more = columns.len().checked_sub(SHOWN).filter(|more| *more > 0);
    let more = more.map(|more| format!("{more} more columns"));
    let list = names.chain(more).collect::<Vec<_>>().join(", ");
    let cells = if all == 1 { "cell was" } else { "cells were" };
    (all > 0).then(|| format!("{all} missing {cells} filled as in training ({list})"))
}

/// The lines of a CSV file.
///
/// # Errors
/// If the lines differ in length.
pub(super) fn csv<'l>(lines: impl IntoIterator<Item = &'l Vec<String>>) -> Result<Vec<u8>, TrainError> {
    let fail = |reason: String| TrainError::Input(format!("the table cannot be written: {reason}"));
    let mut writer = csv::Writer::from_writer(vec![]);
    for line in lines {
        writer.write_record(line).map_err(|e| fail(e.to_string()))?;
    }
    writer.into_inner().map_err(|e| fail(e.to_string()))
}

/// Rows of a table.
pub(super) struct Rows<'a> {
    pub head: Box<dyn Head + 'a>,
    pub fitted: &'a Fitted,
}

impl Rows<'_> {
    /// Errors of each of several targets.
    fn by_target(&self, predictions: &Predictions) -> Vec<TargetError> {
        targets::errors(&self.fitted.target, &self.fitted.constants, predictions)
    }

    /// Errors of a constant: of the training rows' mean, or of their most frequent class.
    fn baselines(&self, predictions: &Predictions) -> Vec<(&'static str, f64)> {
        if !self.fitted.constants.is_empty() {
            return targets::baselines(&self.by_target(predictions));
        }
        let Some(constant) = self.fitted.constant else { return vec![] };
        let weights = predictions.weighted();
        if !self.head.classes().is_empty() {
            let right = predictions.truth.iter().map(|&label| f64::from(u8::from(label == constant)));
            return vec![("baseline_accuracy", weights.mean(right))];
        }
        let truth = predictions.true_values(&self.fitted.target);
        let [mae, rmse, ..] = &regression(&vec![constant; truth.len()], &truth, weights)[..] else {
            return vec![];
        };
        vec![("baseline_mae", mae.value), ("baseline_rmse", rmse.value)]
    }
}

impl Task for Rows<'_> {
    fn subject(&self) -> String {
        format!("predicts {}", self.head.name())
    }

    fn unit(&self, _rows: &Dataset) -> String {
        let unit = match (&self.fitted.graph, &self.fitted.graphs) {
            (Some(_), _) => "nodes",
            (_, Some(_)) => "graphs",
            (None, None) => "rows",
        };
        unit.into()
    }

    fn treatment(&self) -> Option<[String; 2]> {
        Some(self.head.treatment())
    }

    fn metrics(&self, predictions: &Predictions) -> Vec<Metric> {
        self.head.metrics(predictions)
    }

    fn details(&self, _rows: &Dataset, predictions: &Predictions) -> Details {
        let by_target = self.by_target(predictions);
        Details { baselines: self.baselines(predictions), by_target, ..self.head.details(predictions) }
    }

    fn table(&self, rows: &Dataset, predictions: &Predictions) -> Table {
        // Nodes and graphs are told by their names.
        let of_nodes = self.fitted.graph.iter().filter_map(|graph| graph.id.clone());
        let of_graphs = self.fitted.graphs.iter().filter_map(|graphs| graphs.config.id.clone());
        let titles: Vec<String> = of_nodes.chain(of_graphs).collect();
        let named = !titles.is_empty();
        let name = |at: usize| rows.row_names.get(at).filter(|_| named).cloned().into_iter().collect();
        self.head.table(rows, predictions, titles, name)
    }

    fn sections(&self, trained: &Trained, shown: &Shown) -> Result<String, TrainError> {
        let graph = nodes::section_of(self.fitted, &*self.head, trained, shown)?;
        let worst = worst::rows(self.fitted, &*self.head, shown);
        let worst = if worst.is_empty() { worst } else { section("Worst rows", &worst) };
        let by_target = targets::table(&self.by_target(shown.predictions));
        let by_target = if by_target.is_empty() { by_target } else { section("Targets", &by_target) };
        Ok(by_target + &self.head.section(shown) + &graph + &worst)
    }
}
