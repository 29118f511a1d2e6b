//! What a resumed training goes on from: the newest checkpoint, the history up to it, and the best weights.

use super::decide;
use super::directory::{Newest, RunDirectory};
use super::job::Job;
use super::likeness::FRECHET;
use crate::base::number::Numbers;
use crate::train::TrainError;
use crate::train::checkpoint::{self, Meta, NamedTensor, Progress};
use crate::train::engine::Engine;
use crate::train::events::Observer;
use crate::train::history::{self, HistoryRow};

/// Where a training stands.
pub(super) struct Position {
    pub progress: Progress,
    pub history: Vec<HistoryRow>,
    /// Loss and metrics of the best epoch; empty if they are not known.
    pub best: Numbers,
}

/// Where a training stands before its first step.
pub(super) fn beginning() -> Position {
    let progress = Progress { best_loss: f64::INFINITY.to_bits(), ..Progress::default() };
    Position { progress, history: vec![], best: Numbers::default() }
}

/// Restores the newest checkpoint of a run.
///
/// # Errors
/// If there is none, or it does not match the model and the data.
pub(super) fn newest(
    task: &Job,
    engine: &mut Engine,
    run: &RunDirectory,
    observer: &mut dyn Observer,
) -> Result<Position, TrainError> {
    let Newest { tensors, meta, damaged } = run.newest()?;
    for error in damaged {
        observer.note(&format!("{error}; resuming from the previous checkpoint"));
    }
    if meta.data_digest != task.data.digest {
        let reason = "the data file has changed since the run began; a resumed run would not be the same run";
        return Err(TrainError::Input(reason.into()));
    }
    engine.restore(&tensors, true)?;
    let mut progress = meta.progress.unwrap_or_default();
    let history = history::read(&run.history(), progress.epoch)?;
    let mut best = history.iter().find(|r| r.epoch == progress.best_epoch).map(|r| r.validation.clone());
    if progress.best_epoch > 0 {
        if run.best().exists() {
            // Report now, not at the end, if the best weights are damaged.
            checkpoint::load(&run.best())?;
        } else {
            if !recover_best(task, engine, run, &mut progress)? {
                best = None;
                observer.note(&format!(
                    "{}: the best weights are missing; those of step {} take their place",
                    run.best().display(),
                    progress.step
                ));
            }
            // An evaluation may have touched what the next step reads.
            engine.restore(&tensors, true)?;
        }
    }
    Ok(Position { progress, history, best: best.unwrap_or_default() })
}

/// Writes the missing best weights: from the checkpoint of the best epoch (returns true), or else the current
/// ones, which then count as the best so far.
fn recover_best(
    task: &Job,
    engine: &mut Engine,
    run: &RunDirectory,
    progress: &mut Progress,
) -> Result<bool, TrainError> {
    let current = engine.weights()?;
    let step = progress.best_epoch * (task.data.train.rows / task.experiment.rows_per_step()) as u64;
    let kept = checkpoint::load(&run.checkpoint(step)).ok().and_then(|(tensors, _)| {
        let find = |name: &String| tensors.iter().find(|tensor| tensor.0 == *name).cloned();
        current.iter().map(|(name, ..)| find(name)).collect::<Option<Vec<NamedTensor>>>()
    });
    let found = kept.is_some();
    if !found {
        let found = engine.evaluate()?;
        let alike = match (task.judge, &task.data.fitted.image) {
            (Some(judge), Some(image)) => judge.compare(task.device, image, &task.data.validation, &found)?,
            _ => vec![],
        };
        let distance = alike.iter().find(|(name, _)| *name == FRECHET).map(|(_, distance)| *distance);
        let loss = distance.unwrap_or_else(|| found.loss(&task.experiment.train.loss));
        progress.best_loss = loss.to_bits();
        progress.best_epoch = progress.epoch;
        progress.loss_to_beat = None;
    }
    let weights = kept.unwrap_or_else(|| current.clone());
    let fitted = if !decide::is_asked(task.experiment) {
        task.data.fitted.clone()
    } else {
        engine.restore(&weights, false)?;
        let validation = engine.evaluate()?;
        decide::fitted(task, &validation).into_owned()
    };
    let meta = Meta::new(fitted, task.data.digest.clone(), None);
    checkpoint::save(&run.best(), &weights, &meta)?;
    Ok(found)
}
