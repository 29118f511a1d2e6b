//! The same for hosts that must not wait, as browsers: results are awaited, and then read as usual.

use super::Engine;
use crate::base::step::StepRecord;
use crate::plan::Slice;
use crate::train::TrainError;
use crate::train::checkpoint::NamedTensor;
use crate::train::metrics::Predictions;

impl Engine {
    /// As [`Engine::train`], of a model that no other process trains too.
    ///
    /// # Errors
    /// If the device fails.
    pub async fn train_awaited(&mut self, steps: &mut [StepRecord]) -> Result<Vec<f32>, TrainError> {
        self.enqueue(steps)?;
        let parts: Vec<Slice> = match self.plays() {
            true => self.places_of_turns(steps.len()).into_iter().map(|(_, slice)| slice).collect(),
            false => {
                let words = steps.len() * self.micro_batches();
                self.losses().into_iter().map(|slice| Slice { words, ..slice }).collect()
            }
        };
        self.session.fetch(&parts).await?;
        self.losses_of(steps.len())
    }

    /// As [`Engine::evaluate`].
    ///
    /// # Errors
    /// If the device fails.
    pub async fn evaluate_awaited(&mut self) -> Result<Predictions, TrainError> {
        self.begin_anew(1)?;
        let batches = self.evaluation_batches();
        self.enqueue_evaluation(0, 0, batches)?;
        self.session.fetch(&self.evaluation_places(batches)).await?;
        let mut values = vec![];
        self.read_evaluation(batches, &mut values)?;
        Ok(self.evaluated(values))
    }

    /// As [`Engine::weights`].
    ///
    /// # Errors
    /// If the device fails.
    pub async fn weights_awaited(&mut self) -> Result<Vec<NamedTensor>, TrainError> {
        let layout = &self.compiled.layout;
        let parts: Vec<Slice> = layout.parameters().chain(&layout.states).map(|(_, slice)| *slice).collect();
        self.session.fetch(&parts).await?;
        self.weights()
    }
}
