//! The losses of a discriminator, beside those of the generator it is trained against.

use super::epochs::Trainer;
use crate::train::TrainError;

impl Trainer<'_> {
    /// Records the discriminator's losses of the group of steps that starts with `first`, if there is one; returns
    /// their mean.
    ///
    /// # Errors
    /// If one is not finite.
    pub(super) fn count_opponent(&mut self, first: u64) -> Result<Option<f64>, TrainError> {
        let losses = self.engine.opponent_losses();
        if losses.is_empty() {
            return Ok(None);
        }
        // One after the other, so that the sum does not depend on the groups.
        let mut sum = self.progress.discriminator_sum.map_or(0.0, f64::from_bits);
        let mut logged = 0.0;
        for (step, &loss) in (first..).zip(losses) {
            let loss = f64::from(loss);
            if !loss.is_finite() {
                return Err(TrainError::diverged(step, "training loss of the discriminator".into(), loss));
            }
            sum += loss;
            logged += loss;
        }
        let mean = logged / losses.len() as f64;
        self.progress.discriminator_sum = Some(sum.to_bits());
        self.logged_discriminator += logged;
        Ok(Some(mean))
    }

    /// The discriminator's mean loss since the last epoch, if there is one; the next sum starts from 0.
    pub(super) fn opponent_of_epoch(&mut self) -> Option<f64> {
        let before = self.history.last().map_or(0, |row| row.step);
        let steps = self.steps_counted(self.progress.step.saturating_sub(before));
        self.progress.discriminator_sum.take().map(|sum| f64::from_bits(sum) / steps)
    }
}
