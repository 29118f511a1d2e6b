//! `run.json`: the inputs and results of a run, so that anyone can repeat it and compare.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::directory::RunDirectory;
use super::job::Job;
use crate::base::order::Order;
use crate::device::DeviceInfo;
use crate::plan::Program;
use crate::train::TrainError;
use crate::train::checkpoint::{self, NamedTensor};

/// Larger files are rejected before they are read.
const MAX_BYTES: u64 = 1 << 24;

/// The inputs and results of a run. Digests are SHA-256 in hexadecimal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Seed of the experiment.
    pub seed: u64,
    /// Digest of the data, as in [`crate::data::Loaded::digest`].
    pub data_digest: String,
    /// The initial weights, if they were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Given>,
    /// Training sessions in order; a new one starts when something has changed on resuming.
    pub sessions: Vec<Session>,
    /// Digest of the best weights, see [`weights_digest`]; absent until the run ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_digest: Option<String>,
    /// Loss and metrics of the best weights on the test rows, where they are finite; absent until the run
    /// ends.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub test: BTreeMap<String, f64>,
    /// Whether training ended because it diverged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub diverged: bool,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Given {
    /// Its path.
    pub path: PathBuf,
    /// Its digest.
    pub digest: String,
    /// What its tensors are called here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub map: Vec<String>,
    /// Whether those that fit were taken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// A part of a training run, from one step on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Steps completed before it.
    pub from_step: u64,
    /// Version of this program.
    pub version: String,
    /// Device, including its driver.
    pub device: DeviceInfo,
    /// Digest of the plan: kernels, memory and order.
    pub plan_digest: String,
    /// Requested epochs.
    pub epochs: usize,
    /// Requested steps, if fewer than all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Processes that shared every step.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub processes: usize,
}

fn one() -> usize {
    1
}

fn is_one(processes: &usize) -> bool {
    *processes == 1
}

impl Session {
    /// Differences between two sessions that should match, as a list for display.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let processes = [self, other].map(|session| session.processes.to_string());
        let pairs = [
            ("processes", &processes[0], &processes[1]),
            ("version", &self.version, &other.version),
            ("device", &self.device.name, &other.device.name),
            ("driver", &self.device.driver, &other.device.driver),
            ("plan", &self.plan_digest, &other.plan_digest),
        ];
        let differing = pairs.into_iter().filter(|(_, a, b)| a != b);
        differing.map(|(what, a, b)| format!("{what} {b}, it was {a}")).collect()
    }
}

/// Digest of a plan.
pub fn plan_digest(program: &Program) -> String {
    checkpoint::hexadecimal(&Sha256::digest(format!("{program:?}")))
}

/// Digest of weights: name, shape and values of each tensor, in name order.
pub fn weights_digest(tensors: &[NamedTensor]) -> String {
    let mut sorted: Vec<&NamedTensor> = tensors.iter().collect();
    sorted.order_by(|a, b| a.0.cmp(&b.0));
    let mut hash = Sha256::new();
    for (name, shape, data) in sorted {
        hash.update(format!("{name} {shape:?}\n"));
        for x in data {
            hash.update(x.to_le_bytes());
        }
    }
    checkpoint::hexadecimal(&hash.finalize())
}

/// Digest of a file.
///
/// # Errors
/// If it cannot be read.
pub fn file_digest(path: &Path) -> Result<String, TrainError> {
    let bytes = std::fs::read(path).map_err(|e| TrainError::io(path, &e))?;
    Ok(checkpoint::hexadecimal(&Sha256::digest(bytes)))
}

impl Record {
    /// The record of a run that starts, or resumes, at step `from_step`.
    ///
    /// # Errors
    /// If an earlier record is damaged, or the initial weights cannot be read.
    pub(super) fn begin(
        run: &RunDirectory,
        task: &Job,
        plan_digest: String,
        from_step: u64,
    ) -> Result<Self, TrainError> {
        let Job { experiment, data, device, options, .. } = task;
        let session = Session {
            from_step,
            version: env!("CARGO_PKG_VERSION").into(),
            device: device.info().clone(),
            plan_digest,
            epochs: experiment.train.epochs,
            max_steps: options.max_steps,
            processes: options.ranks.as_ref().map_or(1, |group| group.size()),
        };
        if options.resume
            && let Some(mut record) = Self::read(run)?
        {
            // The weights are about to differ from the recorded ones.
            record.weights_digest = None;
            record.test.clear();
            record.diverged = false;
            let same = |last: &Session| Session { from_step, ..last.clone() } == session;
            if !record.sessions.last().is_some_and(same) {
                record.sessions.push(session);
            }
            return Ok(record);
        }
        let given = |path: &PathBuf| -> Result<Given, TrainError> {
            let digest = file_digest(path)?;
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            Ok(Given { path, digest, map: options.init_map.clone(), partial: options.init_partial })
        };
        let init = options.init.as_ref().map(given).transpose()?;
        let (seed, data_digest) = (experiment.seed, data.digest.clone());
        let sessions = vec![session];
        Ok(Self {
            seed,
            data_digest,
            init,
            sessions,
            weights_digest: None,
            test: BTreeMap::new(),
            diverged: false,
        })
    }

    /// Reads the record of a run; `None` if it has none.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn read(run: &RunDirectory) -> Result<Option<Self>, TrainError> {
        let path = place(&run.path);
        let damaged = |reason: String| TrainError::unusable(&path, reason);
        let size = match std::fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(TrainError::io(&path, &e)),
        };
        if size > MAX_BYTES {
            return Err(damaged(format!("{size} bytes are more than the file can have")));
        }
        let bytes = std::fs::read(&path).map_err(|e| TrainError::io(&path, &e))?;
        let record: Self = serde_json::from_slice(&bytes)
            .map_err(|e| damaged(format!("{e}; restore the file, or remove it to continue without it")))?;
        Ok(Some(record))
    }

    /// Writes the record.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn write(&self, run: &RunDirectory) -> Result<(), TrainError> {
        let path = place(&run.path);
        let json = serde_json::to_string_pretty(self)
            .map_err(|e| TrainError::Io { path: path.clone(), reason: e.to_string() })?;
        checkpoint::write_atomically(&path, (json + "\n").as_bytes())
    }
}

fn place(run: &Path) -> PathBuf {
    run.join("run.json")
}
