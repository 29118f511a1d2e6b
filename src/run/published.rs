//! What an epoch tells those who watch: TensorBoard, `watch.jsonl`, the observer. Training reads nothing of it.

use super::epochs::Trainer;
use crate::base::number::Numbers;
use crate::train::TrainError;
use crate::train::events::Event;
use crate::train::watched::{self, Layer, Record};

impl Trainer<'_> {
    /// Tells the results of the newest epoch.
    ///
    /// # Errors
    /// If the disk is full, or the device fails.
    pub(super) fn publish(&mut self) -> Result<(), TrainError> {
        let Some(row) = self.history.last().cloned() else { return Ok(()) };
        let (epoch, step) = (row.epoch, row.step);
        let mut scalars =
            vec![("loss/train".into(), row.train_loss), ("learning_rate".into(), row.learning_rate)];
        scalars.extend(row.discriminator.map(|loss| ("discriminator/train".into(), loss)));
        scalars.extend(row.validation.0.iter().map(|(name, x)| (format!("{name}/validation"), *x)));
        self.tensorboard.scalars(step, &scalars)?;
        // Only generators leave samples.
        if let Ok(png) = std::fs::read(watched::samples(&self.run.path, epoch)) {
            self.tensorboard.picture(step, "samples", &png)?;
        }
        if watched::is_recorded(epoch, self.task.experiment.train.epochs as u64) {
            let layers = self.layers()?;
            self.tensorboard.histograms(step, &layers)?;
            self.watched.append(&self.run.path, &Record { epoch, step, layers })?;
        }
        let own = row.discriminator.map(|loss| ("discriminator", loss));
        let train = Numbers(std::iter::once(("loss", row.train_loss)).chain(own).collect());
        self.observer.event(&Event::Epoch { epoch, step, train, validation: row.validation });
        Ok(())
    }

    /// The weights and the gradients of the last step, tensor by tensor.
    fn layers(&mut self) -> Result<Vec<Layer>, TrainError> {
        let gradients = self.engine.last_gradients()?;
        let of =
            |name: &str| gradients.iter().find(|(known, _)| known == name).map(|(_, values)| &values[..]);
        Ok(self.engine.weights()?.iter().map(|tensor| Layer::of(tensor, of(&tensor.0))).collect())
    }
}
