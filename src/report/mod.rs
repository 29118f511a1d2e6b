//! The report of a run: a self-contained HTML page with curves, metrics, figures of the predictions, the
//! model, the plan and the data. Light and dark themes follow the reader's system.

mod bars;
pub mod comparison;
pub mod ensemble;
pub mod explained;
pub mod grid;
pub mod growth;
mod heat;
pub(crate) mod network;
pub(crate) mod picture;
mod pictures;
pub mod robust;
pub mod study;
pub(crate) mod svg;
pub(crate) mod tables;
pub(crate) mod timeline;
pub(crate) mod times;
pub mod uncertain;
mod understood;

use crate::base::number::Numbers;
use crate::base::number::figure;
use crate::base::tensor::Shape;
use crate::data::Loaded;
use crate::device::DeviceInfo;
use crate::plan::PlanReport;
use crate::train::history::HistoryRow;
use crate::train::metrics::Metric;
use svg::escape;

/// The style sheet of reports.
pub const STYLE: &str = include_str!("style.css");

/// Evaluation results for the rows of a part.
pub struct Scores {
    /// `validation` or `test`.
    pub part: &'static str,
    /// Mean loss.
    pub loss: f64,
    /// Metrics.
    pub metrics: Vec<Metric>,
    /// Errors of the baselines, by name.
    pub baselines: Vec<(&'static str, f64)>,
}

impl Scores {
    /// All values, by name.
    pub fn all(&self) -> Vec<(&'static str, f64)> {
        let metrics = self.metrics.iter().map(|m| (m.name, m.value));
        std::iter::once(("loss", self.loss)).chain(metrics).chain(self.baselines.iter().copied()).collect()
    }
}

/// The contents of a report.
pub struct Report<'a> {
    /// Name of the experiment.
    pub name: &'a str,
    /// Its seed.
    pub seed: u64,
    /// The whole experiment, as TOML.
    pub experiment: &'a str,
    /// What the model does: `predicts price`.
    pub subject: &'a str,
    /// The column of the target, and how it is encoded.
    pub target: Option<[String; 2]>,
    /// The source of the data, as in the experiment.
    pub source: &'a str,
    /// Its data.
    pub data: &'a Loaded,
    /// The device it was trained on.
    pub device: &'a DeviceInfo,
    /// All epochs.
    pub history: &'a [HistoryRow],
    /// The epoch whose weights were kept.
    pub best_epoch: u64,
    /// Validation loss and metrics of that epoch.
    pub best: &'a Numbers,
    /// Evaluation results for the validation rows with the weights of that epoch, and for the test rows if
    /// there are any.
    pub scores: &'a [Scores],
    /// The task's sections, as HTML.
    pub sections: &'a str,
    /// Layer, output shape without the batch, number of trained elements.
    pub layers: &'a [(String, Shape, usize)],
    /// The training step's plan.
    pub plan: &'a PlanReport,
    /// Training steps per second.
    pub steps_per_second: f64,
}

impl Report<'_> {
    /// The page.
    pub fn html(&self) -> String {
        let name = escape(self.name);
        let subject = escape(self.subject);
        let (device, backend) = (escape(&self.device.name), escape(&self.device.backend));
        let seed = self.seed;
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{name}</title>\n<style>\n{}</style>\n</head>\n<body>\n<h1>{name}</h1>\n\
             <p class=\"subtitle\">{subject} · seed {seed} · trained on {device} ({backend})</p>\n",
            STYLE
        );
        page += &self.tiles();
        page += &section("Metrics", &tables::metrics(self));
        page += &section("Training", &pictures::training(self));
        page += self.sections;
        page += &section("Data", &understood::data(self));
        page += &section("Model", &tables::model(self));
        page += &section("Plan of a training step", &tables::plan(self.plan));
        let resolved = escape(self.experiment);
        let experiment =
            format!("<details><summary>All keys, with defaults</summary><pre>{resolved}</pre></details>\n");
        page += &section("Experiment", &experiment);
        page + "</body>\n</html>\n"
    }

    fn tiles(&self) -> String {
        // For the test rows, if there are any.
        let of = |s: &Scores| -> Vec<(String, String)> {
            s.metrics.iter().map(|m| (figure(m.value), format!("{} {}", s.part, m.name))).collect()
        };
        let mut tiles = self.scores.last().map(of).unwrap_or_default();
        tiles.push((format!("{} of {}", self.best_epoch, self.history.len()), "best epoch".into()));
        tiles.push((self.plan.parameters.to_string(), "parameters".into()));
        tiles.push((format!("{:.0}", self.steps_per_second), "steps per second".into()));
        let tile = |(value, label): &(String, String)| {
            format!("<div class=\"tile\"><b>{}</b><span>{}</span></div>\n", escape(value), escape(label))
        };
        format!("<div class=\"tiles\">\n{}</div>\n", tiles.iter().map(tile).collect::<String>())
    }
}

/// The head of a self-contained page, up to its title and what stands below it.
fn head(title: &str, subtitle: &str) -> String {
    let (title, subtitle) = (escape(title), escape(subtitle));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         <p class=\"subtitle\">{subtitle}</p>\n",
        STYLE
    )
}

/// A section of the page.
pub(crate) fn section(title: &str, body: &str) -> String {
    format!("<h2>{}</h2>\n{body}", escape(title))
}
