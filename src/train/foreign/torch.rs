//! Files of `torch.save` since PyTorch 1.6: a zip archive with a pickle and one file for each storage.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use zip::ZipArchive;

use super::check_finite;
use super::pickle::{self, Id, Object, Pickle};
use crate::base::number::{brain, half};
use crate::train::TrainError;
use crate::train::checkpoint::NamedTensor;

/// Largest pickle.
const MAX_PICKLE: u64 = 256 << 20;
/// Largest file.
const MAX_BYTES: u64 = 16 << 30;
/// Keys under which training scripts keep the weights.
const KEYS: [&str; 4] = ["state_dict", "model_state_dict", "model", "net"];

type Archive = ZipArchive<BufReader<File>>;

/// The tensors of a file by name.
pub(super) fn load(path: &Path) -> Result<Vec<NamedTensor>, TrainError> {
    let io = |e: std::io::Error| TrainError::io(path, &e);
    let wrong = |reason: String| TrainError::unusable(path, reason);
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > MAX_BYTES {
        return Err(wrong(format!("has {size} bytes; at most {MAX_BYTES} are read")));
    }
    let file = BufReader::new(File::open(path).map_err(io)?);
    let damaged = |e: zip::result::ZipError| wrong(format!("is no whole file of torch.save: {e}"));
    let mut archive = ZipArchive::new(file).map_err(damaged)?;
    let names: Vec<String> = archive.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
    let name = names.iter().find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
    let name =
        name.ok_or_else(|| wrong("is a zip archive without data.pkl, and so no file of torch.save".into()))?;
    let prefix = name.strip_suffix("data.pkl").unwrap_or_default().to_string();
    let order = entry(&mut archive, &format!("{prefix}byteorder"), 16).unwrap_or_default();
    if order == b"big" {
        return Err(wrong("holds numbers with their highest byte first (byteorder big)".into()));
    }
    let bytes = entry(&mut archive, name, MAX_PICKLE).map_err(&wrong)?;
    let pickle = pickle::read(&bytes).map_err(&wrong)?;
    let found = named(&pickle).ok_or_else(|| {
        wrong("holds no tensors by name; save the weights with torch.save(model.state_dict(), ...)".into())
    })?;
    let mut reader =
        Reader { archive, prefix, pickle: &pickle, storages: HashMap::new(), left: size.saturating_mul(4) };
    let mut tensors: Vec<NamedTensor> = vec![];
    for (name, id) in found {
        // How many batches a batch norm has seen, which no layer here reads.
        if name.ends_with("num_batches_tracked") {
            continue;
        }
        let (shape, data) =
            reader.tensor(id).map_err(|reason| wrong(format!("tensor `{name:.120}` {reason}")))?;
        check_finite(path, &name, &data)?;
        // The last of several entries of one name counts, as in Python.
        tensors.retain(|(known, ..)| *known != name);
        tensors.push((name, shape, data));
    }
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(tensors)
}

/// The bytes of an entry of the archive, of at most `most`.
fn entry(archive: &mut Archive, name: &str, most: u64) -> Result<Vec<u8>, String> {
    let entry = archive.by_name(name).map_err(|e| format!("lacks `{name:.120}`: {e}"))?;
    let mut bytes = vec![];
    entry.take(most + 1).read_to_end(&mut bytes).map_err(|e| format!("`{name:.120}` cannot be read: {e}"))?;
    if bytes.len() as u64 > most {
        return Err(format!("`{name:.120}` has more than {most} bytes"));
    }
    Ok(bytes)
}

/// Tensors by name: the entries of the outermost dictionary, or of that in one of its well-known entries.
fn named(pickle: &Pickle) -> Option<Vec<(String, Id)>> {
    let entries = |id: Id| match pickle.get(id) {
        Object::Dict(entries) => Some(entries),
        _ => None,
    };
    let tensors = |id: Id| -> Option<Vec<(String, Id)>> {
        let own: Vec<(String, Id)> = entries(id)?
            .iter()
            .filter_map(|&(key, value)| match (pickle.get(key), pickle.get(value)) {
                (Object::Text(name), Object::Tensor { .. }) => Some((name.clone(), value)),
                _ => None,
            })
            .collect();
        (!own.is_empty()).then_some(own)
    };
    let within = |wanted: &str| {
        let found =
            entries(pickle.root)?.iter().find(|(key, _)| *pickle.get(*key) == Object::Text(wanted.into()));
        tensors(found?.1)
    };
    tensors(pickle.root).or_else(|| KEYS.iter().find_map(|key| within(key)))
}

struct Reader<'a> {
    archive: Archive,
    prefix: String,
    pickle: &'a Pickle,
    storages: HashMap<String, Vec<f32>>,
    /// Elements that tensors may have in all.
    left: u64,
}

impl Reader<'_> {
    fn tensor(&mut self, id: Id) -> Result<(Vec<usize>, Vec<f32>), String> {
        let Object::Tensor { storage, offset, shape, strides } = self.pickle.get(id) else {
            return Err("is none".into());
        };
        let Object::Storage { kind, key, count } = self.pickle.get(*storage) else {
            return Err("has no storage".into());
        };
        let elements = shape.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent));
        let last = shape.iter().zip(strides).try_fold(*offset, |at, (&extent, &stride)| {
            at.checked_add(extent.saturating_sub(1).checked_mul(stride)?)
        });
        let (Some(elements), Some(last)) = (elements, last) else { return Err("is too large".into()) };
        if elements > 0 && last >= *count {
            return Err(format!("reads element {last} of a storage of {count}"));
        }
        self.left =
            self.left.checked_sub(elements as u64).ok_or("is part of more elements than the file has")?;
        let data = self.storage(kind, key, *count)?;
        let mut index = vec![0usize; shape.len()];
        let mut found = Vec::with_capacity(elements);
        for _ in 0..elements {
            let at: usize = index.iter().zip(strides).map(|(i, stride)| i * stride).sum();
            found.push(*data.get(offset + at).ok_or("reads beyond its storage")?);
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                if index[axis] < shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        Ok((shape.clone(), found))
    }

    fn storage(&mut self, kind: &str, key: &str, count: usize) -> Result<&Vec<f32>, String> {
        let width = match kind {
            "torch.DoubleStorage" | "torch.LongStorage" => 8,
            "torch.FloatStorage" | "torch.IntStorage" => 4,
            "torch.HalfStorage" | "torch.BFloat16Storage" | "torch.ShortStorage" => 2,
            "torch.CharStorage" | "torch.ByteStorage" | "torch.BoolStorage" => 1,
            other => return Err(format!("has elements of `{other}`")),
        };
        // Tensors that share a storage may see it as of different types.
        let name = format!("{kind}/{key}");
        if !self.storages.contains_key(&name) {
            let wanted = (count as u64)
                .checked_mul(width)
                .filter(|&bytes| bytes <= MAX_BYTES)
                .ok_or("is too large")?;
            let bytes = entry(&mut self.archive, &format!("{}data/{key}", self.prefix), wanted)?;
            if bytes.len() as u64 != wanted {
                return Err(format!(
                    "has a storage of {} bytes, {wanted} are needed; the file is incomplete",
                    bytes.len()
                ));
            }
            let data = bytes.chunks_exact(width as usize).map(|bytes| number(kind, bytes)).collect();
            self.storages.insert(name.clone(), data);
        }
        self.storages.get(&name).ok_or_else(|| "has no storage".into())
    }
}

/// An element in single precision.
fn number(kind: &str, bytes: &[u8]) -> f32 {
    let mut eight = [0; 8];
    eight[..bytes.len()].copy_from_slice(bytes);
    let bits = u64::from_le_bytes(eight);
    match kind {
        "torch.FloatStorage" => f32::from_bits(bits as u32),
        "torch.DoubleStorage" => f64::from_bits(bits) as f32,
        "torch.HalfStorage" => half(bits as u16),
        "torch.BFloat16Storage" => brain(bits as u16),
        "torch.LongStorage" => bits as i64 as f32,
        "torch.IntStorage" => bits as u32 as i32 as f32,
        "torch.ShortStorage" => f32::from(bits as u16 as i16),
        "torch.CharStorage" => f32::from(bits as u8 as i8),
        _ => bits as f32,
    }
}
