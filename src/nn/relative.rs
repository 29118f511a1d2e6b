//! Windows relative to their last row: the model reads and predicts how far each target is from its last known
//! value, so that an untrained one forecasts that nothing changes (NLinear, Zeng et al. 2023).

use super::inputs::SequenceShape;
use crate::graph::{Graph, GraphError, ValueId};

/// Windows `[B, length * width]`, whose first `targets` columns are differences from their last row, and that
/// row's values of them, `[B, 1, targets, 1]`.
///
/// # Errors
/// If the shapes do not match.
pub(super) fn differences(
    g: &mut Graph,
    x: ValueId,
    sequence: SequenceShape,
    targets: usize,
) -> Result<(ValueId, ValueId), GraphError> {
    let (batch, SequenceShape { length, width }) = (g.shape(x)[0], sequence);
    let rows = g.reshape(x, &[batch, length, width])?;
    let past = g.slice(rows, &[0, 0, 0], &[batch, length, targets])?;
    let last = g.slice(rows, &[0, length - 1, 0], &[batch, 1, targets])?;
    let mut columns = vec![g.sub(past, last)?];
    if width > targets {
        columns.push(g.slice(rows, &[0, 0, targets], &[batch, length, width - targets])?);
    }
    let rows = g.concat(&columns, 2)?;
    Ok((g.reshape(rows, &[batch, length * width])?, g.reshape(last, &[batch, 1, targets, 1])?))
}

/// Predictions `[B, steps * targets * quantiles]` of differences as values, given those of the last row.
///
/// # Errors
/// If the shapes do not match.
pub(super) fn values(
    g: &mut Graph,
    differences: ValueId,
    last: ValueId,
    quantiles: usize,
) -> Result<ValueId, GraphError> {
    let shape = g.shape(differences).to_vec();
    let (batch, targets) = (shape[0], g.shape(last)[2]);
    let steps = shape[1] / (targets * quantiles).max(1);
    let each = g.reshape(differences, &[batch, steps, targets, quantiles])?;
    let values = g.add(each, last)?;
    g.reshape(values, &shape)
}
