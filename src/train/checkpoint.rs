//! Checkpoints: safetensors files, written so that they are complete or absent at every instant, with a
//! digest of their contents that is verified on reading.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::TrainError;
use crate::base::files;
use crate::base::number::{brain, half};
use crate::base::order::Order;
use crate::base::tree;
use crate::data::Fitted;

/// Format version written to files.
const FORMAT: u32 = 2;
/// Larger files are rejected before they are read.
const MAX_BYTES: u64 = 16 << 30;
/// Key of the only metadata entry; a single one, so that equal contents give equal bytes.
const KEY: &str = "gridlight";
/// How the metadata start in the file; the digest follows. It is JSON within JSON, hence the backslashes.
const SEAL: &[u8] = br#"{\"sha256\":\""#;
/// Placeholder for the digest while it is computed.
const UNSEALED: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Prefix of temporary files; [`remove_leftovers`] removes those of killed processes.
const TEMPORARY: &str = ".partial-";

/// A named `f32` tensor.
pub type NamedTensor = (String, Vec<usize>, Vec<f32>);

/// The contents of a checkpoint besides its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// SHA-256 of the whole file, computed with zeros in place of the digest; set by [`save`]. It must come
    /// first.
    #[serde(default)]
    sha256: String,
    /// Format version.
    pub format: u32,
    /// What was fitted on the training rows.
    pub fitted: Fitted,
    /// SHA-256 of the data file.
    pub data_digest: String,
    /// Training progress; absent in files that only hold weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

/// Training progress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Completed steps.
    pub step: u64,
    /// Completed epochs.
    pub epoch: u64,
    /// Completed batches of the current epoch.
    pub position: u64,
    /// Sum of the losses of these batches, as bits.
    pub loss_sum: u64,
    /// Sum of the discriminator's losses of these batches, as bits, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discriminator_sum: Option<u64>,
    /// Best epoch so far.
    pub best_epoch: u64,
    /// Its validation loss, as bits.
    pub best_loss: u64,
    /// Epochs without an improvement by more than `early_stopping.min_delta`.
    pub stale_epochs: u64,
    /// The validation loss, as bits, that must be improved on by more than `min_delta`, where that is not the
    /// best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_to_beat: Option<u64>,
    /// Steps whose update was skipped because the loss, or the updated weights, were not finite.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<u64>,
}

impl Meta {
    /// Metadata of the current format.
    pub fn new(fitted: Fitted, data_digest: String, progress: Option<Progress>) -> Self {
        Self { sha256: UNSEALED.into(), format: FORMAT, fitted, data_digest, progress }
    }

    fn read(json: &str) -> Result<Self, String> {
        let tree = tree::of_json(json).map_err(|e| e.to_string())?;
        tree.read::<Self>().map_err(|e| e.to_string())
    }

    /// SHA-256 of the file it was read from, computed with zeros in place of this digest.
    pub fn digest(&self) -> &str {
        &self.sha256
    }
}

/// Writes a checkpoint atomically: temporary file in the same directory, fsync, rename, fsync of the
/// directory.
///
/// # Errors
/// If the disk is full or the directory cannot be written.
pub fn save(path: &Path, tensors: &[NamedTensor], meta: &Meta) -> Result<(), TrainError> {
    write_atomically(path, &bytes(path, tensors, meta)?.0)
}

/// The contents of the file that [`save`] writes, and their digest; messages call it `path`.
///
/// # Errors
/// If tensors have other shapes than their data.
pub fn bytes(path: &Path, tensors: &[NamedTensor], meta: &Meta) -> Result<(Vec<u8>, String), TrainError> {
    let fail = |reason: String| TrainError::Io { path: path.into(), reason };
    let mut views = BTreeMap::new();
    for (name, shape, data) in tensors {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(data));
        views.insert(name.clone(), view.map_err(|e| fail(e.to_string()))?);
    }
    let unsealed = Meta { sha256: UNSEALED.into(), ..meta.clone() };
    let json = serde_json::to_string(&unsealed).map_err(|e| fail(e.to_string()))?;
    let metadata = HashMap::from([(KEY.to_string(), json)]);
    let mut bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| fail(e.to_string()))?;
    let place = seal(&bytes).ok_or_else(|| fail("the metadata could not be sealed".into()))?;
    let digest = digest_without(&bytes, &place);
    bytes[place].copy_from_slice(digest.as_bytes());
    Ok((bytes, digest))
}

/// Position of the digest in the bytes of a file; `None` if there is none.
fn seal(bytes: &[u8]) -> Option<Range<usize>> {
    // The metadata come first in the header, so large files need not be searched as a whole.
    let header = 8 + usize::try_from(u64::from_le_bytes(*bytes.first_chunk::<8>()?)).ok()?;
    let header = bytes.get(8..header)?;
    let start = 8 + header.windows(SEAL.len()).position(|w| w == SEAL)? + SEAL.len();
    (start + UNSEALED.len() <= bytes.len()).then_some(start..start + UNSEALED.len())
}

/// SHA-256 of a file with zeros in place of its digest, in hexadecimal.
fn digest_without(bytes: &[u8], place: &Range<usize>) -> String {
    let mut hash = Sha256::new();
    hash.update(&bytes[..place.start]);
    hash.update(UNSEALED);
    hash.update(&bytes[place.end..]);
    hexadecimal(&hash.finalize())
}

/// Bytes as lower-case hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Removes temporary files that killed processes left in `directory`. Only call it when no other process
/// writes to the directory.
pub fn remove_leftovers(directory: &Path) {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries.filter(|e| is_leftover(&e.file_name())) {
        // A leftover that cannot be removed costs space, not correctness.
        let _ = std::fs::remove_file(entry.path());
    }
}

/// Whether a file is a temporary file of this program.
pub fn is_leftover(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(TEMPORARY))
}

/// Writes a whole file atomically.
///
/// # Errors
/// If the disk is full or the directory cannot be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let fail = |e: std::io::Error| TrainError::io(path, &e);
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(directory).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    // Temporary files are private; the files of a run should be as readable as any other.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(mode).map_err(fail)?;
    }
    file.as_file().sync_all().map_err(fail)?;
    file.persist(path).map_err(|e| fail(e.error))?;
    // The rename itself must survive a power failure; not every system can sync directories.
    if let Ok(directory) = std::fs::File::open(directory) {
        let _ = directory.sync_all();
    }
    Ok(())
}

/// Reads a checkpoint or a plain safetensors file of `f32` tensors (then without metadata).
///
/// # Errors
/// If the file is damaged or has other contents.
pub fn load(path: &Path) -> Result<(Vec<NamedTensor>, Option<Meta>), TrainError> {
    let io = |e: std::io::Error| TrainError::io(path, &e);
    let damaged = |reason: String| TrainError::unusable(path, reason);
    let size = files::size(path).map_err(io)?;
    if size > MAX_BYTES {
        return Err(damaged(format!("{size} bytes are more than a checkpoint of this program can have")));
    }
    let bytes = files::read(path).map_err(io)?;
    let (_, header) =
        SafeTensors::read_metadata(&bytes).map_err(|e| damaged(format!("not a safetensors file: {e}")))?;
    let json = header.metadata().as_ref().and_then(|m| m.get(KEY));
    let place = seal(&bytes);
    let whole = place.as_ref().is_some_and(|p| digest_without(&bytes, p).as_bytes() == &bytes[p.clone()]);
    let outdated = json.and_then(|j| Meta::read(j).ok()).is_some_and(|m| m.format < FORMAT);
    // Weights from other programs have no digest; a file that has one, or should have one, must match it.
    if (place.is_some() || json.is_some()) && !whole && !outdated {
        return Err(damaged("its contents do not match their checksum; the file is damaged".into()));
    }
    let file =
        SafeTensors::deserialize(&bytes).map_err(|e| damaged(format!("not a safetensors file: {e}")))?;
    let mut tensors = vec![];
    for (name, view) in file.iter() {
        // How many batches a batch norm of PyTorch has seen, which no layer here reads.
        if view.dtype() == Dtype::I64 && name.ends_with("num_batches_tracked") {
            continue;
        }
        let data = floats(&view).ok_or_else(|| {
            damaged(format!("tensor `{name}` is {:?}; F32, F64, F16 and BF16 are read", view.dtype()))
        })?;
        if let Some(at) = data.iter().position(|x| !x.is_finite()) {
            return Err(damaged(format!("tensor `{name}` holds {} at element {at}", data[at])));
        }
        tensors.push((name.to_string(), view.shape().to_vec(), data));
    }
    tensors.order_by(|a: &NamedTensor, b| a.0.cmp(&b.0));
    let meta: Option<Meta> = match json {
        Some(json) => Some(Meta::read(json).map_err(|e| damaged(format!("its metadata are damaged: {e}")))?),
        None => None,
    };
    if let Some(found) = meta.as_ref().map(|m| m.format).filter(|&format| format != FORMAT) {
        return Err(TrainError::Format { path: path.into(), found, known: FORMAT });
    }
    Ok((tensors, meta))
}

/// The elements of a tensor in single precision; `None` if they are no floating-point numbers.
fn floats(view: &TensorView) -> Option<Vec<f32>> {
    let data = view.data();
    let short =
        |of: fn(u16) -> f32| data.chunks_exact(2).map(|b| of(u16::from_le_bytes([b[0], b[1]]))).collect();
    Some(match view.dtype() {
        Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F16 => short(half),
        Dtype::BF16 => short(brain),
        Dtype::F64 => {
            let eight = data.chunks_exact(8).map(|b| b.try_into().map_or(0, u64::from_le_bytes));
            eight.map(|bits| f64::from_bits(bits) as f32).collect()
        }
        _ => return None,
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{FittedScaling, FittedTarget};

    fn sample() -> (Vec<NamedTensor>, Meta) {
        let target = FittedTarget::Number { name: "y".into(), scaling: FittedScaling::None };
        let progress = Progress { step: 7, best_loss: 0.1f64.to_bits(), ..Progress::default() };
        let meta = Meta::new(Fitted { target, ..Fitted::default() }, "digest".into(), Some(progress));
        let tensor = |name: &str, x: f32| (name.to_string(), vec![2, 1], vec![x, 2.0]);
        (vec![tensor("0.weight", 1.5), tensor("optimizer.0.0.weight", -0.0)], meta)
    }

    fn save_sample(path: &Path) {
        let (tensors, meta) = sample();
        save(path, &tensors, &meta).unwrap();
    }

    #[test]
    fn what_is_written_is_read_with_the_same_bits() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (directory.path().join("a"), directory.path().join("b"));
        save_sample(&a);
        save_sample(&b);
        assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
        let (tensors, meta) = load(&a).unwrap();
        let meta = Meta { sha256: UNSEALED.into(), ..meta.unwrap() };
        assert_eq!((tensors, meta), sample());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2, "a temporary file is left");
    }

    #[test]
    fn broken_files_are_errors_and_never_panics() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("broken.safetensors");
        save_sample(&path);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(load(&path).is_err(), "cut at {cut}");
        }
        for at in 0..whole.len() {
            for flip in [0x01, 0x20, 0x55, 0x80] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                std::fs::write(&path, &bytes).unwrap();
                assert!(load(&path).is_err(), "byte {at} changed by {flip:#x} was not noticed");
            }
        }
        std::fs::write(&path, u64::MAX.to_le_bytes()).unwrap();
        assert!(load(&path).is_err());
    }

    #[test]
    fn weights_that_are_not_finite_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("weights.safetensors");
        let (mut tensors, meta) = sample();
        tensors[0].2[1] = f32::NAN;
        save(&path, &tensors, &meta).unwrap();
        let error = load(&path).unwrap_err().to_string();
        assert!(error.contains("holds NaN at element 1"), "{error}");
    }
}
