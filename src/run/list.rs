//! The runs in a directory, and what is known of each.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;

use super::audit::Record;
use super::directory::RunDirectory;
use super::likeness::FRECHET;
use super::manifest::{Manifest, is_ensemble, member};
use crate::base::number::Number;
use crate::experiment::Experiment;
use crate::nn::config::Family;
use crate::train::history::{self, HistoryRow};
use crate::train::{TrainError, lock};

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// All was trained, or training stopped early as it should.
    Finished,
    /// A process trains in its directory.
    Running,
    /// Training ended before, and can be resumed.
    Interrupted,
    /// Training ended because a number was not finite.
    Diverged,
    /// Its files cannot be read.
    Damaged,
}

impl State {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Diverged => "diverged",
            Self::Damaged => "damaged",
        }
    }
}

/// A number with the name of its metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Name of the metric.
    pub metric: String,
    /// Its value.
    pub value: Number,
}

/// What is known of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed {
    /// Run directory.
    pub run: String,
    /// How it stands.
    pub state: State,
    /// When its files were last written, in UTC.
    pub when: String,
    /// Name of the experiment.
    pub name: String,
    /// Kind of network; absent if the experiment cannot be read.
    pub family: Option<Family>,
    /// Source of the data, as in the experiment.
    pub data: String,
    /// Validated epochs.
    pub epochs: usize,
    /// Epochs that the experiment asks for.
    pub epochs_asked: usize,
    /// The epoch whose weights are kept: that with the least validation loss, or of a `gan` the least Frechet
    /// distance or the last; from 1.
    pub best_epoch: Option<u64>,
    /// The first metric of the best epoch on the validation rows, or the loss where there is none.
    pub validation: Option<Score>,
    /// The same metric on the test rows, if they were evaluated.
    pub test: Option<Score>,
    /// Why it cannot be read.
    pub damage: Option<String>,
}

/// A run, read from its directory.
pub(super) struct Known {
    pub experiment: Experiment,
    pub record: Option<Record>,
    pub history: Vec<HistoryRow>,
    pub state: State,
}

impl Known {
    /// Reads a run.
    ///
    /// # Errors
    /// If a file is damaged.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let directory = RunDirectory::open(path)?;
        let record = Record::read(&directory)?;
        let history = history::read_all(&directory.history())?;
        if history.is_empty() && record.as_ref().is_some_and(|record| record.weights_digest.is_some()) {
            let reason = "it has no epoch, though training ended; restore the file, or train again";
            return Err(TrainError::unusable(&directory.history(), reason));
        }
        let state = match &record {
            Some(record) if record.weights_digest.is_some() => State::Finished,
            _ if lock::is_taken(path) => State::Running,
            Some(record) if record.diverged => State::Diverged,
            _ => State::Interrupted,
        };
        Ok(Self { experiment: directory.experiment()?, record, history, state })
    }

    /// The epoch with the least validation loss: the first of equals, as in training; the last where no loss
    /// tells.
    pub fn best(&self) -> Option<&HistoryRow> {
        if self.experiment.settings().last_is_best() {
            return self.history.last();
        }
        let loss = |row: &HistoryRow| {
            let judged = row.validation.get(FRECHET).or(row.validation.get("loss"));
            judged.filter(|loss| !loss.is_nan())
        };
        let rows = self.history.iter().filter(|row| loss(row).is_some());
        rows.min_by(|a, b| loss(a).unwrap_or(0.0).total_cmp(&loss(b).unwrap_or(0.0)))
    }
}

/// The runs in a directory, the newest first; itself, if it is a run.
///
/// # Errors
/// If the directory cannot be read. Damaged runs are listed as such.
pub fn list(directory: &Path) -> Result<Vec<Listed>, TrainError> {
    if directory.join("experiment.toml").exists() || is_ensemble(directory) {
        return Ok(vec![listed(directory).1]);
    }
    let entries = std::fs::read_dir(directory).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
            let reason = "is no directory; give the one that holds run directories: gridlight list DIR";
            TrainError::unusable(directory, reason)
        }
        _ => TrainError::io(directory, &e),
    })?;
    let paths = entries.flatten().map(|entry| entry.path()).filter(|path| is_run(path));
    let mut runs: Vec<(SystemTime, Listed)> = paths.map(|path| listed(&path)).collect();
    runs.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.run.cmp(&b.1.run)));
    Ok(runs.into_iter().map(|(_, run)| run).collect())
}

/// Whether training has written anything to a directory.
fn is_run(path: &Path) -> bool {
    path.is_dir()
        && ["experiment.toml", "run.json", "checkpoints", "ensemble.json"]
            .iter()
            .any(|name| path.join(name).exists())
}

/// What is known of an ensemble: what its first member was trained for, how all stand, and how their mean does.
fn listed_ensemble(path: &Path) -> (SystemTime, Listed) {
    let manifest = match Manifest::read(path) {
        Ok(manifest) => manifest,
        Err(error) => {
            let (when, listed) = listed_run(path);
            return (when, Listed { state: State::Damaged, damage: Some(error.to_string()), ..listed });
        }
    };
    let all: Vec<(SystemTime, Listed)> =
        (0..manifest.members).map(|number| listed_run(&member(path, number))).collect();
    let when = all.iter().map(|(when, _)| *when).max().unwrap_or(SystemTime::UNIX_EPOCH);
    let (_, first) = &all[0];
    let is = |state| all.iter().any(|(_, run)| run.state == state);
    let state = match manifest.complete {
        true if is(State::Damaged) => State::Damaged,
        true => State::Finished,
        false if lock::is_taken(path) => State::Running,
        false if is(State::Diverged) => State::Diverged,
        false => State::Interrupted,
    };
    let damage = all.iter().find_map(|(_, run)| run.damage.clone()).filter(|_| state == State::Damaged);
    let score = |part: &str| {
        let metric = first.validation.as_ref()?.metric.clone();
        let value = Number(*manifest.scores.get(part)?.get(&metric)?);
        Some(Score { metric, value })
    };
    let listed = Listed {
        run: path.display().to_string(),
        state,
        when: shown(when),
        name: format!("{}, {} members", first.name, manifest.members),
        epochs: all.iter().map(|(_, run)| run.epochs).sum(),
        epochs_asked: all.iter().map(|(_, run)| run.epochs_asked).max().unwrap_or(0) * manifest.members,
        best_epoch: None,
        validation: score("validation"),
        test: score("test"),
        damage,
        ..first.clone()
    };
    (when, listed)
}

/// What is known of a run or an ensemble, and when it was last written.
fn listed(path: &Path) -> (SystemTime, Listed) {
    if is_ensemble(path) { listed_ensemble(path) } else { listed_run(path) }
}

/// What is known of a run, and when it was last written.
fn listed_run(path: &Path) -> (SystemTime, Listed) {
    let modified = |file: &PathBuf| std::fs::metadata(file).and_then(|file| file.modified()).ok();
    let files =
        ["experiment.toml", "run.json", "metrics.csv", "best.safetensors"].map(|name| path.join(name));
    let when = files.iter().filter_map(modified).max().or_else(|| modified(&path.into()));
    let when = when.unwrap_or(SystemTime::UNIX_EPOCH);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let empty = Listed {
        run: path.display().to_string(),
        state: State::Damaged,
        when: shown(when),
        name,
        family: None,
        data: String::new(),
        epochs: 0,
        epochs_asked: 0,
        best_epoch: None,
        validation: None,
        test: None,
        damage: None,
    };
    let known = match Known::read(path) {
        Ok(known) => known,
        Err(_) if lock::is_taken(path) => return (when, Listed { state: State::Running, ..empty }),
        Err(error) => return (when, Listed { damage: Some(error.to_string()), ..empty }),
    };
    let best = known.best();
    let numbers = best.map_or(&[][..], |row| &row.validation.0[..]);
    let main = numbers.iter().find(|(name, _)| *name != "loss").or(numbers.first());
    let score = |metric: &str, value: f64| Score { metric: metric.into(), value: Number(value) };
    let tested = |name: &str| known.record.as_ref()?.test.get(name).copied();
    let listed = Listed {
        state: known.state,
        name: known.experiment.name.clone(),
        family: Some(known.experiment.model.family),
        data: known.experiment.data.source.clone(),
        epochs: known.history.len(),
        epochs_asked: known.experiment.train.epochs,
        best_epoch: best.map(|row| row.epoch),
        validation: main.map(|(name, value)| score(name, *value)),
        test: main.and_then(|(name, _)| Some(score(name, tested(name)?))),
        ..empty
    };
    (when, listed)
}

/// A time in UTC, to the minute.
fn shown(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap_or_default();
    jiff::tz::Offset::UTC.to_datetime(time).strftime("%Y-%m-%d %H:%M").to_string()
}
