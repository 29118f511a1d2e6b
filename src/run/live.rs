//! Training in memory, a few steps at a time: for hosts that keep no files and must not wait, as browsers.
//!
//! The steps, the validation and the best weights are those of [`super::trainer::train`], to the bit on the same
//! device. What needs a run directory (checkpoints, resuming, calibration) is not here.

use std::path::Path;

use super::audit;
use super::course::Course;
use super::decide;
use super::export;
use super::opened::Opened;
use super::restore;
use super::{parameters, trainer};
use crate::base::number::Numbers;
use crate::data::{self, Loaded};
use crate::device::{Device, DeviceInfo};
use crate::experiment::Experiment;
use crate::nn::Model;
use crate::onnx::Exported;
use crate::tasks::sure::Wanted;
use crate::tasks::{self, Drawn, Input, Request, Shown, Table};
use crate::train::TrainError;
use crate::train::checkpoint::{self, Meta, NamedTensor, Progress};
use crate::train::engine::Engine;
use crate::train::fit;
use crate::train::history::HistoryRow;
use crate::train::metrics::Predictions;

/// What messages call the file of the best weights.
const FILE: &str = "best.safetensors";

/// A training in memory.
pub struct Live {
    experiment: Experiment,
    data: Loaded,
    engine: Engine,
    progress: Progress,
    history: Vec<HistoryRow>,
    best: Option<Best>,
    total_steps: u64,
    /// Whether the order of the epoch's rows is on the device.
    is_ordered: bool,
    ended: bool,
}

/// The best weights so far.
struct Best {
    weights: Vec<NamedTensor>,
    predictions: Predictions,
    numbers: Numbers,
}

impl Live {
    /// Prepares a training up to its first values; with `max_steps`, one of so many steps at most. `note` is told what
    /// changed.
    ///
    /// # Errors
    /// If the model does not fit the data or the device, or the experiment needs a run directory.
    pub fn new(
        experiment: &Experiment,
        data: Loaded,
        device: &dyn Device,
        max_steps: Option<u64>,
        note: &mut dyn FnMut(&str),
    ) -> Result<Self, TrainError> {
        check(experiment)?;
        let experiment = trainer::balanced(trainer::sized(experiment, &data, note), &data);
        if experiment.train.exact && !device.target().exact {
            let reason = "`train.exact` needs a device opened in exact mode";
            return Err(TrainError::Input(reason.into()));
        }
        let engine = engine_of(&experiment, &data, device)?;
        let total = Course { experiment: &experiment, rows: &data.train }.total();
        Ok(Self {
            engine,
            progress: restore::beginning().progress,
            history: vec![],
            best: None,
            total_steps: max_steps.map_or(total, |most| most.min(total)),
            is_ordered: false,
            ended: false,
            experiment,
            data,
        })
    }

    /// Starts from the weights of a file instead, such as `best.safetensors` of a run, which are the best ones until an
    /// epoch is better.
    ///
    /// # Errors
    /// If the file is damaged, its weights are not those of the model, or the device fails.
    pub async fn start_from(&mut self, path: &Path) -> Result<(), TrainError> {
        let (tensors, _) = checkpoint::load(path)?;
        self.engine.restore(&tensors, false)?;
        let predictions = self.engine.evaluate_awaited().await?;
        self.keep_if_best(predictions).await?;
        Ok(())
    }

    /// Runs at most `count` steps, up to the end of the epoch, which it validates; returns their losses. None are left
    /// if [`Live::has_ended`].
    ///
    /// # Errors
    /// If training diverges or the device fails.
    pub async fn step(&mut self, count: usize) -> Result<Vec<f32>, TrainError> {
        if self.ended {
            return Ok(vec![]);
        }
        let course = Course { experiment: &self.experiment, rows: &self.data.train };
        let per_epoch = course.steps_per_epoch();
        if !self.is_ordered {
            self.engine.set_order(0, &course.order(self.progress.epoch))?;
            self.is_ordered = true;
        }
        let left = (per_epoch - self.progress.position).min(self.total_steps - self.progress.step);
        let count = (count.max(1) as u64).min(left).min(self.engine.loss_slots() as u64);
        let scalars = |step| self.engine.optimizer_scalars(step);
        let mut steps: Vec<_> = (0..count).map(|i| course.record(&self.progress, i, scalars)).collect();
        let losses = self.engine.train_awaited(&mut steps).await?;
        self.count(&losses)?;
        if self.progress.position == per_epoch {
            self.progress.epoch += 1;
            self.progress.position = 0;
            self.is_ordered = false;
            self.engine.begin_streams()?;
            self.judge(per_epoch).await?;
        }
        let course = Course { experiment: &self.experiment, rows: &self.data.train };
        self.ended = self.progress.step >= self.total_steps || course.is_stale(&self.progress);
        if self.ended && self.history.is_empty() {
            // Fewer steps than an epoch.
            self.progress.epoch += 1;
            self.judge(self.progress.position).await?;
        }
        Ok(losses)
    }

    /// Adds losses of steps to those of the epoch.
    fn count(&mut self, losses: &[f32]) -> Result<(), TrainError> {
        let mut sum = f64::from_bits(self.progress.loss_sum);
        for (step, &loss) in (self.progress.step + 1..).zip(losses) {
            if !loss.is_finite() {
                return Err(TrainError::diverged(step, "training loss".into(), f64::from(loss)));
            }
            sum += f64::from(loss);
        }
        self.progress.loss_sum = sum.to_bits();
        let opponent = self.engine.opponent_losses();
        if !opponent.is_empty() {
            let before = self.progress.discriminator_sum.map_or(0.0, f64::from_bits);
            let sum = opponent.iter().fold(before, |sum, &loss| sum + f64::from(loss));
            if !sum.is_finite() {
                let what = "training loss of the discriminator".into();
                return Err(TrainError::diverged(self.progress.step + 1, what, sum));
            }
            self.progress.discriminator_sum = Some(sum.to_bits());
        }
        self.progress.step += losses.len() as u64;
        self.progress.position += losses.len() as u64;
        Ok(())
    }

    /// Validates after `steps` steps of an epoch, and keeps the best weights.
    async fn judge(&mut self, steps: u64) -> Result<(), TrainError> {
        let predictions = self.engine.evaluate_awaited().await?;
        let (epoch, step) = (self.progress.epoch, self.progress.step);
        let validation = self.keep_if_best(predictions).await?;
        let course = Course { experiment: &self.experiment, rows: &self.data.train };
        let mean = |sum: u64| f64::from_bits(sum) / steps.max(1) as f64;
        self.history.push(HistoryRow {
            epoch,
            step,
            learning_rate: course.learning_rate(step),
            train_loss: mean(self.progress.loss_sum),
            discriminator: self.progress.discriminator_sum.take().map(mean),
            validation,
        });
        self.progress.loss_sum = 0f64.to_bits();
        Ok(())
    }

    /// Keeps the weights if their predictions for the validation rows are the best; returns loss and metrics.
    async fn keep_if_best(&mut self, predictions: Predictions) -> Result<Numbers, TrainError> {
        let step = self.progress.step;
        let loss = predictions.loss(&self.experiment.train.loss);
        if !loss.is_finite() {
            return Err(TrainError::diverged(step, "validation loss".into(), loss));
        }
        let numbers = {
            let fitted = decide::of(&self.experiment, &self.data.fitted, &predictions);
            tasks::numbers(&*tasks::of(self.experiment.settings(), &fitted), loss, &predictions)
        };
        let course = Course { experiment: &self.experiment, rows: &self.data.train };
        if course.judge(&mut self.progress, loss) {
            let weights = self.engine.weights_awaited().await?;
            if let Some(name) = weights.iter().find(|(.., data)| data.iter().any(|x| !x.is_finite())) {
                return Err(TrainError::diverged(step, format!("tensor `{}`", name.0), f64::NAN));
            }
            self.best = Some(Best { weights, predictions, numbers: numbers.clone() });
        }
        Ok(numbers)
    }

    /// Whether no step is left: all epochs are over, or early stopping ended them.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The experiment, with what follows from the data.
    pub fn experiment(&self) -> &Experiment {
        &self.experiment
    }

    /// The data.
    pub fn data(&self) -> &Loaded {
        &self.data
    }

    /// The device.
    pub fn device(&mut self) -> DeviceInfo {
        self.engine.session().info().clone()
    }

    /// The compiled model, for summaries.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Completed steps, and how many there are at most.
    pub fn steps(&self) -> (u64, u64) {
        (self.progress.step, self.total_steps)
    }

    /// The epochs so far.
    pub fn history(&self) -> &[HistoryRow] {
        &self.history
    }

    /// The best epoch, and its loss and metrics; `None` before the first validation.
    pub fn best(&self) -> Option<(u64, &Numbers)> {
        self.best.as_ref().map(|best| (self.progress.best_epoch, &best.numbers))
    }

    /// SHA-256 of the best weights, as in `run.json`.
    pub fn weights_digest(&self) -> Option<String> {
        self.best.as_ref().map(|best| audit::weights_digest(&best.weights))
    }

    fn found(&self) -> Result<&Best, TrainError> {
        self.best.as_ref().ok_or_else(|| {
            TrainError::Input("the model has no validated weights yet; train to the end of an epoch".into())
        })
    }

    /// The best model as if it were opened from a run, and its file.
    fn opened(&self) -> Result<(Opened, Vec<u8>), TrainError> {
        let best = self.found()?;
        let fitted = decide::of(&self.experiment, &self.data.fitted, &best.predictions).into_owned();
        let meta = Meta::new(fitted.clone(), self.data.digest.clone(), None);
        let (bytes, digest) = checkpoint::bytes(Path::new(FILE), &best.weights, &meta)?;
        let opened = Opened {
            path: self.experiment.name.clone().into(),
            experiment: self.experiment.clone(),
            fitted,
            weights: best.weights.clone(),
            digest,
            data_digest: self.data.digest.clone(),
            others: vec![],
            wanted: Wanted::default(),
        };
        Ok((opened, bytes))
    }

    /// The file `best.safetensors`, as a run would have it.
    ///
    /// # Errors
    /// If nothing was validated yet.
    pub fn safetensors(&self) -> Result<Vec<u8>, TrainError> {
        Ok(self.opened()?.1)
    }

    /// The best model as ONNX.
    ///
    /// # Errors
    /// If nothing was validated yet, or something in it has no form in ONNX.
    pub fn onnx(&self) -> Result<Exported, TrainError> {
        export::onnx_of(self.opened()?.0, Path::new(FILE), false)
    }

    /// Predictions of the best model for the rows of a file, on `device`, which may wait.
    ///
    /// # Errors
    /// If nothing was validated yet, the file cannot be read, or the device fails.
    pub fn predict(&self, input: Input, device: &dyn Device) -> Result<Table, TrainError> {
        let opened = self.opened()?.0;
        opened.task().predict(&opened.trained(device), input)
    }

    /// Some rows to try, evenly chosen from the table that trained: names of the columns that are read, and rows.
    ///
    /// # Errors
    /// If the table cannot be read any more.
    pub fn examples(&self, count: usize) -> Result<Vec<Vec<String>>, TrainError> {
        let config = &self.experiment.data;
        Ok(data::examples(&self.data.fitted, Path::new(&config.source), count, &config.exclude)?)
    }

    /// Samples of the best model, drawn on `device`, which may wait.
    ///
    /// # Errors
    /// If nothing was validated yet, the model generates nothing, or the device fails.
    pub fn sample(&self, request: &Request, device: &dyn Device) -> Result<Drawn, TrainError> {
        let opened = self.opened()?.0;
        opened.task().sample(&opened.trained(device), request)
    }

    /// What a report shows of the best model's predictions for the validation rows, as HTML.
    ///
    /// # Errors
    /// If nothing was validated yet, or the device fails.
    pub fn sections(&self, device: &dyn Device) -> Result<String, TrainError> {
        let opened = self.opened()?.0;
        let predictions =
            Predictions { temperature: opened.fitted.temperature, ..self.found()?.predictions.clone() };
        let rows = &self.data.validation;
        let shown = Shown { part: "validation", rows, predictions: &predictions, intervals: None };
        opened.task().sections(&opened.trained(device), &shown)
    }
}

/// Compiles the model of an experiment and gives it its first values.
fn engine_of(experiment: &Experiment, data: &Loaded, device: &dyn Device) -> Result<Engine, TrainError> {
    let model: Box<dyn Model> = trainer::model_of(experiment, &data.fitted, &data.train)?;
    let images = trainer::image_changes(experiment, &data.fitted)?;
    let training = trainer::training_of(experiment, data, images.as_ref());
    parameters::check_names(experiment, &*model)?;
    let engine = Engine::new(device, &*model, Some(&training), &data.validation);
    let mut engine = engine
        .map_err(|e| fit::explain(e, &*model, &training, &data.validation, device.target()))
        .map_err(|error| trainer::placed(experiment, error))?;
    engine.initialise(experiment.seed_words())?;
    Ok(engine)
}

/// Refuses what needs a run directory.
///
/// # Errors
/// Naming the key.
pub fn check(experiment: &Experiment) -> Result<(), TrainError> {
    let (data, model, train, sure) =
        (&experiment.data, &experiment.model, &experiment.train, &experiment.uncertainty);
    let needs = [
        ("model.from", model.from.is_some(), "a network of another program is a file of its own"),
        ("model.features", model.features.is_some(), "judging images takes the run of a classifier"),
        ("train.skip_non_finite_steps", train.skip_non_finite_steps > 0, "going back takes a checkpoint"),
        ("train.checkpoint_every_steps", train.checkpoint_every_steps.is_some(), "there are no checkpoints"),
        (
            "train.checkpoint_every_minutes",
            train.checkpoint_every_minutes.is_some(),
            "there are no checkpoints",
        ),
        ("data.memory.scratch", data.memory.scratch.is_some(), "rows are in memory"),
        ("uncertainty.coverage", sure.coverage.is_some(), "nothing is calibrated there"),
    ];
    match needs.into_iter().find(|(_, given, _)| *given) {
        None => Ok(()),
        Some((key, _, why)) => {
            let reason = format!("is not for training in memory, as in a browser: {why}; remove it");
            Err(experiment.wrong(key, &reason).into())
        }
    }
}
