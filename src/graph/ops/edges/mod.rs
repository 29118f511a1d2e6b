//! Operators on the edges of a fixed graph: sums over neighbours, products of the two ends of each edge, and softmax
//! over the edges of each node. The edges are part of the operator, whose last operands are what its kernel reads of
//! them: constants that the builder methods add. Those in [`own`] are on the edges of each graph of a batch, which are
//! operands like others.

mod dot;
mod links;
mod own;
mod softmax;
mod sum;

pub use dot::EdgeDot;
pub use links::{Links, PIECE};
pub use own::{OwnEdgeDot, OwnEdgeSoftmax, OwnNeighbourSum};
pub use softmax::EdgeSoftmax;
pub use sum::NeighbourSum;

use crate::base::tensor::{DType, TensorType};

/// Checks that the last operands are those constants.
fn check_constants(found: &[&TensorType], words: &[usize]) -> Result<(), String> {
    let right = |(found, words): (&&TensorType, &usize)| found.dtype == DType::U32 && found.shape == [*words];
    if found.len() == words.len() && found.iter().zip(words).all(right) {
        return Ok(());
    }
    Err(format!("expected its edges as u32 vectors of {words:?} words; use the builder method"))
}

/// The extents `[B, nodes, C]` of values of nodes.
fn of_nodes(ty: &TensorType, nodes: usize) -> Result<[usize; 3], String> {
    match ty.shape[..] {
        [batch, found, width] if found == nodes && ty.dtype == DType::F32 => Ok([batch, found, width]),
        _ => Err(format!("expected values of {nodes} nodes, f32[B, {nodes}, C], found {ty}")),
    }
}

/// The extents `[B, edges, H]` of values of edges.
fn of_edges(ty: &TensorType, edges: usize) -> Result<[usize; 3], String> {
    match ty.shape[..] {
        [batch, found, heads] if found == edges && ty.dtype == DType::F32 => Ok([batch, found, heads]),
        _ => Err(format!("expected values of {edges} edges, f32[B, {edges}, H], found {ty}")),
    }
}

/// The operands that are not constants.
fn leading<'a>(inputs: &[&'a TensorType], count: usize) -> Result<Vec<&'a TensorType>, String> {
    inputs.get(..count).map(<[_]>::to_vec).ok_or_else(|| format!("expected {count} operands and the edges"))
}

/// Edges of samples: a single one, some with an isolated row and column, a hub and double edges, and some that are not
/// numbered row by row.
fn samples() -> Vec<(&'static str, Links)> {
    let of = |edges: &[[u32; 2]], extents| {
        Links::new(edges.iter().map(|e| e[0]).collect(), edges.iter().map(|e| e[1]).collect(), extents)
    };
    let several = [[0, 0], [0, 3], [1, 2], [3, 0], [3, 1], [3, 2], [3, 3], [3, 3], [3, 6], [4, 4]];
    let all = [
        ("of one node", of(&[[0, 0]], [1, 1])),
        ("of several", of(&several, [5, 7])),
        ("in another order", of(&[[2, 0], [0, 1], [2, 1], [0, 0], [1, 1]], [3, 2])),
    ];
    all.into_iter().filter_map(|(name, links)| Some((name, links.ok()?))).collect()
}
