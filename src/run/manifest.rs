//! `ensemble.json`: what makes a directory an ensemble, whose members are runs of their own in `members/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::train::TrainError;
use crate::train::checkpoint;

/// Its name.
const NAME: &str = "ensemble.json";
/// Format version written to files.
const FORMAT: u32 = 1;
/// Larger files are rejected before they are read.
const MAX_BYTES: u64 = 1 << 20;
/// Most members.
pub const MOST: usize = 100;

/// What is known of an ensemble.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format version.
    pub format: u32,
    /// Number of members.
    pub members: usize,
    /// Whether all of them are trained.
    pub complete: bool,
    /// The probability above which the second of two classes is predicted, where it is not one half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// Loss and metrics of the mean of the members by part, where they are finite.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<String, BTreeMap<String, f64>>,
}

/// Whether a directory holds an ensemble.
pub fn is_ensemble(path: &Path) -> bool {
    path.join(NAME).exists()
}

/// The run directory of a member.
pub fn member(path: &Path, number: usize) -> PathBuf {
    path.join("members").join(number.to_string())
}

impl Manifest {
    /// An ensemble that is yet to be trained.
    pub fn begun(members: usize) -> Self {
        Self { format: FORMAT, members, complete: false, threshold: None, scores: BTreeMap::new() }
    }

    /// Reads that of an ensemble.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let file = path.join(NAME);
        let damaged =
            |reason: String| TrainError::unusable(&file, format!("{reason}; train the ensemble again"));
        let size = std::fs::metadata(&file).map_err(|e| TrainError::io(&file, &e))?.len();
        if size > MAX_BYTES {
            return Err(damaged(format!("{size} bytes are more than it can have")));
        }
        let text = std::fs::read(&file).map_err(|e| TrainError::io(&file, &e))?;
        let found: Self = serde_json::from_slice(&text).map_err(|e| damaged(format!("is damaged: {e}")))?;
        if found.format != FORMAT {
            return Err(TrainError::Format { path: file, found: found.format, known: FORMAT });
        }
        if !(1..=MOST).contains(&found.members) {
            return Err(damaged(format!("says {} members, of 1..={MOST}", found.members)));
        }
        Ok(found)
    }

    /// Writes it, atomically.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn write(&self, path: &Path) -> Result<(), TrainError> {
        let text = serde_json::to_string_pretty(self).map_err(|e| TrainError::Input(e.to_string()))?;
        checkpoint::write_atomically(&path.join(NAME), text.as_bytes())
    }
}
