//! Recurrent operator cases, run with the kernels that train.

use super::{Operands, Skip, dense};
use crate::graph::ValueId;
use crate::graph::recurrence::RecurrentWeights;
use crate::kernels::recurrence::Cell;

/// Results of `rnn_tanh`, `rnn_with_output`, `lstm` (`h` of all steps, last `c`) or `gru`; layout
/// `[T, B, I]`.
pub(super) fn build(o: &mut Operands, op: &str) -> Result<Vec<ValueId>, Skip> {
    let (x, h0) = (o.get("x")?, o.get("h0")?);
    let (cell, [w_ih, w_hh], [b_ih, b_hh]) = match op {
        "rnn_with_output" => (Cell::Tanh, ["w", "u"], ["b", ""]),
        "rnn_tanh" => (Cell::Tanh, ["w_ih", "w_hh"], ["b", ""]),
        "lstm" => (Cell::Lstm, ["w_ih", "w_hh"], ["b", ""]),
        _ => (Cell::Gru, ["w_ih", "w_hh"], ["b_ih", "b_hh"]),
    };
    let weights = RecurrentWeights {
        w_ih: o.get(w_ih)?,
        w_hh: o.get(w_hh)?,
        b_ih: Some(o.get(b_ih)?),
        b_hh: if b_hh.is_empty() { None } else { Some(o.get(b_hh)?) },
    };
    let c0 = if cell == Cell::Lstm { Some(o.get("c0")?) } else { None };
    let found = o.graph.recurrent(cell, x, &weights, [Some(h0), c0], false).map_err(|e| e.to_string())?;
    if op == "rnn_with_output" {
        let (v, c) = (o.get("v")?, o.get("c")?);
        return Ok(vec![dense(o.graph, found.hidden, v, c).map_err(|e| e.to_string())?]);
    }
    Ok(std::iter::once(found.hidden).chain(found.last_cell).collect())
}
