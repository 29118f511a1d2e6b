//! The tasks that models are trained for: tables, images and their pixels, series, text, autoencoders, adversarial pairs. A task
//! owns the checks of its keys, its requirements on rows, its metrics, its tables of predictions, its samples, and
//! its part of the report.
//!
//! [`of`] chooses the task of a run, and is the only place that does. A new task is a folder, a `mod` line, a
//! line there, and one in [`check`] if it has keys of its own.

mod adversarial;
pub mod autoencoder;
mod graphs;
pub mod images;
mod perturbed;
mod pixels;
mod prior;
pub mod series;
pub mod sure;
mod table;
pub mod text;
mod trained;

pub(crate) use sure::add_coverage;

use std::path::Path;

use crate::base::number::Numbers;
use crate::data::config::{DataConfig, ITSELF};
use crate::data::image::files::holds_classes;
use crate::data::{self, Dataset, Fitted, Goal, Loaded, PixelValues};
use crate::nn::config::{Family, ModelConfig};
use crate::nn::losses::{ClassWeights, Loss};
use crate::nn::patterns::Patterns;
use crate::train::TrainError;
use crate::train::config::TrainConfig;
use crate::train::engine::Engine;
use crate::train::history::HistoryRow;
use crate::train::metrics::{ClassScore, Metric, Predictions};
use crate::train::quantiles::Interval;
use crate::uncertainty::calibration::Intervals;
pub use table::TargetError;
pub use trained::{Member, Trained, model, opponent, supervised};

/// The parts of an experiment that tasks read.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// The data.
    pub data: &'a DataConfig,
    /// The model.
    pub model: &'a ModelConfig,
    /// The training.
    pub train: &'a TrainConfig,
}

impl Settings<'_> {
    /// The parameters that training leaves as they are, if there are any.
    pub fn frozen(&self) -> Option<Patterns> {
        match &self.model.lora {
            Some(lora) => Some(lora.frozen(self.model.head)),
            None => (!self.train.freeze.is_empty()).then(|| self.train.frozen()),
        }
    }

    /// What the model learns, as determined by the loss.
    pub fn goal(&self) -> Goal {
        match self.train.loss {
            _ if self.model.is_masked() => Goal::Features,
            Loss::BceWithLogits { .. } => Goal::Binary,
            Loss::CrossEntropy { .. } | Loss::Focal { .. } => Goal::Classes,
            Loss::Poisson { .. } | Loss::Tweedie { .. } => Goal::Rate,
            Loss::Elbo {} | Loss::Adversarial {} => Goal::Features,
            Loss::Mse {} | Loss::Mae {} | Loss::Huber { .. } | Loss::Quantile { .. } => Goal::Regression,
        }
    }

    /// Whether the model predicts a number or a class of each row, not the rows themselves, the next character of a
    /// text, or something of each pixel.
    pub fn predicts(&self) -> bool {
        self.goal() != Goal::Features && !self.data.is_text() && self.data.pixel_target().is_none()
    }

    /// Whether the last epoch is the best one, because no number of the validation tells which is: the losses of
    /// two parts that are trained against each other say how they stand to each other, not how good samples are.
    pub fn last_is_best(&self) -> bool {
        self.model.adversarial().is_some() && self.model.features.is_none()
    }

    /// Whether the model or its loss reads the target; one that learns the features does so only if it is
    /// conditional.
    pub fn reads_target(&self) -> bool {
        let learns_features = self.model.variational().map(|v| v.conditional);
        learns_features.or(self.model.adversarial().map(|gan| gan.conditional)).unwrap_or(true)
    }
}

/// What a task reports about evaluated rows besides the loss and its metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details {
    /// Errors of the baselines, by name.
    pub baselines: Vec<(&'static str, f64)>,
    /// Further scores of classes.
    pub scores: Vec<Metric>,
    /// How well intervals between predicted quantiles hold.
    pub intervals: Vec<Interval>,
    /// Errors of each of several targets of rows.
    pub by_target: Vec<TargetError>,
    /// Errors by horizon, where several steps are predicted.
    pub by_horizon: Vec<series::HorizonError>,
    /// Errors by series, where they have names.
    pub by_series: Vec<series::SeriesError>,
    /// Precision, recall and F1 of each class.
    pub per_class: Vec<ClassScore>,
    /// Confusion matrix, by true class (row) and predicted class (column), and the names of the classes.
    pub confusion: Option<(Vec<Vec<usize>>, Vec<String>)>,
}

/// What predictions are wanted for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Input<'a> {
    /// The file with the rows.
    pub file: &'a Path,
    /// The file with the rows to come, of series.
    pub future: Option<&'a Path>,
}

/// A table of predictions.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Titles of the columns.
    pub titles: Vec<String>,
    /// Whether each of them holds texts; the others hold numbers.
    pub texts: Vec<bool>,
    /// The cells, line by line.
    pub lines: Vec<Vec<String>>,
    /// Rows that were read for it.
    pub rows: usize,
    /// What the table lacks and why, for people.
    pub note: Option<String>,
    /// The predictions themselves, where they are pictures.
    pub pictures: Vec<Picture>,
}

/// A prediction that is a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// The name of what it was predicted for: a file within a folder, or the number of a row.
    pub name: String,
    /// Channels, height and width.
    pub shape: [usize; 3],
    /// Its values in that order, as in files.
    pub values: Vec<f32>,
    /// What kind of values they are.
    pub kind: PixelValues,
    /// What is shown as black and white, where they are any numbers.
    pub range: [f64; 2],
}

impl Table {
    /// The table as a CSV file.
    ///
    /// # Errors
    /// If lines differ in length.
    pub fn csv(&self) -> Result<Vec<u8>, TrainError> {
        table::csv(std::iter::once(&self.titles).chain(&self.lines))
    }
}

/// Options for drawing from a generative model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    /// Number of samples; by default 64 rows or images, or one text.
    pub count: Option<usize>,
    /// Seed of the draw.
    pub seed: u64,
    /// Output file; optional for texts.
    pub output: Option<&'a Path>,
    /// The class of the samples, of a conditional model; by default it cycles through all.
    pub class: Option<String>,
    /// Symbols of a text (default 500).
    pub length: Option<usize>,
    /// Divisor of a text's logits (default 1).
    pub temperature: Option<f64>,
    /// The text to continue from.
    pub prompt: Option<String>,
}

/// What was drawn.
#[derive(Clone, Debug, PartialEq)]
pub enum Drawn {
    /// The number of samples, and the contents of the output file.
    File(usize, Vec<u8>),
    /// Texts, if no file was given.
    Text(String),
}

/// Rows that a report shows, with the model's predictions.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// `validation` or `test`.
    pub part: &'static str,
    /// The rows.
    pub rows: &'a Dataset,
    /// Predictions with the best weights.
    pub predictions: &'a Predictions,
    /// Intervals of predicted numbers and their coverage, if they were asked for.
    pub intervals: Option<&'a (f64, Intervals)>,
}

/// The task that a model is trained for.
pub trait Task {
    /// What the model does, in a few words: `predicts price`.
    fn subject(&self) -> String;

    /// The name of a row of `rows`, in the plural.
    fn unit(&self, rows: &Dataset) -> String;

    /// The column of the target and a description of its encoding, for display.
    fn treatment(&self) -> Option<[String; 2]>;

    /// Checks the training rows, and adjusts the others so that the model can score them.
    ///
    /// # Errors
    /// If the model cannot learn from these rows.
    fn prepare(&self, _data: &mut Loaded) -> Result<(), TrainError> {
        Ok(())
    }

    /// Adjusts unseen rows so that the model can score them.
    fn admit(&self, _rows: &mut Dataset) {}

    /// Default number of draws per row that an evaluation averages over, if the model draws any.
    fn draws(&self) -> Option<u32> {
        None
    }

    /// Keeps what the validation of an epoch shows in the run's directory, for the report.
    ///
    /// # Errors
    /// If the disk is full.
    fn keep(&self, _run: &Path, _epoch: u64, _validation: &Predictions) -> Result<(), TrainError> {
        Ok(())
    }

    /// What to tell the user of a training that goes wrong, from its history up to now.
    fn warning(&self, _history: &[HistoryRow]) -> Option<String> {
        None
    }

    /// Evaluates the engine's evaluation rows with this many draws each, if the model draws any.
    ///
    /// # Errors
    /// If the device fails.
    fn evaluate(&self, engine: &mut Engine, _draws: u32) -> Result<Predictions, TrainError> {
        engine.evaluate()
    }

    /// The metrics of evaluated rows.
    fn metrics(&self, predictions: &Predictions) -> Vec<Metric>;

    /// Further results for evaluated rows.
    fn details(&self, _rows: &Dataset, _predictions: &Predictions) -> Details {
        Details::default()
    }

    /// Whether predictions read the target of the rows that they are for.
    fn reads_target(&self) -> bool {
        false
    }

    /// The table of predictions for rows.
    fn table(&self, rows: &Dataset, predictions: &Predictions) -> Table;

    /// Predictions for the rows of a file.
    ///
    /// # Errors
    /// If the file cannot be read, or the device fails.
    fn predict(&self, trained: &Trained, input: Input) -> Result<Table, TrainError> {
        let mut rows = match input.future {
            Some(future) => data::load_future(trained.fitted, input.file, future)?.unwrap_or_default(),
            None => data::load_with(trained.fitted, input.file, self.reads_target())?,
        };
        self.admit(&mut rows);
        let (predictions, spread) = trained.found(&rows, self.draws().unwrap_or(1))?;
        let mut table = self.table(&rows, &predictions);
        sure::add_columns(&mut table, trained, &rows, &predictions, spread.as_ref())?;
        Ok(table)
    }

    /// Draws samples from the model.
    ///
    /// # Errors
    /// If it generates nothing, an option does not apply or is out of range, or the device fails.
    fn sample(&self, trained: &Trained, _request: &Request) -> Result<Drawn, TrainError> {
        Err(trained.refuse(
            "its model predicts and generates nothing; train one of `family = \"vae\"` or `\"gan\"`, or one of text",
        ))
    }

    /// Its sections of the report, as HTML.
    ///
    /// # Errors
    /// If the device fails.
    fn sections(&self, trained: &Trained, shown: &Shown) -> Result<String, TrainError>;
}

/// The task of a run.
pub fn of<'a>(settings: Settings<'a>, fitted: &'a Fitted) -> Box<dyn Task + 'a> {
    if let Some(model) = settings.model.variational() {
        return Box::new(autoencoder::Autoencoder { settings, model, fitted });
    }
    if let Some(model) = settings.model.adversarial() {
        return Box::new(adversarial::Pair { settings, model, fitted });
    }
    if let Some(text) = fitted.target.text() {
        return Box::new(text::Language { text });
    }
    if let (Some(documents), true) = (&fitted.documents, settings.model.is_masked()) {
        return Box::new(text::Masked { documents });
    }
    if let (Some(pixels), Some(image)) = (fitted.target.pixels(), &fitted.image) {
        return Box::new(pixels::Pixels { settings, image, pixels, constant: fitted.constant });
    }
    let head = table::head(fitted);
    match (&fitted.window, &fitted.image) {
        (Some(window), _) => Box::new(series::Forecast { window, head, target: &fitted.target }),
        (None, Some(image)) => Box::new(images::Images { image, head }),
        (None, None) => Box::new(table::Rows { head, fitted }),
    }
}

/// The first key that does not apply to the task, or has an invalid value.
///
/// # Errors
/// The key, and what is wrong with it.
pub fn check(settings: Settings) -> Result<(), (&'static str, String)> {
    adversarial::check(settings)?;
    autoencoder::check(settings)?;
    table::check(settings)?;
    images::check(settings)?;
    pixels::check(settings)?;
    perturbed::check(settings)?;
    graphs::check(settings)?;
    text::check(settings)
}

/// Fills in defaults of `[model]` and `[train]` that follow from the task, for keys of `[train]` that are not
/// given.
pub fn fill_in(
    data: &DataConfig,
    model: &mut ModelConfig,
    train: &mut TrainConfig,
    is_given: &dyn Fn(&str) -> bool,
) {
    adversarial::fill_in(data, model, train, is_given);
}

/// The default loss.
pub fn default_loss(data: &DataConfig, model: &ModelConfig) -> Loss {
    if model.variational().is_some() {
        return Loss::Elbo {};
    }
    if model.adversarial().is_some() {
        return Loss::Adversarial {};
    }
    if data.is_text() || model.is_masked() {
        return text::LOSS;
    }
    match data.pixel_target() {
        None => {}
        Some(ITSELF) => return Loss::Mse {},
        Some(_) => {
            return Loss::CrossEntropy { class_weights: ClassWeights::default(), label_smoothing: 0.0 };
        }
    }
    let of_images = matches!(model.family, Family::Cnn | Family::Resnet | Family::Alexnet);
    let as_images = data.image.is_some() || of_images;
    if holds_classes(&data.source, as_images) {
        return Loss::CrossEntropy { class_weights: ClassWeights::default(), label_smoothing: 0.0 };
    }
    TrainConfig::default().loss
}

/// Whether rows are shuffled by default: all but the sequences of a text whose states are carried over.
pub fn default_shuffle(data: &DataConfig, model: &ModelConfig) -> bool {
    !data.is_text() || text::attends(model)
}

/// The loss of evaluated rows, followed by the metrics.
pub fn numbers(task: &dyn Task, loss: f64, predictions: &Predictions) -> Numbers {
    let metrics = task.metrics(predictions).into_iter().map(|m| (m.name, m.value));
    Numbers(std::iter::once(("loss", loss)).chain(metrics).collect())
}
