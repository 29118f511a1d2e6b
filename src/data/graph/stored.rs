//! The graph that a run was trained on, in a file of its own: what is fitted goes into every checkpoint, a graph once.
//! It is a safetensors file with `x` `[nodes, features]`, `edge_index` `[2, edges]` (sources, then targets), `edge_weight`
//! `[edges]` where edges have weights, `category.NAME` `[nodes]`, and the names in the metadata.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base::nodes::{NodeCategory, Nodes};
use crate::base::tree;
use crate::data::fitted::FittedGraph;

/// Its name in a run directory.
pub const FILE: &str = "graph.safetensors";
/// Key of the metadata.
const KEY: &str = "gridlight";

/// What the tensors do not say.
#[derive(Serialize, Deserialize)]
struct Names {
    nodes: Vec<String>,
    features: Vec<String>,
    categories: Vec<(String, usize)>,
    identity: bool,
}

/// The bytes of the file.
///
/// # Errors
/// If the graph cannot be written, which is a bug.
pub fn save(nodes: &Nodes) -> Result<Vec<u8>, String> {
    let count = nodes.count();
    let mut tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> = BTreeMap::new();
    let words = |words: &[u32]| bytemuck::cast_slice(words).to_vec();
    let floats = |floats: &[f32]| bytemuck::cast_slice(floats).to_vec();
    tensors.insert("x".into(), (Dtype::F32, vec![count, nodes.features.len()], floats(&nodes.x)));
    let ends = [&nodes.sources[..], &nodes.targets[..]].concat();
    tensors.insert("edge_index".into(), (Dtype::U32, vec![2, nodes.sources.len()], words(&ends)));
    if !nodes.weights.is_empty() {
        let shape = vec![nodes.weights.len()];
        tensors.insert("edge_weight".into(), (Dtype::F32, shape, floats(&nodes.weights)));
    }
    for category in &nodes.categories {
        let name = format!("category.{}", category.name);
        tensors.insert(name, (Dtype::U32, vec![count], words(&category.ids)));
    }
    let names = Names {
        nodes: nodes.names.clone(),
        features: nodes.features.clone(),
        categories: nodes.categories.iter().map(|c| (c.name.clone(), c.vocabulary)).collect(),
        identity: nodes.identity,
    };
    let json = serde_json::to_string(&names).map_err(|e| e.to_string())?;
    let mut views = BTreeMap::new();
    for (name, (dtype, shape, data)) in &tensors {
        let view = TensorView::new(*dtype, shape.clone(), data).map_err(|e| e.to_string())?;
        views.insert(name.clone(), view);
    }
    let metadata = HashMap::from([(KEY.to_string(), json)]);
    safetensors::serialize(views, Some(metadata)).map_err(|e| e.to_string())
}

/// SHA-256 of the file; empty if it cannot be written.
pub fn digest(nodes: &Nodes) -> String {
    save(nodes).map(|bytes| crate::data::hexadecimal(&Sha256::digest(bytes))).unwrap_or_default()
}

/// Reads the graph of what was fitted from the file beside it.
///
/// # Errors
/// If the file is missing, damaged, or of another graph.
pub fn load(graph: &mut FittedGraph, path: &Path) -> Result<(), String> {
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    if crate::data::hexadecimal(&Sha256::digest(&bytes)) != graph.digest {
        return Err(
            "is not the graph that the run was trained on; the file is damaged or of another run".into()
        );
    }
    graph.nodes = Arc::new(parse(&bytes).ok_or("is no graph of this program")?);
    Ok(())
}

fn parse(bytes: &[u8]) -> Option<Nodes> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let names: Names = tree::of_json(header.metadata().as_ref()?.get(KEY)?).ok()?.read().ok()?;
    let file = SafeTensors::deserialize(bytes).ok()?;
    // The data of a tensor need not be aligned.
    let words = |name: &str| -> Option<Vec<u32>> {
        let data = file.tensor(name).ok()?.data().to_vec();
        Some(
            data.chunks_exact(4).filter_map(|word| Some(u32::from_le_bytes(word.try_into().ok()?))).collect(),
        )
    };
    let floats = |name: &str| Some(words(name)?.into_iter().map(f32::from_bits).collect::<Vec<f32>>());
    let ends = words("edge_index")?;
    let (sources, targets) = ends.split_at(ends.len() / 2);
    let categories = names.categories.into_iter().map(|(name, vocabulary)| {
        let ids = words(&format!("category.{name}"))?;
        Some(NodeCategory { name, vocabulary, ids })
    });
    Some(Nodes {
        x: floats("x")?,
        sources: sources.to_vec(),
        targets: targets.to_vec(),
        weights: floats("edge_weight").unwrap_or_default(),
        categories: categories.collect::<Option<_>>()?,
        names: names.nodes,
        features: names.features,
        identity: names.identity,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_is_read_as_it_was_written_and_another_is_refused() {
        let nodes = Nodes {
            names: vec!["a".into(), "b".into()],
            features: vec!["size".into()],
            x: vec![0.1, f32::MIN_POSITIVE],
            categories: vec![NodeCategory { name: "kind".into(), vocabulary: 3, ids: vec![2, 0] }],
            identity: true,
            sources: vec![1, 0],
            targets: vec![0, 1],
            weights: vec![0.5, 2.0],
        };
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        std::fs::write(&path, save(&nodes).unwrap()).unwrap();
        let mut found = FittedGraph { digest: digest(&nodes), ..FittedGraph::default() };
        load(&mut found, &path).unwrap();
        assert_eq!(*found.nodes, nodes);
        let other = Nodes { weights: vec![], ..nodes };
        std::fs::write(&path, save(&other).unwrap()).unwrap();
        assert!(load(&mut found, &path).unwrap_err().contains("another run"));
        found.digest = digest(&other);
        load(&mut found, &path).unwrap();
        assert_eq!(*found.nodes, other);
    }
}
