//! The end of training: predictions of the best weights, the report, the `end` event.

use super::audit;
use super::certainty;
use super::decide;
use super::epochs::Trainer;
use super::evaluate;
use super::job::Job;
use super::opened::open;
use super::sure;
use crate::base::number::Numbers;
use crate::data::Dataset;
use crate::report::{Report, Scores};
use crate::tasks::{self, Shown, Trained};
use crate::train::TrainError;
use crate::train::checkpoint;
use crate::train::events::Event;
use crate::train::metrics::{Metric, Predictions};

impl Trainer<'_> {
    /// Writes everything and returns the `end` event.
    ///
    /// # Errors
    /// If the best weights cannot be read, or the disk is full.
    pub(super) fn finish(&mut self, seconds: f64) -> Result<Event, TrainError> {
        if self.best_predictions.truth.is_empty() {
            // A resumed run whose best epoch precedes the interruption.
            let current = self.engine.weights()?;
            self.engine.restore(&checkpoint::load(&self.run.best())?.0, false)?;
            self.best_predictions = self.engine.evaluate()?;
            self.engine.restore(&current, false)?;
        }
        if self.best.0.is_empty() {
            // Its line of metrics.csv was removed.
            let loss = self.best_predictions.loss(&self.task.experiment.train.loss);
            self.best = self.numbers(loss, &self.best_predictions);
        }
        let steps_per_second = self.busy.1 as f64 / self.busy.0.max(1e-9);
        if !self.task.options.without_report {
            self.calibrate()?;
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

    /// The loss of evaluated rows, followed by their metrics.
    pub(super) fn numbers(&self, loss: f64, predictions: &Predictions) -> Numbers {
        let fitted = decide::fitted(&self.task, predictions);
        let task = tasks::of(self.task.experiment.settings(), &fitted);
        tasks::numbers(&*task, loss, predictions)
    }

    /// How alike the images that a generator drew for `rows` are to them, if something judges that.
    pub(super) fn alike(
        &self,
        rows: &Dataset,
        drawn: &Predictions,
    ) -> Result<Vec<(&'static str, f64)>, TrainError> {
        let Job { judge, device, data, .. } = self.task;
        match (judge, &data.fitted.image) {
            (Some(judge), Some(image)) => judge.compare(device, image, rows, drawn),
            _ => Ok(vec![]),
        }
    }

    /// Keeps what intervals and sets are calibrated with.
    fn calibrate(&mut self) -> Result<(), TrainError> {
        let Job { experiment, data, .. } = self.task;
        let (_, meta) = checkpoint::load(&self.run.best())?;
        let temperature = meta.as_ref().and_then(|meta| meta.fitted.temperature);
        self.best_predictions.temperature = temperature;
        if experiment.uncertainty.temperature && temperature.is_none() {
            self.observer.note(
                "no temperature makes the probabilities of the validation rows likelier, all of which are right, or \
                 wrong; they are left as they are",
            );
        }
        let digest = meta.map(|meta| meta.digest().to_string()).unwrap_or_default();
        match sure::of_predictions(experiment, &self.best_predictions, &data.fitted.target, &digest) {
            Some(calibration) => calibration.save(&self.run.path.join(sure::FILE)),
            None => Ok(()),
        }
    }

    /// How sure predictions are, if the experiment asks for anything.
    fn sure(&self, shown: &Shown) -> Result<certainty::Found, TrainError> {
        let Job { experiment, device, .. } = self.task;
        if experiment.uncertainty.coverage.is_none() && !experiment.uncertainty.temperature {
            return Ok(certainty::Found::default());
        }
        let mut opened = open(&self.run.path)?;
        let request = evaluate::Request::default();
        let evaluation =
            evaluate::judge(&mut opened, shown.rows.clone(), shown.part.into(), &request, device)?;
        Ok(certainty::found(&opened, &evaluation, shown))
    }

    fn write_report(&mut self, steps_per_second: f64) -> Result<(), TrainError> {
        let Job { experiment, data, device, model, .. } = self.task;
        let (settings, fitted) =
            (experiment.settings(), &*decide::fitted(&self.task, &self.best_predictions));
        let weights = checkpoint::load(&self.run.best())?.0;
        let trained = Trained::alone(settings, fitted, &weights, &self.run.path, device);
        let task = tasks::of(settings, fitted);
        let scores = |part: &'static str, rows: &Dataset, found: &Predictions| {
            let alike = self.alike(rows, found)?.into_iter().map(|(name, value)| Metric { name, value });
            Ok::<_, TrainError>(Scores {
                part,
                loss: found.loss(&experiment.train.loss),
                metrics: task.metrics(found).into_iter().chain(alike).collect(),
                baselines: task.details(rows, found).baselines,
            })
        };
        let validation = &self.best_predictions;
        let mut all = vec![scores("validation", &data.validation, validation)?];
        let mut shown =
            Shown { part: "validation", rows: &data.validation, predictions: validation, intervals: None };
        let test;
        if data.test.rows > 0 {
            let found = trained.engine(model, &data.test)?.evaluate()?;
            test = Predictions { temperature: fitted.temperature, ..found };
            let scores = scores("test", &data.test, &test)?;
            let finite = scores.all().into_iter().filter(|(_, value)| value.is_finite());
            self.record.test = finite.map(|(name, value)| (name.to_string(), value)).collect();
            all.push(scores);
            shown = Shown { part: "test", rows: &data.test, predictions: &test, intervals: None };
        }
        let sure = self.sure(&shown)?;
        let shown = Shown { intervals: sure.intervals.as_ref(), ..shown };
        let step = self.engine.step();
        let plan = self.engine.compiled.report(&step, |_| [1, 1, 1]);
        let report = Report {
            name: &experiment.name,
            seed: experiment.seed,
            experiment: &experiment.resolved(),
            subject: &task.subject(),
            target: task.treatment(),
            source: &experiment.data.source,
            data,
            device: device.info(),
            history: &self.history,
            best_epoch: self.progress.best_epoch,
            best: &self.best,
            scores: &all,
            sections: &(task.sections(&trained, &shown)? + &sure.section),
            layers: &self.engine.graph.summary,
            plan: &plan,
            steps_per_second,
        };
        self.run.write_text("report.html", &report.html())
    }
}

/// Largest resident memory of this process, in bytes; 0 where the system does not tell.
fn peak_host_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
    1024 * kibibytes.unwrap_or(0)
}
