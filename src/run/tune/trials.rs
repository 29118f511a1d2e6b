//! Trains trials: each an ordinary run in a directory of its own, or one for each fold.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::super::directory::RunDirectory;
use super::super::many::{self, Done, ManyJob, ManyOptions, Split};
use super::super::recovery::Recovery;
use super::super::{folds, trainer};
use super::Watcher;
use super::journal::{Ended, State};
use crate::data::{DataConfig, Goal, Loaded};
use crate::device::DeviceError;
use crate::experiment::Experiment;
use crate::experiment::study::Study;
use crate::nn::config::{Family, ModelConfig};
use crate::search::Setting;
use crate::train::TrainError;

/// Directory of the trials within that of the study.
pub const TRIALS: &str = "trials";

/// A trial to train up to a rung.
pub struct Job {
    /// Its number, from 1.
    pub trial: usize,
    /// The rung's number, from 0.
    pub level: usize,
    /// What it tries.
    pub setting: Setting,
}

/// What data depend on: keys, what is learned, and, of models that adjust them, the model.
type DataKey = (DataConfig, Goal, Family, Option<ModelConfig>);

/// How a trial stands, its metric, its epochs in all and why it failed.
type Judged = (State, Option<f64>, usize, Option<String>);

/// Trains trials of a study.
pub struct Trials<'a> {
    pub study: &'a Study,
    /// The study's directory.
    pub directory: &'a Path,
    /// Data read before, the latest last: one for each fold.
    loaded: Vec<(DataKey, Arc<Loaded>)>,
}

impl<'a> Trials<'a> {
    pub fn new(study: &'a Study, directory: &'a Path) -> Self {
        Self { study, directory, loaded: vec![] }
    }

    /// The directory of a trial.
    pub fn place(&self, trial: usize) -> PathBuf {
        self.directory.join(TRIALS).join(format!("{trial:04}"))
    }

    /// The directories of a trial's runs.
    pub fn runs(&self, trial: usize) -> Vec<PathBuf> {
        let place = self.place(trial);
        match self.study.folds {
            None => vec![place],
            Some(folds) => (0..folds).map(|fold| place.join(format!("fold-{fold}"))).collect(),
        }
    }

    /// Trains all of `jobs` at the same time, and hands over what came of each.
    ///
    /// # Errors
    /// If training is interrupted, or the device or the disk fails. A trial that diverges or cannot be trained is no
    /// error.
    pub fn run(
        &mut self,
        jobs: &[Job],
        recovery: &mut Recovery,
        watcher: &mut dyn Watcher,
        ended: &mut dyn FnMut(Ended) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let started = Instant::now();
        // For each job its models, or why it has none.
        let prepared: Vec<_> = jobs.iter().map(|job| self.models(job)).collect();
        let count: usize = prepared.iter().flatten().map(Vec::len).sum();
        let mut observers = watcher.of_models(count).into_iter();
        let (mut models, mut parts) = (vec![], vec![]);
        for prepared in prepared {
            let made = prepared.map(|of_job| {
                let first = models.len();
                models.extend(of_job.into_iter().map(|model| ManyJob {
                    observer: observers.next().unwrap_or_else(|| Box::new(())),
                    ..model
                }));
                first..models.len()
            });
            parts.push(made);
        }
        let options =
            ManyOptions { without_report: true, evaluates: Some(self.part()), ..ManyOptions::default() };
        let results = many::train(models, &options, recovery, watcher.observer());
        // Each has taken its share of the time.
        let seconds = started.elapsed().as_secs_f64() / jobs.len().max(1) as f64;
        for (job, part) in jobs.iter().zip(parts) {
            let found = part.and_then(|models| self.mean(&results[models]));
            let (state, value, epochs, reason) = self.judged(job, found)?;
            ended(Ended { trial: job.trial, level: job.level, state, value, epochs, seconds, reason })?;
        }
        Ok(())
    }

    /// What came of a trial: how it stands, its metric, its epochs and why it failed.
    fn judged(&self, job: &Job, found: Result<(f64, usize), TrainError>) -> Result<Judged, TrainError> {
        match found {
            Ok((value, epochs)) if value.is_finite() => {
                let is_last = job.level + 1 == self.study.scheduler.rungs.len();
                let state = if is_last { State::Finished } else { State::Paused };
                Ok((state, Some(value), epochs, None))
            }
            Ok((value, epochs)) => {
                let reason = format!("the {} is {value}", self.study.metric);
                Ok((State::Diverged, None, epochs, Some(reason)))
            }
            Err(error @ TrainError::Diverged { .. }) => {
                Ok((State::Diverged, None, 0, Some(error.to_string())))
            }
            Err(error) if is_about_the_setting(&error) => {
                Ok((State::Refused, None, 0, Some(error.to_string())))
            }
            Err(TrainError::Interrupted { .. }) => Err(self.interrupted(job.trial)),
            Err(error) => Err(error),
        }
    }

    /// The error that the user interrupted a trial.
    pub fn interrupted(&self, trial: usize) -> TrainError {
        TrainError::StudyInterrupted { trial, study: self.directory.into() }
    }

    /// The models of a trial, one or one for each fold, to be trained up to its rung.
    fn models(&mut self, job: &Job) -> Result<Vec<ManyJob<'static>>, TrainError> {
        let mut models = vec![];
        for (fold, out) in self.runs(job.trial).into_iter().enumerate() {
            let experiment = self.experiment(&job.setting, fold)?;
            let rungs = &self.study.scheduler.rungs;
            let until = (job.level + 1 < rungs.len()).then(|| rungs[job.level] as u64);
            let data = self.data(&experiment)?;
            let resume = RunDirectory::has_saved(&out);
            if !resume && out.exists() {
                // Killed before its first checkpoint, or the checkpoints were removed: it is trained again from its
                // beginning, which gives the same bits.
                std::fs::remove_dir_all(&out).map_err(|e| TrainError::io(&out, &e))?;
            }
            let steps = data.train.rows / trainer::sized(&experiment, &data, &mut |_| {}).rows_per_step();
            let max_steps = until.map(|epochs| epochs * steps as u64);
            models.push(ManyJob { experiment, data, out, resume, max_steps, observer: Box::new(()) });
        }
        Ok(models)
    }

    /// The mean of the metric over the models of a trial, and how many epochs were trained in all.
    fn mean(&self, models: &[Result<Done, TrainError>]) -> Result<(f64, usize), TrainError> {
        let (mut sum, mut epochs) = (0.0, 0);
        let metric = &self.study.metric;
        for model in models {
            let Done { outcome, evaluation } = model.as_ref().map_err(Clone::clone)?;
            epochs += outcome.history.len();
            let found = evaluation.iter().flat_map(|found| {
                std::iter::once(("loss", found.loss.0)).chain(found.metrics.0.iter().copied())
            });
            let all: Vec<(&str, f64)> = found.collect();
            let value = all.iter().find(|(name, _)| name == metric).map(|(_, value)| value);
            sum += value.ok_or_else(|| {
                let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
                let reason =
                    format!("metric = \"{metric}\": the model has none; it has {}", names.join(", "));
                TrainError::Input(reason)
            })?;
        }
        Ok((sum / models.len() as f64, epochs))
    }

    /// The rows that judge a trial.
    fn part(&self) -> Split {
        if self.study.folds.is_some() { Split::Test } else { Split::Validation }
    }

    /// The experiment of a trial's run.
    fn experiment(&self, setting: &Setting, fold: usize) -> Result<Experiment, TrainError> {
        let whole = self.study.experiment_with(setting, &[])?;
        let Some(folds) = self.study.folds else { return Ok(whole) };
        let split = folds::split(&whole, folds as u64, [fold as u64, 0])?;
        Ok(self.study.experiment_with(setting, &[split])?)
    }

    /// The experiment with the batch that its trial had, if its size was left at the default. With folds, each may have
    /// had another.
    pub fn sized(&mut self, experiment: Experiment) -> Experiment {
        match (self.study.folds, self.data(&experiment)) {
            (None, Ok(data)) => trainer::sized(&experiment, &data, &mut |_| {}),
            _ => experiment,
        }
    }

    /// The data of an experiment, which are read once for all trials that share them.
    fn data(&mut self, experiment: &Experiment) -> Result<Arc<Loaded>, TrainError> {
        let model = &experiment.model;
        let adjusts = model.variational().is_some() || model.adversarial().is_some();
        let own = adjusts.then(|| model.clone());
        let key = (experiment.data.clone(), experiment.goal(), model.family, own);
        match self.loaded.iter().position(|(known, _)| *known == key) {
            Some(at) => {
                let found = self.loaded.remove(at);
                self.loaded.push(found);
            }
            None => {
                if self.loaded.len() >= self.study.folds.unwrap_or(1) {
                    self.loaded.remove(0);
                }
                let loaded = Arc::new(trainer::load_data(experiment, Path::new(""))?);
                self.loaded.push((key, loaded));
            }
        }
        let (_, data) = &self.loaded[self.loaded.len() - 1];
        trainer::check_data(experiment, data)?;
        Ok(data.clone())
    }

    /// Reads the data of the experiment as it stands, where all trials have the same, and refuses numbers that do not
    /// fit them; gives their digest.
    ///
    /// # Errors
    /// If the data are wrong, or a value that is searched does not fit them.
    pub fn prepare(&mut self) -> Result<Option<String>, TrainError> {
        if !self.study.has_the_same_data() {
            return Ok(None);
        }
        let experiment = self.experiment(&vec![None; self.study.space.len()], 0)?;
        let rows = self.data(&experiment)?;
        let digest = rows.digest.clone();
        self.study.check_on(&mut |experiment| {
            // A fold has other rows, but about as many.
            match self.loaded.last() {
                Some((_, data)) => trainer::check_data(experiment, data),
                None => Ok(()),
            }
        })?;
        Ok(Some(digest))
    }
}

/// Whether it is the setting that cannot be trained, not the machine or the study.
fn is_about_the_setting(error: &TrainError) -> bool {
    match error {
        TrainError::Experiment(_) | TrainError::Data(_) | TrainError::Graph(_) | TrainError::Plan(_) => true,
        TrainError::DoesNotFit { .. } => true,
        TrainError::Device(error) => matches!(
            error,
            DeviceError::OutOfMemory { .. } | DeviceError::HostMemory { .. } | DeviceError::Limit { .. }
        ),
        _ => false,
    }
}
