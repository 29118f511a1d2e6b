//! Where a training diverged. Losses are looked at in groups of steps and weights only when they are saved, so the
//! steps since the newest checkpoint are repeated, with the same bits, and looked at one by one.

use std::time::Instant;

use super::TrainError;
use super::checkpoint::NamedTensor;
use super::epochs::Trainer;
use super::run::Newest;
use crate::scalar::StepRecord;

/// Steps between two looks at the weights, before the group with the bad step is known.
const GROUP: u64 = 64;
/// The user waits no longer than this for a better message.
const MOST_SECONDS: f64 = 10.0;

/// The first number of a list of tensors that is not finite: the tensor's name and the number.
pub(super) fn not_finite(tensors: &[NamedTensor]) -> Option<(String, f64)> {
    tensors.iter().find_map(|(name, _, data)| {
        let bad = data.iter().find(|x| !x.is_finite())?;
        Some((format!("tensor `{name}`"), f64::from(*bad)))
    })
}

impl Trainer<'_> {
    /// The error with the first bad step and the first bad tensor of that step, if they can be found.
    pub(super) fn locate(&mut self, error: TrainError) -> TrainError {
        let TrainError::Diverged { step, .. } = error else { return error };
        self.first_bad_step(step).ok().flatten().unwrap_or(error)
    }

    /// Repeats the steps from the newest checkpoint up to `noticed`.
    fn first_bad_step(&mut self, noticed: u64) -> Result<Option<TrainError>, TrainError> {
        let started = Instant::now();
        self.writer.finish()?;
        let Newest { tensors, meta, .. } = self.run.newest()?;
        let (mut good, mut progress) = (tensors, meta.progress.unwrap_or_default());
        let mut group = GROUP;
        self.engine.restore(&good, true)?;
        self.progress = progress.clone();
        while self.progress.step < noticed && started.elapsed().as_secs_f64() < MOST_SECONDS {
            if self.progress.position == self.steps_per_epoch {
                self.progress.position = 0;
                self.progress.epoch += 1;
            }
            self.set_order()?;
            let left = (self.steps_per_epoch - self.progress.position).min(noticed - self.progress.step);
            let count = group.min(left).min(self.engine.loss_slots() as u64);
            let mut steps: Vec<StepRecord> = (0..count).map(|i| self.record(i)).collect();
            let losses = self.engine.train(&mut steps)?;
            let tensors = self.tensors()?;
            let loss = losses.iter().find(|loss| !loss.is_finite());
            let loss = loss.map(|&loss| ("training loss".to_string(), f64::from(loss)));
            self.progress.step += count;
            self.progress.position += count;
            match loss.or_else(|| not_finite(&tensors)) {
                None => (good, progress) = (tensors, self.progress.clone()),
                // The loss comes of weights that were finite, and the weights of the step after it.
                Some((what, value)) if count == 1 => {
                    return Ok(Some(TrainError::Diverged { step: self.progress.step, what, value }));
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
