//! Repeats a run from its own record and compares the bits of the weights.

use std::path::Path;

use serde::Serialize;

use super::audit::{self, Record, Session};
use super::directory::RunDirectory;
use super::job::Options;
use super::quiet::Quiet;
use super::trainer;
use crate::device::{Device, DeviceInfo};
use crate::train::TrainError;
use crate::train::checkpoint;
use crate::train::events::Observer;

/// The result of a replay, as printed by `replay --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Replay {
    /// Run directory.
    pub run: String,
    /// Whether the weights have the same bits.
    pub same: bool,
    /// Digest of the run's best weights.
    pub expected: String,
    /// Digest of the repeated run's weights.
    pub found: String,
    /// Device that repeated the run.
    pub device: DeviceInfo,
    /// Changed conditions that may explain different weights.
    pub differences: Vec<String>,
}

/// A run to repeat.
pub struct Recorded {
    directory: RunDirectory,
    record: Record,
    last: Session,
    expected: String,
}

/// Reads the record of a completed run.
///
/// # Errors
/// If there is none, or the run's weights do not match it.
pub fn open(run: &Path) -> Result<Recorded, TrainError> {
    let directory = RunDirectory::open(run)?;
    let fail = |reason: &str| TrainError::unusable(run, reason);
    let record = Record::read(&directory)?.ok_or_else(|| {
        fail("the run has no run.json; it was made by an earlier version and cannot be repeated")
    })?;
    let unfinished = || fail("the run has not ended; resume it first");
    let expected = record.weights_digest.clone().ok_or_else(unfinished)?;
    let last = record.sessions.last().cloned().ok_or_else(unfinished)?;
    if audit::weights_digest(&checkpoint::load(&directory.best())?.0) != expected {
        return Err(fail("best.safetensors does not hold the weights that run.json records"));
    }
    Ok(Recorded { directory, record, last, expected })
}

impl Recorded {
    /// The device that completed the run.
    pub fn device(&self) -> &DeviceInfo {
        &self.last.device
    }

    /// Trains again in a temporary directory and compares.
    ///
    /// # Errors
    /// If data or initial weights have changed, or training fails.
    pub fn replay(&self, device: &dyn Device, observer: &mut dyn Observer) -> Result<Replay, TrainError> {
        let run = self.directory.path.display().to_string();
        let fail = |reason: String| TrainError::unusable(&self.directory.path, reason);
        let experiment = self.directory.experiment()?;
        let data = trainer::load_data(&experiment, Path::new(""))?;
        if data.digest != self.record.data_digest {
            return Err(fail("the data have changed since the run; it cannot be repeated".into()));
        }
        if let Some(init) = &self.record.init
            && audit::file_digest(&init.path)? != init.digest
        {
            let changed = format!("{} has changed since the run began with it", init.path.display());
            return Err(fail(changed));
        }
        let scratch = tempfile::tempdir().map_err(|e| TrainError::io(&std::env::temp_dir(), &e))?;
        let options = Options {
            out: scratch.path().join("replay"),
            max_steps: self.last.max_steps,
            init: self.record.init.as_ref().map(|init| init.path.clone()),
            init_map: self.record.init.as_ref().map(|init| init.map.clone()).unwrap_or_default(),
            init_partial: self.record.init.as_ref().is_some_and(|init| init.partial),
            without_report: true,
            ..Options::default()
        };
        trainer::train(&experiment, &data, device, &options, &mut Quiet(observer)).map_err(|e| match e {
            TrainError::Interrupted { .. } => TrainError::ReplayInterrupted,
            other => other,
        })?;
        let repeated = Record::read(&RunDirectory::open(&options.out)?)?;
        let missing = || fail("the repeated run left no record".into());
        let repeated = repeated.ok_or_else(missing)?;
        let found = repeated.weights_digest.clone().ok_or_else(missing)?;
        let mut differences = repeated.sessions.first().map(|s| self.last.differences(s)).unwrap_or_default();
        for session in &self.record.sessions[1..] {
            differences.push(format!(
                "the run was resumed at step {} with other settings or on another device",
                session.from_step
            ));
        }
        let same = found == self.expected;
        let (expected, device) = (self.expected.clone(), device.info().clone());
        Ok(Replay { run, same, expected, found, device, differences })
    }
}
