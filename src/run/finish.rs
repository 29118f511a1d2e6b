//! The end of a training: predictions of the best weights, the report, the `end` event.

use super::audit;
use super::autoencoder;
use super::epochs::{Task, Trainer};
use super::portrait::portrait;
use super::text;
use super::trainer::peak_host_bytes;
use crate::data::FittedTarget;
use crate::report::Report;
use crate::train::TrainError;
use crate::train::checkpoint;
use crate::train::engine::{self, Engine};
use crate::train::events::Event;

impl Trainer<'_> {
    /// The `end` event, once everything is written.
    ///
    /// # Errors
    /// If the best weights cannot be read, or the disk is full.
    pub(super) fn finish(&mut self, seconds: f64) -> Result<Event, TrainError> {
        if self.best_predictions.truth.is_empty() {
            // A resumed run whose best epoch lies before the interruption.
            let current = self.engine.weights()?;
            self.engine.restore(&checkpoint::load(&self.run.best())?.0, false)?;
            self.best_predictions = self.engine.evaluate()?;
            self.engine.restore(&current, false)?;
        }
        if self.best.0.is_empty() {
            // Its line of metrics.csv was removed.
            let loss = self.best_predictions.loss(&self.task.experiment.train.loss);
            self.best = self.best_predictions.numbers(loss, &self.task.data.fitted.target);
        }
        let steps_per_second = self.busy.1 as f64 / self.busy.0.max(1e-9);
        if !self.task.options.without_report {
            self.write_report(steps_per_second)?;
        }
        self.record.weights_digest = Some(audit::weights_digest(&checkpoint::load(&self.run.best())?.0));
        self.record.write(&self.run)?;
        let end = Event::End {
            run: self.run.path.display().to_string(),
            epochs: self.progress.epoch,
            steps: self.progress.step,
            best_epoch: self.progress.best_epoch,
            best: self.best.clone(),
            seconds,
            steps_per_second,
            first_step_seconds: self.first_step_seconds,
            peak_host_bytes: peak_host_bytes(),
        };
        self.observer.event(&end);
        Ok(end)
    }

    fn write_report(&mut self, steps_per_second: f64) -> Result<(), TrainError> {
        let Task { experiment, data, device, model, options, .. } = self.task;
        let weights = checkpoint::load(&self.run.best())?.0;
        let with_weights = |rows| -> Result<Engine, TrainError> {
            let mut engine = Engine::new(device, model, None, rows)?;
            engine.restore(&weights, false)?;
            Ok(engine)
        };
        let tested = data.test.rows > 0;
        let test = if tested { Some(with_weights(&data.test)?.evaluate()?) } else { None };
        let portrait = match model.decoder() {
            None => None,
            Some(decoder) => {
                let rows = if tested { &data.test } else { &data.validation };
                let scores = autoencoder::evaluate(&mut with_weights(rows)?, autoencoder::DRAWS)?;
                Some(portrait(device, &decoder, &weights, rows, &scores)?)
            }
        };
        let written = match &data.fitted.target {
            FittedTarget::Text(_) => {
                let restore = |engine: &mut Engine| engine.restore(&weights, false);
                text::write(experiment, &data.fitted, restore, &text::SHOWN, device)?.pop()
            }
            _ => None,
        };
        let step = engine::step(self.task.training.accumulate);
        let plan = self.engine.compiled.report(&step, |_| [1, 1, 1]);
        let report = Report {
            name: &experiment.name,
            seed: experiment.seed,
            experiment: &experiment.resolved(),
            loss: &experiment.train.loss,
            source: &experiment.data.source,
            data,
            device: device.info(),
            history: &self.history,
            best_epoch: self.progress.best_epoch,
            best: &self.best,
            validation: &self.best_predictions,
            test: test.as_ref(),
            portrait: portrait.as_ref(),
            written: written.as_deref(),
            weights: &weights,
            layers: &self.engine.graph.summary,
            plan: &plan,
            trials: &options.trials,
            steps_per_second,
        };
        self.run.write_text("report.html", &report.html())
    }
}
