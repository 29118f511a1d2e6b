//! When training saves a checkpoint, and its contents.

use std::time::Instant;

use super::diagnose;
use super::epochs::Trainer;
use crate::train::TrainError;
use crate::train::checkpoint::{Meta, NamedTensor};
use crate::train::writer::Job;

/// Default seconds between checkpoints.
const CHECKPOINT_SECONDS: f64 = 30.0;

impl Trainer<'_> {
    /// Rejects non-finite numbers, which must not be saved.
    pub(super) fn check_finite(&self, tensors: &[NamedTensor]) -> Result<(), TrainError> {
        let step = self.progress.step;
        diagnose::not_finite(tensors)
            .map_or(Ok(()), |(what, value)| Err(TrainError::diverged(step, what, value)))
    }

    /// Whether a checkpoint is due by steps or by time, whichever comes first.
    pub(super) fn checkpoint_due(&self) -> bool {
        let config = &self.task.experiment.train;
        let (at, step) = self.last_checkpoint;
        let by_steps = config.checkpoint_every_steps.map(|every| self.progress.step / every > step / every);
        let passed = at.elapsed().as_secs_f64();
        let by_time = match config.checkpoint_every_minutes {
            Some(minutes) => passed >= 60.0 * minutes,
            None => by_steps.is_none() && passed >= CHECKPOINT_SECONDS,
        };
        by_time || by_steps == Some(true)
    }

    /// Passes a snapshot to the writer.
    pub(super) fn save(&mut self) -> Result<(), TrainError> {
        let snapshot = self.snapshot()?;
        self.writer.start(snapshot)?;
        self.last_checkpoint = (Instant::now(), self.progress.step);
        Ok(())
    }

    /// Weights, running statistics, optimizer state and carried states.
    pub(super) fn tensors(&mut self) -> Result<Vec<NamedTensor>, TrainError> {
        let mut tensors = self.engine.weights()?;
        tensors.extend(self.engine.optimizer_state()?);
        tensors.extend(self.engine.carried()?);
        Ok(tensors)
    }

    /// Copies everything a checkpoint holds; the returned job writes it.
    pub(super) fn snapshot(&mut self) -> Result<Job, TrainError> {
        let tensors = self.tensors()?;
        self.check_finite(&tensors)?;
        let progress = Some(self.progress.clone());
        let meta = Meta::new(self.task.data.fitted.clone(), self.task.data.digest.clone(), progress);
        let (step, best) = (self.progress.step, self.progress.best_epoch * self.steps_per_epoch);
        let run = self.run.clone();
        Ok(Box::new(move || run.save(step, best, &tensors, &meta)))
    }
}
