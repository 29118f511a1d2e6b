//! The reference: evaluates a graph node by node in `f64`, with no fusion and no planning.

use std::collections::BTreeMap;

use super::ops::EvalContext;
use super::{Graph, Op, Source, ValueId};
use crate::base::tensor::{Shape, Tensor};

/// Why a graph could not be evaluated.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum ReferenceError {
    /// A source has no value.
    #[error("no value is bound to {0:?}")]
    Unbound(Source),
    /// A bound value has the wrong shape.
    #[error("the value bound to {source_name:?} has shape {found:?}, expected {expected:?}")]
    Shape {
        /// The source.
        source_name: Source,
        /// Its value's shape.
        found: Shape,
        /// The source's shape.
        expected: Shape,
    },
}

/// Evaluates `outputs`, given a value for every source they depend on.
///
/// # Errors
/// If a source is unbound or bound to another shape.
pub fn evaluate(
    graph: &Graph,
    bindings: &BTreeMap<ValueId, Tensor>,
    context: &EvalContext,
    outputs: &[ValueId],
) -> Result<Vec<Tensor>, ReferenceError> {
    let mut needed = vec![false; graph.nodes.len()];
    let mut stack = outputs.to_vec();
    while let Some(value) = stack.pop() {
        if !std::mem::replace(&mut needed[value.index()], true) {
            stack.extend(&graph.node(value).inputs);
        }
    }
    let mut values: Vec<Option<Tensor>> = vec![None; graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate().filter(|(i, _)| needed[*i]) {
        let value = match (&node.op, bindings.get(&ValueId(i as u32))) {
            (Op::Source(op), None) => return Err(ReferenceError::Unbound(op.source.clone())),
            (Op::Source(op), Some(bound)) if bound.shape != node.ty.shape => {
                return Err(ReferenceError::Shape {
                    source_name: op.source.clone(),
                    found: bound.shape.clone(),
                    expected: node.ty.shape.clone(),
                });
            }
            (_, Some(bound)) => bound.clone(),
            (op, None) => {
                let inputs: Vec<&Tensor> =
                    node.inputs.iter().filter_map(|v| values[v.index()].as_ref()).collect();
                op.eval(&inputs, &node.ty, context)
            }
        };
        values[i] = Some(value);
    }
    Ok(outputs.iter().filter_map(|v| values[v.index()].clone()).collect())
}
