//! Recurrent operator cases, unrolled over time from this crate's operators.

use super::cases::{Operands, Skip, dense};
use crate::graph::{Graph, GraphError, ValueId};
use crate::scalar::UnaryFn;

/// Results of `rnn_tanh`, `rnn_with_output`, `lstm` (`h` of all steps, last `c`) or `gru`; layout `[T, B, I]`.
pub(super) fn build(o: &mut Operands, op: &str) -> Result<Vec<ValueId>, Skip> {
    let mut names = match op {
        "rnn_with_output" => vec!["x", "h0", "w", "u", "b", "v", "c"],
        "gru" => vec!["x", "h0", "w_ih", "w_hh", "b_ih", "b_hh"],
        _ => vec!["x", "h0", "w_ih", "w_hh", "b"],
    };
    if op == "lstm" {
        names.push("c0");
    }
    let v: Vec<ValueId> = names.iter().map(|n| o.get(n)).collect::<Result<_, _>>()?;
    unroll(o.graph, op, &v).map_err(|e| e.to_string())
}

fn unroll(g: &mut Graph, op: &str, v: &[ValueId]) -> Result<Vec<ValueId>, GraphError> {
    let [steps, batch, inputs] = g.shape(v[0])[..] else {
        return Err(GraphError {
            layer: String::new(),
            op: "rnn",
            operands: g.ty(v[0]).to_string(),
            reason: "expected x of shape [T, B, I]".into(),
        });
    };
    let (mut h, hidden) = (v[1], g.shape(v[1])[1]);
    let mut c = v.last().copied().unwrap_or(h);
    let mut outputs = vec![];
    for t in 0..steps {
        let slice = g.slice(v[0], &[t, 0, 0], &[1, batch, inputs])?;
        let x = g.reshape(slice, &[batch, inputs])?;
        match op {
            "gru" => h = gru(g, x, h, hidden, &v[2..6])?,
            "lstm" => (h, c) = lstm(g, x, h, c, hidden, &v[2..5])?,
            _ => {
                let (a, b) = (dense(g, x, v[2], v[4])?, g.matmul_with(h, v[3], false, true)?);
                let sum = g.add(a, b)?;
                h = g.unary(UnaryFn::Tanh, sum)?;
            }
        }
        let y = if op == "rnn_with_output" { dense(g, h, v[5], v[6])? } else { h };
        let width = g.shape(y)[1];
        outputs.push(g.reshape(y, &[1, batch, width])?);
    }
    let all = g.concat(&outputs, 0)?;
    Ok(if op == "lstm" { vec![all, c] } else { vec![all] })
}

fn part(g: &mut Graph, x: ValueId, number: usize, hidden: usize) -> Result<ValueId, GraphError> {
    let rows = g.shape(x)[0];
    g.slice(x, &[0, number * hidden], &[rows, hidden])
}

/// Gates r, z, n; the reset gate is applied after the recurrent product, as in PyTorch.
fn gru(g: &mut Graph, x: ValueId, h: ValueId, hidden: usize, v: &[ValueId]) -> Result<ValueId, GraphError> {
    let (a, b) = (dense(g, x, v[0], v[2])?, dense(g, h, v[1], v[3])?);
    let mut gates = vec![];
    for number in 0..2 {
        let (p, q) = (part(g, a, number, hidden)?, part(g, b, number, hidden)?);
        let sum = g.add(p, q)?;
        gates.push(g.unary(UnaryFn::Sigmoid, sum)?);
    }
    let (p, q) = (part(g, a, 2, hidden)?, part(g, b, 2, hidden)?);
    let reset = g.mul(gates[0], q)?;
    let sum = g.add(p, reset)?;
    let n = g.unary(UnaryFn::Tanh, sum)?;
    let keep = g.mul(gates[1], h)?;
    let rest = g.rsub_scalar(1.0, gates[1])?;
    let new = g.mul(rest, n)?;
    g.add(new, keep)
}

/// Gates i, f, g, o.
fn lstm(
    g: &mut Graph,
    x: ValueId,
    h: ValueId,
    c: ValueId,
    hidden: usize,
    v: &[ValueId],
) -> Result<(ValueId, ValueId), GraphError> {
    let (a, b) = (dense(g, x, v[0], v[2])?, g.matmul_with(h, v[1], false, true)?);
    let sum = g.add(a, b)?;
    let mut gates = vec![];
    for (number, f) in
        [UnaryFn::Sigmoid, UnaryFn::Sigmoid, UnaryFn::Tanh, UnaryFn::Sigmoid].into_iter().enumerate()
    {
        let gate = part(g, sum, number, hidden)?;
        gates.push(g.unary(f, gate)?);
    }
    let (kept, new) = (g.mul(gates[1], c)?, g.mul(gates[0], gates[2])?);
    let c = g.add(kept, new)?;
    let squashed = g.unary(UnaryFn::Tanh, c)?;
    Ok((g.mul(gates[3], squashed)?, c))
}
