//! Checkpoints: safetensors files written so that they are complete or absent at every instant.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use super::TrainError;
use crate::data::Fitted;

/// Version of the files written.
const FORMAT: u32 = 1;
/// Larger files are refused before they are read.
const MAX_BYTES: u64 = 16 << 30;
/// Key of the one metadata entry; one, so that equal contents give equal bytes.
const KEY: &str = "gridlight";

/// A named `f32` tensor.
pub type NamedTensor = (String, Vec<usize>, Vec<f32>);

/// What a checkpoint says besides tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Format version.
    pub format: u32,
    /// What was fitted on the training rows.
    pub fitted: Fitted,
    /// SHA-256 of the data file.
    pub data_digest: String,
    /// Where training stands; absent in files that only hold weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

/// Where training stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Epochs finished.
    pub epoch: u64,
    /// Batches done of the current epoch.
    pub position: u64,
    /// Sum of the losses of these batches, by bits.
    pub loss_sum: u64,
    /// Best epoch so far.
    pub best_epoch: u64,
    /// Its validation loss, by bits.
    pub best_loss: u64,
    /// Epochs since then.
    pub stale_epochs: u64,
}

impl Meta {
    /// Metadata of the current format.
    pub fn new(fitted: Fitted, data_digest: String, progress: Option<Progress>) -> Self {
        Self { format: FORMAT, fitted, data_digest, progress }
    }
}

/// Writes a checkpoint atomically: temporary file in the same directory, fsync, rename, fsync of the directory.
///
/// # Errors
/// If the disk is full or the directory cannot be written.
pub fn save(path: &Path, tensors: &[NamedTensor], meta: &Meta) -> Result<(), TrainError> {
    let fail = |reason: String| TrainError::Io { path: path.into(), reason };
    let mut views = BTreeMap::new();
    for (name, shape, data) in tensors {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(data));
        views.insert(name.clone(), view.map_err(|e| fail(e.to_string()))?);
    }
    let json = serde_json::to_string(meta).map_err(|e| fail(e.to_string()))?;
    let metadata = HashMap::from([(KEY.to_string(), json)]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| fail(e.to_string()))?;
    write_atomically(path, &bytes)
}

/// Writes a whole file atomically.
///
/// # Errors
/// If the disk is full or the directory cannot be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let fail = |e: std::io::Error| TrainError::io(path, &e);
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    file.as_file().sync_all().map_err(fail)?;
    file.persist(path).map_err(|e| fail(e.error))?;
    // The rename itself must survive a power cut; directories cannot be synced on every system.
    if let Ok(directory) = std::fs::File::open(directory) {
        let _ = directory.sync_all();
    }
    Ok(())
}

/// Reads a checkpoint or a plain safetensors file of `f32` tensors (then without metadata).
///
/// # Errors
/// If the file is damaged or holds something else.
pub fn load(path: &Path) -> Result<(Vec<NamedTensor>, Option<Meta>), TrainError> {
    let io = |e: std::io::Error| TrainError::io(path, &e);
    let damaged = |reason: String| TrainError::Input(format!("{}: {reason}", path.display()));
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > MAX_BYTES {
        return Err(damaged(format!("{size} bytes are more than a checkpoint of this program can have")));
    }
    let bytes = std::fs::read(path).map_err(io)?;
    let (_, header) =
        SafeTensors::read_metadata(&bytes).map_err(|e| damaged(format!("not a safetensors file: {e}")))?;
    let file =
        SafeTensors::deserialize(&bytes).map_err(|e| damaged(format!("not a safetensors file: {e}")))?;
    let mut tensors = vec![];
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(damaged(format!("tensor `{name}` is {:?}, expected F32", view.dtype())));
        }
        let data =
            view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        tensors.push((name.to_string(), view.shape().to_vec(), data));
    }
    tensors.sort_by(|a: &NamedTensor, b| a.0.cmp(&b.0));
    let json = header.metadata().as_ref().and_then(|m| m.get(KEY));
    let meta: Option<Meta> = match json {
        Some(json) => {
            Some(serde_json::from_str(json).map_err(|e| damaged(format!("its metadata are damaged: {e}")))?)
        }
        None => None,
    };
    if let Some(meta) = meta.as_ref().filter(|m| m.format != FORMAT) {
        return Err(damaged(format!(
            "format {} is not known to this version (it knows {FORMAT})",
            meta.format
        )));
    }
    Ok((tensors, meta))
}

/// Checkpoints `step-<n>.safetensors` of a directory, oldest first.
pub fn list(directory: &Path) -> Vec<(u64, PathBuf)> {
    let step = |path: &Path| path.file_stem()?.to_str()?.strip_prefix("step-")?.parse().ok();
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<(u64, PathBuf)> = entries
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "safetensors"))
        .filter_map(|p| Some((step(&p)?, p)))
        .collect();
    found.sort();
    found
}
