//! An ONNX file as it lies on the disk, read within bounds.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use prost::Message;

use super::super::proto;
use crate::base::input;
use crate::train::TrainError;

/// Larger files are refused before they are read; protobuf itself ends there.
const MAX_BYTES: u64 = 2 << 30;
/// Most messages of a file. An empty one takes two bytes of the file and a hundred times as many in memory.
const MAX_MESSAGES: usize = 2_000_000;
/// Most bytes of one tensor in a file of its own.
const MAX_EXTERNAL: usize = 4 << 30;
/// How deep messages lie within each other at most.
const MAX_DEPTH: usize = 24;

/// Reads a file.
///
/// # Errors
/// If it cannot be read, or is too large for one.
pub fn read(path: &Path) -> Result<Vec<u8>, TrainError> {
    let io = |e: std::io::Error| TrainError::io(path, &e);
    let size = std::fs::metadata(path).map_err(io)?;
    if size.is_dir() {
        return Err(TrainError::unusable(path, "is a directory; give an .onnx file"));
    }
    if size.len() > MAX_BYTES {
        let reason = format!("has {} bytes; an ONNX file has at most {MAX_BYTES}", size.len());
        return Err(TrainError::unusable(path, reason));
    }
    input::read(path, MAX_BYTES).map_err(|reason| TrainError::unusable(path, reason))
}

/// Decodes the bytes of a file.
///
/// # Errors
/// If they are no ONNX file, or one that would take far more memory than its size.
pub fn parse(bytes: &[u8]) -> Result<proto::Model, String> {
    let mut left = MAX_MESSAGES;
    count(bytes, Place::Model, &mut left, MAX_DEPTH)
        .ok_or("is no ONNX file, or is damaged (a length or number in it is not possible)")?;
    let model = proto::Model::decode(bytes).map_err(|e| format!("is no ONNX file, or is damaged: {e}"))?;
    if model.graph.is_none() {
        return Err("is no ONNX file: it holds no graph".into());
    }
    Ok(model)
}

/// Which message some bytes are, as far as more messages lie in it.
#[derive(Clone, Copy)]
enum Place {
    Model,
    Graph,
    Function,
    Node,
    Attribute,
    Tensor,
    /// One whose parts are few and small, or not read.
    Other,
}

impl Place {
    fn inner(self, field: u64) -> Option<Self> {
        Some(match (self, field) {
            (Self::Model, 7) | (Self::Attribute, 6) => Self::Graph,
            (Self::Model, 25) => Self::Function,
            (Self::Model, 8 | 14) | (Self::Graph, 11 | 12) | (Self::Function, 9) => Self::Other,
            (Self::Tensor, 13) => Self::Other,
            (Self::Graph, 1) | (Self::Function, 7) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5) => Self::Tensor,
            (Self::Graph, 15) => Self::Other,
            (Self::Node, 5) | (Self::Function, 11) => Self::Attribute,
            _ => return None,
        })
    }
}

/// Counts messages and texts down from `left`; `None` if there are too many, or bytes are no message.
fn count(mut bytes: &[u8], place: Place, left: &mut usize, depth: usize) -> Option<()> {
    depth.checked_sub(1)?;
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        match key & 7 {
            0 => drop(varint(&mut bytes)?),
            1 => bytes = bytes.get(8..)?,
            5 => bytes = bytes.get(4..)?,
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (inner, rest) = (bytes.get(..length)?, &bytes[length..]);
                *left = left.checked_sub(1)?;
                if let Some(place) = place.inner(key >> 3) {
                    count(inner, place, left, depth - 1)?;
                }
                bytes = rest;
            }
            _ => return None,
        }
    }
    Some(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for at in 0..10 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * at).min(63);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// The bytes of a tensor that lie in another file, beside the model.
///
/// # Errors
/// If that file is elsewhere, or has not as many bytes there.
pub fn external(tensor: &proto::Tensor, directory: &Path, wanted: usize) -> Result<Vec<u8>, String> {
    let entry =
        |key: &str| tensor.external_data.iter().find(|entry| entry.key == key).map(|e| e.value.as_str());
    let location = entry("location").ok_or("its data lie in another file, whose name is missing")?;
    let number = |key: &str, default: u64| match entry(key) {
        None => Ok(default),
        Some(text) => {
            text.parse::<u64>().map_err(|_| format!("`{key}` of its data is \"{text:.40}\", no number"))
        }
    };
    let offset = number("offset", 0)?;
    let length = number("length", wanted as u64)?;
    if length != wanted as u64 || wanted > MAX_EXTERNAL {
        return Err(format!("its data have {length} bytes in `{location:.80}`, its shape needs {wanted}"));
    }
    let path = beside(location, directory)?;
    let fail = |e: std::io::Error| format!("its data in {}: {e}", path.display());
    input::refuse_special(&path).map_err(|reason| format!("its data in {}: {reason}", path.display()))?;
    let mut file = std::fs::File::open(&path).map_err(fail)?;
    let size = file.metadata().map_err(fail)?.len();
    if offset.checked_add(length).is_none_or(|end| end > size) {
        let place = path.display();
        return Err(format!("its data end beyond {place}, which has {size} bytes; the file is incomplete"));
    }
    file.seek(SeekFrom::Start(offset)).map_err(fail)?;
    let mut bytes = vec![0; wanted];
    file.read_exact(&mut bytes).map_err(fail)?;
    Ok(bytes)
}

/// The path of a file in `directory` or below; a model may not read others.
fn beside(location: &str, directory: &Path) -> Result<PathBuf, String> {
    let outside = || format!("its data lie in `{location:.80}`, which is not within the model's directory");
    let plain = |part: Component| matches!(part, Component::Normal(_) | Component::CurDir);
    if !Path::new(location).components().all(plain) {
        return Err(outside());
    }
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let path = directory.join(location);
    let real = |path: &Path| path.canonicalize().map_err(|e| format!("its data in {}: {e}", path.display()));
    // A link may lead elsewhere.
    if real(&path)?.starts_with(real(directory)?) { Ok(path) } else { Err(outside()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_elsewhere_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("weights.bin"), [1, 2, 3, 4]).unwrap();
        let tensor = |location: &str, offset: &str| proto::Tensor {
            external_data: [("location", location), ("offset", offset)]
                .map(|(key, value)| proto::Entry { key: key.into(), value: value.into() })
                .to_vec(),
            ..proto::Tensor::default()
        };
        let read = |location: &str, offset: &str, wanted| {
            external(&tensor(location, offset), directory.path(), wanted)
        };
        assert_eq!(read("weights.bin", "1", 3).unwrap(), [2, 3, 4]);
        assert!(read("weights.bin", "2", 3).unwrap_err().contains("incomplete"));
        assert!(read("weights.bin", "18446744073709551615", 3).unwrap_err().contains("incomplete"));
        for location in ["../weights.bin", "/etc/passwd", "a/../../b"] {
            assert!(read(location, "0", 1).unwrap_err().contains("not within"), "{location}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("/etc/passwd", directory.path().join("link")).unwrap();
            assert!(read("link", "0", 1).unwrap_err().contains("not within"));
        }
    }

    #[test]
    fn a_file_of_empty_messages_is_refused() {
        // The graph, with as many nodes as fit.
        let nodes = [0x0a, 0x00].repeat(MAX_MESSAGES + 1);
        let mut bytes = vec![0x3a];
        let mut length = nodes.len();
        while length > 0x7f {
            bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend(nodes);
        assert!(parse(&bytes).is_err());
        assert!(parse(b"").unwrap_err().contains("no graph"));
    }
}
