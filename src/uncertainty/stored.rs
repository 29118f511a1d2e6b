//! Calibrations as files: safetensors of double precision, with a digest of the whole.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::calibration::{Calibration, Scores};
use crate::base::tree;
use crate::train::TrainError;
use crate::train::checkpoint;

/// Key of the only metadata entry.
const KEY: &str = "gridlight";
/// Format version written to files.
const FORMAT: u32 = 1;
/// Larger files are rejected before they are read.
const MAX_BYTES: u64 = 4 << 30;
/// Names of the tensors.
const WEIGHTS: &str = "weights";
const LAC: &str = "lac";
const APS: &str = "aps";

/// What stands beside the numbers.
#[derive(Serialize, Deserialize)]
struct Meta {
    /// SHA-256 of the tensors, by name.
    sha256: String,
    format: u32,
    of: String,
    rows: usize,
    /// Values of a row and levels, of numbers.
    numbers: Option<(usize, Vec<f64>)>,
}

impl Calibration {
    /// Writes it, atomically.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        let fail = |reason: String| TrainError::Io { path: path.into(), reason };
        let mut tensors: BTreeMap<String, &[f64]> = BTreeMap::new();
        if !self.weights.is_empty() {
            tensors.insert(WEIGHTS.into(), &self.weights);
        }
        let numbers = match &self.scores {
            Scores::Numbers { values, levels, each } => {
                tensors.extend(each.iter().enumerate().map(|(at, scores)| (at.to_string(), &scores[..])));
                Some((*values, levels.clone()))
            }
            Scores::Classes { lac, aps } => {
                tensors.extend([(LAC.to_string(), &lac[..]), (APS.to_string(), &aps[..])]);
                None
            }
        };
        let (of, rows) = (self.of.clone(), self.rows);
        let mut meta = Meta { sha256: String::new(), format: FORMAT, of, rows, numbers };
        meta.sha256 = digest(&meta, &tensors);
        let json = serde_json::to_string(&meta).map_err(|e| fail(e.to_string()))?;
        let bytes: Vec<(String, Vec<u8>)> = tensors
            .iter()
            .map(|(name, all)| (name.clone(), all.iter().flat_map(|x| x.to_le_bytes()).collect()))
            .collect();
        let mut views = BTreeMap::new();
        for (name, bytes) in &bytes {
            let view = TensorView::new(Dtype::F64, vec![bytes.len() / 8], bytes);
            views.insert(name.clone(), view.map_err(|e| fail(e.to_string()))?);
        }
        let metadata = HashMap::from([(KEY.to_string(), json)]);
        let file = safetensors::serialize(views, Some(metadata)).map_err(|e| fail(e.to_string()))?;
        checkpoint::write_atomically(path, &file)
    }

    /// Reads it; `None` if there is none, or it is of other weights than those with digest `of`.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn load(path: &Path, of: &str) -> Result<Option<Self>, TrainError> {
        let damaged = |reason: &str| {
            TrainError::unusable(
                path,
                format!("{reason}; delete it, and it is computed again from the run's data"),
            )
        };
        let size = match std::fs::metadata(path) {
            Ok(found) => found.len(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(TrainError::io(path, &e)),
        };
        if size > MAX_BYTES {
            return Err(damaged("is larger than any calibration"));
        }
        let bytes = std::fs::read(path).map_err(|e| TrainError::io(path, &e))?;
        let not = |_| damaged("is not a safetensors file");
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(not)?;
        let json = header.metadata().as_ref().and_then(|m| m.get(KEY));
        let meta = json.and_then(|json| tree::of_json(json).ok()?.read::<Meta>().ok());
        let Some(meta) = meta else { return Err(damaged("is no calibration")) };
        if meta.format != FORMAT {
            return Err(TrainError::Format { path: path.into(), found: meta.format, known: FORMAT });
        }
        let file = SafeTensors::deserialize(&bytes).map_err(not)?;
        let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (name, view) in file.iter() {
            if view.dtype() != Dtype::F64 {
                return Err(damaged("holds other numbers than scores"));
            }
            let (numbers, _) = view.data().as_chunks::<8>();
            all.insert(name.into(), numbers.iter().map(|b| f64::from_le_bytes(*b)).collect());
        }
        let tensors = all.iter().map(|(name, all)| (name.clone(), &all[..])).collect();
        if digest(&meta, &tensors) != meta.sha256 {
            return Err(damaged("does not match its checksum"));
        }
        if meta.of != of {
            return Ok(None);
        }
        let weights = all.remove(WEIGHTS).unwrap_or_default();
        let mut take = |name: &str| all.remove(name).unwrap_or_default();
        let scores = match meta.numbers {
            Some((values, levels)) => {
                let each = (0..levels.len().max(1)).map(|at| take(&at.to_string())).collect();
                Scores::Numbers { values, levels, each }
            }
            None => Scores::Classes { lac: take(LAC), aps: take(APS) },
        };
        let rows = meta.rows;
        let lengths = match &scores {
            Scores::Numbers { values, each, .. } => {
                *values > 0 && each.iter().all(|all| rows.checked_mul(*values) == Some(all.len()))
            }
            Scores::Classes { lac, aps } => lac.len() == rows && aps.len() == rows,
        };
        if !lengths || !(weights.is_empty() || weights.len() == rows) {
            return Err(damaged("does not hold a score for each row"));
        }
        Ok(Some(Self { of: meta.of, rows, weights, scores }))
    }
}

/// SHA-256 of everything else.
fn digest(meta: &Meta, tensors: &BTreeMap<String, &[f64]>) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{} {} {} {:?}\n", meta.format, meta.of, meta.rows, meta.numbers));
    for (name, all) in tensors {
        hash.update(format!("{name} {}\n", all.len()));
        all.iter().for_each(|x| hash.update(x.to_le_bytes()));
    }
    checkpoint::hexadecimal(&hash.finalize())
}
