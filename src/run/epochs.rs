//! The training loop over epochs and steps: batches, losses, validation, best weights, checkpoints.

use std::time::Instant;

use super::audit::{self, Record};
use super::course::Course;
use super::decide;
use super::directory::RunDirectory;
use super::job::{Job, Outcome};
use super::likeness::FRECHET;
use super::restore::{self, Position};
use crate::base::number::{Number, Numbers};
use crate::base::step::StepRecord;
use crate::tasks;
use crate::train::TrainError;
use crate::train::checkpoint::{self, Meta, Progress};
use crate::train::engine::Engine;
use crate::train::events::{Event, Observer, Tick};
use crate::train::history;
use crate::train::history::HistoryRow;
use crate::train::metrics::Predictions;
use crate::train::tensorboard::EventFile;
use crate::train::watched;
use crate::train::writer::Writer;

/// Steps to run before timing them.
const FIRST_GROUP: usize = 1;
/// Wall time of a group of steps, after which losses are checked.
const GROUP_SECONDS: f64 = 0.15;

/// A training in progress.
pub(super) struct Trainer<'a> {
    pub(super) task: Job<'a>,
    pub(super) engine: Engine,
    /// Declared before the run directory, so that it finishes before the directory is unlocked.
    pub(super) writer: Writer,
    pub(super) run: RunDirectory,
    pub(super) record: Record,
    pub(super) observer: &'a mut dyn Observer,
    pub(super) progress: Progress,
    pub(super) history: Vec<HistoryRow>,
    /// The text of `history`.
    pub(super) lines: history::Lines,
    pub(super) best: Numbers,
    pub(super) best_predictions: Predictions,
    pub(super) steps_per_epoch: u64,
    total_steps: u64,
    /// Seconds spent in training steps alone, and the number of steps.
    pub(super) busy: (f64, u64),
    pub(super) first_step_seconds: f64,
    pub(super) last_checkpoint: (Instant, u64),
    /// Losses since the last step event, and those of the discriminator.
    pub(super) logged: (f64, u64),
    pub(super) logged_discriminator: f64,
    pub(super) tensorboard: EventFile,
    pub(super) watched: watched::Log,
    started: Instant,
}

impl<'a> Trainer<'a> {
    /// Takes a ready engine; with `resume`, restores the run's newest checkpoint.
    ///
    /// # Errors
    /// If the checkpoint does not match the model and the data.
    pub fn new(
        task: Job<'a>,
        mut engine: Engine,
        run: RunDirectory,
        observer: &'a mut dyn Observer,
    ) -> Result<Self, TrainError> {
        let Job { experiment, data, options, .. } = task;
        let course = Course { experiment, rows: &data.train };
        let (steps_per_epoch, total) = (course.steps_per_epoch(), course.total());
        let Position { progress, history, best } = if options.resume {
            restore::newest(&task, &mut engine, &run, observer)?
        } else {
            restore::beginning()
        };
        let tensorboard = EventFile::create(&run.path, options.resume.then_some(progress.step + 1))?;
        let program = &engine.compiled.program;
        let record = Record::begin(&run, &task, audit::plan_digest(program), progress.step)?;
        let mut trainer = Self {
            task,
            engine,
            run,
            tensorboard,
            watched: watched::Log::default(),
            observer,
            history,
            lines: history::Lines::default(),
            best,
            best_predictions: Predictions::default(),
            steps_per_epoch,
            total_steps: options.max_steps.map_or(total, |most| most.min(total)),
            busy: (0.0, 0),
            first_step_seconds: 0.0,
            last_checkpoint: (Instant::now(), progress.step),
            started: Instant::now(),
            logged: (0.0, 0),
            logged_discriminator: 0.0,
            progress,
            writer: Writer::default(),
            record,
        };
        if options.resume {
            if trainer.run.experiment_if_any()?.as_ref() != Some(experiment) {
                // More epochs: the record of the run is of all of them.
                trainer.run.write_experiment(experiment)?;
            }
            trainer.record.write(&trainer.run)?;
        } else {
            // The experiment is written after the first checkpoint, so that any directory with an experiment
            // can be resumed.
            let (snapshot, run) = (trainer.snapshot()?, trainer.run.clone());
            let (experiment, record) = (experiment.clone(), trainer.record.clone());
            let first = move || {
                snapshot()?;
                record.write(&run)?;
                run.write_experiment(&experiment)
            };
            trainer.writer.start(Box::new(first))?;
        }
        Ok(trainer)
    }

    /// Trains to the end.
    ///
    /// # Errors
    /// If training diverges, is interrupted, or the device or the disk fails.
    pub fn run(mut self) -> Result<Outcome, TrainError> {
        self.announce();
        let end = loop {
            match self.train() {
                Ok(end) => break end,
                // Continues if the bad step may be skipped.
                Err(error) => {
                    if let Err(error) = self.leave_out(error) {
                        self.record_divergence(&error);
                        return Err(error);
                    }
                }
            }
        };
        Ok(Outcome {
            history: self.history,
            best_epoch: self.progress.best_epoch,
            best: self.best,
            predictions: self.best_predictions,
            end,
        })
    }

    fn train(&mut self) -> Result<Event, TrainError> {
        while !self.course().is_stale(&self.progress) {
            if self.progress.position == self.steps_per_epoch {
                self.end_epoch()?;
            } else if self.progress.step < self.total_steps {
                self.epoch()?;
            } else {
                break;
            }
        }
        self.save()?;
        self.writer.finish()?;
        if self.history.is_empty() {
            // The step limit is less than an epoch: validate now, but after the checkpoint, so that a resumed
            // run does not see this extra validation.
            let steps = self.steps_counted(self.progress.position);
            self.progress.epoch += 1;
            self.judge(f64::from_bits(self.progress.loss_sum) / steps)?;
            self.progress.epoch -= 1;
            self.writer.finish()?;
        }
        self.finish(self.started.elapsed().as_secs_f64())
    }

    fn announce(&mut self) {
        let compiled = &self.engine.compiled;
        let parameters = compiled.layout.parameters().map(|(_, s)| s.words as u64).sum();
        let kernels_per_step = self.engine.kernels_per_step();
        let peak_bytes = self.engine.session().allocated_bytes();
        let event = Event::Start {
            name: self.task.experiment.name.clone(),
            device: self.engine.session().info().clone(),
            parameters,
            kernels_per_step,
            peak_bytes,
            train_samples: self.task.data.train.rows,
            validation_samples: self.task.data.validation.rows,
            steps_per_epoch: self.steps_per_epoch,
            resumed_from_step: self.progress.step,
        };
        self.observer.event(&event);
    }

    /// Runs the rest of the current epoch in groups of steps.
    fn epoch(&mut self) -> Result<(), TrainError> {
        self.set_order()?;
        while self.progress.position < self.steps_per_epoch && self.progress.step < self.total_steps {
            if self.passes_over() {
                continue;
            }
            let count = self.group_size();
            let first = self.progress.step + 1;
            let mut steps: Vec<StepRecord> = (0..count).map(|i| self.record(i)).collect();
            let clock = Instant::now();
            let losses = self.engine.train(&mut steps)?;
            self.busy.0 += clock.elapsed().as_secs_f64();
            self.busy.1 += count;
            if self.first_step_seconds == 0.0 {
                self.first_step_seconds = self.task.options.started.unwrap_or(clock).elapsed().as_secs_f64();
            }
            self.count(first, &losses)?;
            self.writer.check()?;
            if self.observer.interrupted() || self.engine.is_to_stop() {
                self.save()?;
                self.writer.finish()?;
                let step = self.progress.step;
                return Err(TrainError::Interrupted { step, run: self.run.path.clone() });
            }
            if self.checkpoint_due() {
                self.save()?;
            }
        }
        Ok(())
    }

    /// Sets the row order of the current epoch.
    pub(super) fn set_order(&mut self) -> Result<(), TrainError> {
        let order = self.order();
        self.engine.set_order(0, &order)
    }

    /// The row order of the current epoch.
    pub(super) fn order(&self) -> Vec<u32> {
        self.course().order(self.progress.epoch)
    }

    fn course(&self) -> Course<'a> {
        Course { experiment: self.task.experiment, rows: &self.task.data.train }
    }

    /// Steps of the next group: as many as fit the time between checks, up to the next scheduled action.
    fn group_size(&self) -> u64 {
        let by_time = match self.busy {
            (_, 0) => FIRST_GROUP as u64,
            (seconds, steps) => ((GROUP_SECONDS * steps as f64 / seconds.max(1e-9)) as u64).max(1),
        };
        let mut count = by_time
            .min(self.engine.loss_slots() as u64)
            .min(self.steps_per_epoch - self.progress.position)
            .min(self.total_steps - self.progress.step);
        let next_multiple = |every: u64| every - self.progress.step % every;
        if let Some(every) = self.task.options.log_every.filter(|&n| n > 0) {
            count = count.min(next_multiple(every));
        }
        if let Some(every) = self.task.experiment.train.checkpoint_every_steps {
            count = count.min(next_multiple(every));
        }
        count.min(self.before_the_next_left_out()).max(1)
    }

    pub(super) fn record(&self, ahead: u64) -> StepRecord {
        self.course().record(&self.progress, ahead, |step| self.engine.optimizer_scalars(step))
    }

    fn learning_rate(&self, step: u64) -> f64 {
        self.course().learning_rate(step)
    }

    /// Records the losses of a group of steps, the first of which is `first`.
    fn count(&mut self, first: u64, losses: &[f32]) -> Result<(), TrainError> {
        let mut sum = f64::from_bits(self.progress.loss_sum);
        for (step, &loss) in (first..).zip(losses) {
            if !loss.is_finite() {
                return Err(TrainError::diverged(step, "training loss".into(), f64::from(loss)));
            }
            sum += f64::from(loss);
            self.logged.0 += f64::from(loss);
            self.logged.1 += 1;
        }
        self.progress.loss_sum = sum.to_bits();
        let discriminator = self.count_opponent(first)?;
        self.progress.step += losses.len() as u64;
        self.progress.position += losses.len() as u64;
        let step = self.progress.step;
        if self.task.options.log_every.is_some_and(|n| n > 0 && step.is_multiple_of(n)) {
            let loss = Number(self.logged.0 / self.logged.1.max(1) as f64);
            let logged = self.logged_discriminator / self.logged.1.max(1) as f64;
            let discriminator = discriminator.map(|_| Number(logged));
            let learning_rate = self.learning_rate(step);
            self.observer.event(&Event::Step { step, loss, discriminator, learning_rate });
            (self.logged, self.logged_discriminator) = ((0.0, 0), 0.0);
        }
        let recent = losses.iter().map(|&l| f64::from(l)).sum::<f64>() / losses.len().max(1) as f64;
        let epoch = self.progress.epoch + 1;
        self.observer.tick(&Tick { step, steps: self.total_steps, epoch, loss: recent, discriminator });
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<(), TrainError> {
        self.progress.epoch += 1;
        self.progress.position = 0;
        self.engine.begin_streams()?;
        let train_loss = f64::from_bits(self.progress.loss_sum) / self.steps_counted(self.steps_per_epoch);
        self.progress.loss_sum = 0f64.to_bits();
        self.judge(train_loss)
    }

    /// Validates, keeps the best weights, and reports.
    fn judge(&mut self, train_loss: f64) -> Result<(), TrainError> {
        let predictions = self.engine.evaluate()?;
        let loss = predictions.loss(&self.task.experiment.train.loss);
        let (epoch, step) = (self.progress.epoch, self.progress.step);
        if !loss.is_finite() {
            return Err(TrainError::diverged(step, "validation loss".into(), loss));
        }
        let mut validation = self.numbers(loss, &predictions);
        validation.0.extend(self.alike(&self.task.data.validation, &predictions)?);
        // What the best epoch has least of.
        let loss = validation.get(FRECHET).unwrap_or(loss);
        if !loss.is_finite() {
            return Err(TrainError::diverged(step, "Frechet distance of the validation".into(), loss));
        }
        let discriminator = self.opponent_of_epoch();
        let settings = self.task.experiment.settings();
        let task = tasks::of(settings, &self.task.data.fitted);
        task.keep(&self.run.path, epoch, &predictions)?;
        let learning_rate = self.learning_rate(step);
        self.history.push(HistoryRow {
            epoch,
            step,
            learning_rate,
            train_loss,
            discriminator,
            validation: validation.clone(),
        });
        if let Some(text) = task.warning(&self.history) {
            self.observer.note(&text);
        }
        if self.course().judge(&mut self.progress, loss) {
            self.best = validation;
            self.best_predictions = predictions;
            let weights = self.engine.weights()?;
            self.check_finite(&weights)?;
            if self.task.experiment.train.skip_non_finite_steps > 0 {
                // A checkpoint would detect it later, and training would return to a point before this epoch.
                let state = self.engine.optimizer_state()?;
                self.check_finite(&state)?;
            }
            let fitted = decide::fitted(&self.task, &self.best_predictions).into_owned();
            let meta = Meta::new(fitted, self.task.data.digest.clone(), None);
            let path = self.run.best();
            // Jobs run in order: no checkpoint that refers to these weights is written before them.
            self.writer.start(Box::new(move || checkpoint::save(&path, &weights, &meta)))?;
        }
        self.lines.write(&self.run.history(), &self.history)?;
        self.publish()
    }
}
