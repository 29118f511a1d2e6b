//! The `[tune]` table: tries every pair of learning rate and batch size for a few epochs and keeps the pair
//! with the lowest validation loss.

use std::path::Path;
use std::time::Instant;

use super::directory::RunDirectory;
use super::job::Options;
use super::trainer;
use crate::base::number;
use crate::data::Loaded;
use crate::device::Device;
use crate::experiment::Experiment;
use crate::report::Trial;
use crate::train::TrainError;
use crate::train::events::{Event, Observer, Tick};

/// Forwards interrupts and notes, but hides the trials' own events.
pub(super) struct Quiet<'a>(pub(super) &'a mut dyn Observer);

impl Observer for Quiet<'_> {
    fn event(&mut self, _event: &Event) {}

    fn tick(&mut self, tick: &Tick) {
        self.0.tick(tick);
    }

    fn note(&mut self, text: &str) {
        self.0.note(text);
    }

    fn interrupted(&mut self) -> bool {
        self.0.interrupted()
    }
}

/// Tries the settings of `[tune]`; returns the experiment with the best pair, and all trials in order. Trials
/// leave no files. The first of equal pairs wins.
///
/// # Errors
/// If a batch size is larger than the training rows, every pair diverges, the device fails, or the user
/// interrupts.
pub fn tune(
    experiment: &Experiment,
    data: &Loaded,
    device: &dyn Device,
    observer: &mut dyn Observer,
) -> Result<(Experiment, Vec<Trial>), TrainError> {
    let experiment = &trainer::sized(experiment, data, &mut |text| observer.note(text));
    let Some(config) = &experiment.tune else { return Ok((experiment.clone(), vec![])) };
    let or_own = |given: &[f64], own: f64| if given.is_empty() { vec![own] } else { given.to_vec() };
    let rates = or_own(&config.learning_rate, experiment.train.learning_rate);
    let own = [experiment.train.batch_size];
    let sizes: &[usize] = if config.batch_size.is_empty() { &own } else { &config.batch_size };
    for &size in sizes {
        trainer::check_batch(experiment, "tune.batch_size", size, data)?;
    }
    let (mut trials, mut best): (Vec<Trial>, Option<(f64, Experiment)>) = (vec![], None);
    for &batch_size in sizes {
        for &learning_rate in &rates {
            let mut tried = experiment.clone();
            tried.train.learning_rate = learning_rate;
            tried.train.batch_size = batch_size;
            let started = Instant::now();
            let loss = trial(&tried, config.epochs, data, device, observer)?;
            let seconds = started.elapsed().as_secs_f64();
            let shown = if loss.is_finite() { number::shown(loss) } else { "diverged".into() };
            observer.note(&format!(
                "tried learning rate {learning_rate}, batch size {batch_size}: validation loss {shown} \
                 ({seconds:.1} s)"
            ));
            trials.push(Trial { learning_rate, batch_size, loss, seconds });
            if loss.is_finite() && best.as_ref().is_none_or(|(least, _)| loss < *least) {
                best = Some((loss, tried));
            }
        }
    }
    let reason = "[tune]: training diverged with every pair of settings; try smaller learning rates";
    let (_, chosen) = best.ok_or_else(|| TrainError::Input(reason.into()))?;
    let (rate, size) = (chosen.train.learning_rate, chosen.train.batch_size);
    observer.note(&format!("training with learning rate {rate}, batch size {size}"));
    Ok((chosen, trials))
}

/// The lowest validation loss of a short training in a temporary directory.
fn trial(
    tried: &Experiment,
    epochs: usize,
    data: &Loaded,
    device: &dyn Device,
    observer: &mut dyn Observer,
) -> Result<f64, TrainError> {
    let mut short = tried.clone();
    short.train.epochs = epochs;
    short.tune = None;
    let scratch = tempfile::tempdir().map_err(|e| TrainError::io(&std::env::temp_dir(), &e))?;
    let options = Options { out: scratch.path().join("trial"), without_report: true, ..Options::default() };
    match trainer::train(&short, data, device, &options, &mut Quiet(observer)) {
        Ok(outcome) => Ok(outcome.best.get("loss").unwrap_or(f64::INFINITY)),
        Err(TrainError::Diverged { .. }) => Ok(f64::INFINITY),
        Err(TrainError::Interrupted { .. }) => Err(TrainError::TuningInterrupted),
        Err(other) => Err(other),
    }
}

/// The experiment with the learning rate and batch size that an earlier run at `out` was tuned to, which a
/// resumed run uses instead of tuning again.
///
/// # Errors
/// If there is no run at `out`.
pub fn settings_of_run(experiment: &Experiment, out: &Path) -> Result<Experiment, TrainError> {
    let mut experiment = experiment.clone();
    if experiment.tune.is_some() {
        let begun = RunDirectory::open(out)?.experiment()?;
        experiment.train.learning_rate = begun.train.learning_rate;
        experiment.train.batch_size = begun.train.batch_size;
    }
    Ok(experiment)
}
