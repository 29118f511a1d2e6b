//! The report of a run: one HTML page that needs nothing else, with curves, metrics, pictures of the
//! predictions, the model, the plan and the data. Light and dark follow the reader's system.

mod autoencoder;
mod forecasts;
pub mod grid;
mod images;
mod pictures;
pub mod portrait;
mod svg;
mod tables;

use crate::base::number::Numbers;
use crate::base::tensor::Shape;
use crate::data::Loaded;
use crate::device::DeviceInfo;
use crate::nn::losses::Loss;
use crate::plan::PlanReport;
use crate::train::checkpoint::NamedTensor;
use crate::train::history::HistoryRow;
use crate::train::metrics::Predictions;
use portrait::Portrait;
use svg::{escape, figure};

/// A learning rate and a batch size that were tried before training.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Learning rate.
    pub learning_rate: f64,
    /// Batch size.
    pub batch_size: usize,
    /// Lowest validation loss; infinite if training diverged.
    pub loss: f64,
    /// Seconds it took.
    pub seconds: f64,
}

/// Everything a report shows.
pub struct Report<'a> {
    /// Name of the experiment.
    pub name: &'a str,
    /// Its seed.
    pub seed: u64,
    /// The whole experiment, as TOML.
    pub experiment: &'a str,
    /// What training minimised.
    pub loss: &'a Loss,
    /// Where the data come from, as the experiment says.
    pub source: &'a str,
    /// Its data.
    pub data: &'a Loaded,
    /// Where it was trained.
    pub device: &'a DeviceInfo,
    /// All epochs.
    pub history: &'a [HistoryRow],
    /// Epoch whose weights were kept.
    pub best_epoch: u64,
    /// Validation loss and metrics of that epoch.
    pub best: &'a Numbers,
    /// Validation predictions of that epoch.
    pub validation: &'a Predictions,
    /// Test predictions with those weights, if there are test rows.
    pub test: Option<&'a Predictions>,
    /// What an autoencoder makes of the shown rows, if the model is one.
    pub portrait: Option<&'a Portrait>,
    /// What a model of text writes, if the model is one.
    pub written: Option<&'a str>,
    /// The weights that were kept.
    pub weights: &'a [NamedTensor],
    /// Layer, output shape without the batch, trained elements.
    pub layers: &'a [(String, Shape, usize)],
    /// The training step's plan.
    pub plan: &'a PlanReport,
    /// Settings tried before training.
    pub trials: &'a [Trial],
    /// Training steps a second.
    pub steps_per_second: f64,
}

impl Report<'_> {
    /// The page.
    pub fn html(&self) -> String {
        let name = escape(self.name);
        let subject = match self.data.fitted.target.name() {
            Some(target) if self.portrait.is_none() => format!("predicts {}", escape(target)),
            _ if self.data.train.text.is_some() => "predicts the next character".into(),
            _ => "learns the features".into(),
        };
        let (device, backend) = (escape(&self.device.name), escape(&self.device.backend));
        let seed = self.seed;
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{name}</title>\n\
             <style>\n{}</style>\n</head>\n<body>\n<h1>{name}</h1>\n\
             <p class=\"subtitle\">{subject} · seed {seed} · trained on {device} ({backend})</p>\n",
            include_str!("style.css")
        );
        page += &self.tiles();
        page += &section("Metrics", &tables::metrics(self));
        page += &section("Training", &pictures::training(self));
        if self.portrait.is_none() && self.data.train.text.is_none() {
            let title = format!("Predictions on the {} rows", self.shown().1);
            page += &section(&title, &pictures::predictions(self));
        }
        if let Some(text) = self.written {
            let text = format!("<pre>{}</pre>\n", escape(text));
            page += &section("A text it writes, at temperature 0.8", &text);
        }
        page += &autoencoder::section(self);
        page += &forecasts::section(self);
        page += &images::section(self);
        if !self.trials.is_empty() {
            page += &section("Settings tried first", &tables::trials(self.trials));
        }
        page += &section("Data", &tables::data(self));
        page += &section("Model", &tables::model(self));
        page += &section("Plan of a training step", &tables::plan(self.plan));
        let resolved = escape(self.experiment);
        let experiment = format!(
            "<details><summary>All keys, defaults written out</summary><pre>{resolved}</pre></details>\n"
        );
        page += &section("Experiment", &experiment);
        page + "</body>\n</html>\n"
    }

    /// The predictions to show, and the name of their rows: test if there are any, else validation.
    fn shown(&self) -> (&Predictions, &'static str) {
        self.test.map_or((self.validation, "validation"), |test| (test, "test"))
    }

    fn tiles(&self) -> String {
        let (predictions, split) = self.shown();
        let metrics = predictions.metrics(&self.data.fitted.target);
        let mut tiles: Vec<(String, String)> =
            metrics.iter().map(|m| (figure(m.value), format!("{split} {}", m.name))).collect();
        tiles.push((format!("{} of {}", self.best_epoch, self.history.len()), "best epoch".into()));
        tiles.push((self.plan.parameters.to_string(), "parameters".into()));
        tiles.push((format!("{:.0}", self.steps_per_second), "steps a second".into()));
        let tile = |(value, label): &(String, String)| {
            format!("<div class=\"tile\"><b>{}</b><span>{}</span></div>\n", escape(value), escape(label))
        };
        format!("<div class=\"tiles\">\n{}</div>\n", tiles.iter().map(tile).collect::<String>())
    }
}

fn section(title: &str, body: &str) -> String {
    format!("<h2>{}</h2>\n{body}", escape(title))
}
