//! Finds where training diverged. Losses are checked per group of steps and weights only when they are saved,
//! so the steps since the newest checkpoint are repeated with the same bits and checked one by one. If the
//! experiment allows it, training continues without the bad step.

use std::time::Instant;

use super::directory::Newest;
use super::epochs::Trainer;
use crate::base::step::StepRecord;
use crate::train::TrainError;
use crate::train::checkpoint::NamedTensor;
use crate::train::history::Lines;
use crate::train::metrics::Predictions;
use crate::train::tensorboard::EventFile;

/// Steps between two checks of the weights, before the group with the bad step is known.
const GROUP: u64 = 64;
/// Time limit for improving the error message.
const MOST_SECONDS: f64 = 10.0;

/// The first non-finite number in a list of tensors: the tensor's name and the number.
pub(super) fn not_finite(tensors: &[NamedTensor]) -> Option<(String, f64)> {
    tensors.iter().find_map(|(name, _, data)| {
        let bad = data.iter().find(|x| !x.is_finite())?;
        Some((format!("tensor `{name}`"), f64::from(*bad)))
    })
}

impl Trainer<'_> {
    /// Handles a bad step: returns to the newest checkpoint, to continue without that step.
    ///
    /// # Errors
    /// If the experiment does not allow skipping, the error names the first bad step and tensor where they
    /// can be found; other errors are returned unchanged.
    pub(super) fn leave_out(&mut self, error: TrainError) -> Result<(), TrainError> {
        let TrainError::Diverged { step: noticed, .. } = error else { return Err(error) };
        let mut skipped = self.progress.skipped.clone();
        let found = match self.first_bad_step(noticed) {
            Ok(Some(found)) => found,
            Err(lost @ TrainError::Device(_)) => return Err(lost),
            _ => return Err(error),
        };
        let TrainError::Diverged { step, ref what, value, .. } = found else { return Err(found) };
        let allowed = self.task.experiment.train.skip_non_finite_steps;
        // If a step that was already skipped is found again, the weights before it are bad.
        if skipped.len() as u64 >= allowed || skipped.contains(&step) {
            return Err(found);
        }
        skipped.push(step);
        let note = format!("step {step} is skipped ({} of {allowed}): the {what} is {value}", skipped.len());
        self.observer.note(&note);
        self.go_back(skipped)
    }

    /// Records that training ended because it diverged, if it did.
    pub(super) fn record_divergence(&mut self, error: &TrainError) {
        if let TrainError::Diverged { .. } = error {
            self.record.diverged = true;
            // What is told is why training ended, not that this could not be recorded. The writer may still
            // be about to write the record of the beginning.
            let _ = self.writer.finish().and_then(|()| self.record.write(&self.run));
        }
    }

    /// Returns to the state of the newest checkpoint.
    fn go_back(&mut self, skipped: Vec<u64>) -> Result<(), TrainError> {
        let Newest { tensors, meta, .. } = self.run.newest()?;
        self.engine.restore(&tensors, true)?;
        self.progress = meta.progress.unwrap_or_default();
        self.progress.skipped = skipped;
        let progress = &self.progress;
        self.history.retain(|row| row.epoch <= progress.epoch);
        self.lines = Lines::default();
        let best = self.history.iter().find(|row| row.epoch == progress.best_epoch);
        self.best = best.map(|row| row.validation.clone()).unwrap_or_default();
        self.best_predictions = Predictions::default();
        self.tensorboard = EventFile::create(&self.run.path, Some(progress.step + 1))?;
        self.last_checkpoint = (Instant::now(), progress.step);
        (self.logged, self.logged_discriminator) = ((0.0, 0), 0.0);
        Ok(())
    }

    /// Skips the next step if it is marked: it counts, but changes nothing.
    pub(super) fn passes_over(&mut self) -> bool {
        let next = self.progress.step + 1;
        let left_out = self.progress.skipped.contains(&next);
        if left_out {
            self.progress.step = next;
            self.progress.position += 1;
        }
        left_out
    }

    /// Number of steps before the next skipped one.
    pub(super) fn before_the_next_left_out(&self) -> u64 {
        let later = self.progress.skipped.iter().filter(|&&step| step > self.progress.step);
        later.min().map_or(u64::MAX, |step| step - self.progress.step - 1)
    }

    /// How many of the last `steps` have a loss.
    pub(super) fn steps_counted(&self, steps: u64) -> f64 {
        let now = self.progress.step;
        let last = now.saturating_sub(steps) + 1..=now;
        let left_out = self.progress.skipped.iter().filter(|&step| last.contains(step)).count() as u64;
        (steps - left_out).max(1) as f64
    }

    /// Repeats the steps from the newest checkpoint up to `noticed`.
    fn first_bad_step(&mut self, noticed: u64) -> Result<Option<TrainError>, TrainError> {
        let started = Instant::now();
        self.writer.finish()?;
        let skipped = self.progress.skipped.clone();
        let Newest { tensors, meta, .. } = self.run.newest()?;
        let (mut good, mut progress) = (tensors, meta.progress.unwrap_or_default());
        progress.skipped = skipped;
        let mut group = GROUP;
        self.engine.restore(&good, true)?;
        self.progress = progress.clone();
        while self.progress.step < noticed && started.elapsed().as_secs_f64() < MOST_SECONDS {
            if self.progress.position == self.steps_per_epoch {
                self.progress.position = 0;
                self.progress.epoch += 1;
                self.engine.begin_streams()?;
            }
            if self.passes_over() {
                progress = self.progress.clone();
                continue;
            }
            self.set_order()?;
            let left = (self.steps_per_epoch - self.progress.position).min(noticed - self.progress.step);
            let slots = self.engine.loss_slots() as u64;
            let count = group.min(left).min(slots).min(self.before_the_next_left_out());
            let mut steps: Vec<StepRecord> = (0..count).map(|i| self.record(i)).collect();
            let mut losses = self.engine.train(&mut steps)?;
            losses.extend(self.engine.opponent_losses());
            let tensors = self.tensors()?;
            let loss = losses.iter().find(|loss| !loss.is_finite());
            let loss = loss.map(|&loss| ("training loss".to_string(), f64::from(loss)));
            let (order, record) = (self.order(), steps[0]);
            self.progress.step += count;
            self.progress.position += count;
            match loss.or_else(|| not_finite(&tensors)) {
                None => (good, progress) = (tensors, self.progress.clone()),
                // The loss and the next weights follow from weights that were finite.
                Some((what, value)) if count == 1 => {
                    let origin = if self.task.options.anomaly {
                        let unknown = |e: TrainError| format!("the operator cannot be named: {e}");
                        self.anomaly(&good, record, &order).unwrap_or_else(unknown)
                    } else {
                        String::new()
                    };
                    return Ok(Some(TrainError::Diverged { step: self.progress.step, what, value, origin }));
                }
                Some(_) => {
                    group = 1;
                    self.engine.restore(&good, true)?;
                    self.progress = progress.clone();
                }
            }
        }
        Ok(None)
    }
}
