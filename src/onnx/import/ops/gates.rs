//! What recurrent layers are given: tensors with an axis for directions in front.

use super::super::build::{Builder, Outcome};
use crate::graph::ValueId;

/// What a layer is given, one axis for directions in front.
pub struct Given {
    /// `[T, B, F]`
    pub x: ValueId,
    /// `[D, g H, F]`
    pub w: ValueId,
    /// `[D, g H, H]`
    pub r: ValueId,
    /// `[D, 2 g H]`
    pub bias: Option<ValueId>,
    /// `[D, B, H]`
    pub first: [Option<ValueId>; 2],
    /// `[D, 3 H]`
    pub peephole: Option<ValueId>,
    /// Steps, rows, hidden units.
    pub sizes: [usize; 3],
    /// Steps of each row, if they are fewer.
    pub lengths: Option<Vec<usize>>,
}

/// The part of direction `d` of a value with an axis for directions in front.
pub fn part(b: &mut Builder, x: ValueId, d: usize) -> Outcome<ValueId> {
    let shape = b.net.graph.shape(x).clone();
    let mut starts = vec![0; shape.len()];
    starts[0] = d;
    let one = [&[1], &shape[1..]].concat();
    let slice = b.net.graph.slice(x, &starts, &one)?;
    Ok(b.net.graph.reshape(slice, &shape[1..])?)
}
