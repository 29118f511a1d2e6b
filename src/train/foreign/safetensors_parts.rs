//! Safetensors files in several parts: `model.safetensors.index.json` says which tensor lies in which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use serde::Deserialize;

use crate::base::input;
use crate::train::TrainError;
use crate::train::checkpoint::{self, NamedTensor};

/// Largest index.
const MAX_INDEX: u64 = 64 << 20;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// All tensors of the parts, each of which lies beside the index.
pub(super) fn load(path: &Path) -> Result<Vec<NamedTensor>, TrainError> {
    let wrong = |reason: String| TrainError::unusable(path, reason);
    let bytes = input::read(path, MAX_INDEX).map_err(&wrong)?;
    let index: Index = serde_json::from_slice(&bytes)
        .map_err(|e| wrong(format!("is no index of weights in several parts (with a `weight_map`): {e}")))?;
    let parts: BTreeSet<&String> = index.weight_map.values().collect();
    let mut tensors = vec![];
    for part in parts {
        let plain = Path::new(part).components().all(|c| matches!(c, Component::Normal(_)));
        if !plain || part.is_empty() {
            return Err(wrong(format!("names the part `{part:.120}`, which is not beside it")));
        }
        let (found, _) = checkpoint::load(&path.with_file_name(part))?;
        tensors.extend(found.into_iter().filter(|(name, ..)| index.weight_map.get(name) == Some(part)));
    }
    let missing = index.weight_map.iter().find(|(name, _)| !tensors.iter().any(|(known, ..)| known == *name));
    if let Some((name, part)) = missing.filter(|(name, _)| !name.ends_with("num_batches_tracked")) {
        return Err(wrong(format!("says that `{name:.120}` is in {part:.120}, where it is not")));
    }
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::{Dtype, TensorView};

    use super::*;

    #[test]
    fn parts_are_put_together() {
        let directory = tempfile::tempdir().unwrap();
        let write = |file: &str, name: &str, dtype, shape: &[usize], bytes: &[u8]| {
            let view = TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
            let bytes = safetensors::serialize([(name.to_string(), view)], None).unwrap();
            std::fs::write(directory.path().join(file), bytes).unwrap();
        };
        write("1.safetensors", "a", Dtype::F16, &[2], &[0x00, 0x3c, 0x00, 0xc0]);
        write("2.safetensors", "b", Dtype::BF16, &[1], &[0xc0, 0x3f]);
        let index = directory.path().join("model.safetensors.index.json");
        let load = |map: &str| {
            std::fs::write(&index, format!("{{\"weight_map\": {map}}}")).unwrap();
            load(&index).map_err(|e| e.to_string())
        };
        let found = load(r#"{"a": "1.safetensors", "b": "2.safetensors"}"#).unwrap();
        let wanted = [("a".to_string(), vec![2], vec![1.0, -2.0]), ("b".to_string(), vec![1], vec![1.5])];
        assert_eq!(found, wanted);
        assert!(load(r#"{"c": "1.safetensors"}"#).unwrap_err().contains("where it is not"));
        assert!(load(r#"{"a": "../1.safetensors"}"#).unwrap_err().contains("not beside"));
        assert!(load("3").unwrap_err().contains("no index"));
    }
}
