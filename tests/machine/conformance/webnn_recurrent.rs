//! WebNN's `gru` and `lstm`, and single steps of them, in both directions and every order of gates: with the
//! recurrent kernels where WebNN's definition matches theirs; otherwise (peepholes, other activations, a
//! reset before the product) unrolled over time.

use gridlight::graph::ValueId;
use gridlight::graph::recurrence::{Recurrent, RecurrentWeights};
use gridlight::kernels::recurrence::Cell;
use gridlight::scalar::UnaryFn;
use serde_json::Value;

use super::webnn::{Builder, Built, say};

/// The weights `[gates * hidden, ..]`, biases and peepholes `[.. * hidden]` of one direction.
struct Weights {
    input: ValueId,
    recurrent: ValueId,
    bias: ValueId,
    recurrent_bias: ValueId,
    peephole: Option<ValueId>,
}

/// The results: the last states of all directions and, if requested, the hidden states of all steps.
pub fn build(b: &mut Builder) -> Built<Vec<ValueId>> {
    let op = b.call.op.as_str();
    let lstm = op.starts_with("lstm");
    if op.ends_with("Cell") {
        return cell(b, lstm);
    }
    let (steps, hidden) = (b.call.args[3].as_u64(), b.call.args[4].as_u64());
    let (steps, hidden) = (steps.unwrap_or(0) as usize, hidden.unwrap_or(0) as usize);
    let x = b.input(0)?;
    let (input, recurrent) = (b.input(1)?, b.input(2)?);
    let (directions, rows) = (b.g.shape(input)[0], b.g.shape(input)[1]);
    let batch = b.g.shape(x)[1];
    let bias = b.option_or_zeros("bias", &[directions, rows])?;
    let recurrent_bias = b.option_or_zeros("recurrentBias", &[directions, rows])?;
    let peephole = b.option("peepholeWeight")?;
    let state = [directions, batch, hidden];
    let h0 = b.option_or_zeros("initialHiddenState", &state)?;
    let c0 = b.option_or_zeros("initialCellState", &state)?;
    let backward = b.call.options().get("direction").is_some_and(|d| d == "backward");
    let mut last: [Vec<ValueId>; 2] = [vec![], vec![]];
    let mut sequences = vec![];
    for direction in 0..directions {
        let weights = Weights {
            input: row(b, input, direction)?,
            recurrent: row(b, recurrent, direction)?,
            bias: row(b, bias, direction)?,
            recurrent_bias: row(b, recurrent_bias, direction)?,
            peephole: peephole.map(|p| row(b, p, direction)).transpose()?,
        };
        let (mut h, mut c) = (row(b, h0, direction)?, row(b, c0, direction)?);
        let reversed = backward || direction == 1;
        if agrees(b, lstm, &weights)? {
            let found = kernel(b, lstm, &weights, x, [h, c], reversed)?;
            sequences.push(b.g.reshape(found.hidden, &[steps, 1, batch, hidden]).map_err(say)?);
            for (last, state) in last.iter_mut().zip([Some(found.last), found.last_cell]) {
                if let Some(state) = state {
                    last.push(b.g.reshape(state, &[1, batch, hidden]).map_err(say)?);
                }
            }
            continue;
        }
        let mut outputs = vec![h; steps];
        for t in 0..steps {
            let t = if reversed { steps - 1 - t } else { t };
            let now = row(b, x, t)?;
            (h, c) = step(b, lstm, &weights, now, h, c, hidden)?;
            outputs[t] = b.g.reshape(h, &[1, 1, batch, hidden]).map_err(say)?;
        }
        sequences.push(b.g.concat(&outputs, 0).map_err(say)?);
        last[0].push(b.g.reshape(h, &[1, batch, hidden]).map_err(say)?);
        last[1].push(b.g.reshape(c, &[1, batch, hidden]).map_err(say)?);
    }
    let mut results = vec![b.g.concat(&last[0], 0).map_err(say)?];
    if lstm {
        results.push(b.g.concat(&last[1], 0).map_err(say)?);
    }
    if b.call.flag("returnSequence", false) {
        results.push(b.g.concat(&sequences, 1).map_err(say)?);
    }
    Ok(results)
}

/// One step from the given states.
fn cell(b: &mut Builder, lstm: bool) -> Built<Vec<ValueId>> {
    let (x, input, recurrent, h) = (b.input(0)?, b.input(1)?, b.input(2)?, b.input(3)?);
    let c = if lstm { b.input(4)? } else { h };
    let (rows, hidden) = (b.g.shape(input)[0], b.g.shape(h)[1]);
    let weights = Weights {
        input,
        recurrent,
        bias: b.option_or_zeros("bias", &[rows])?,
        recurrent_bias: b.option_or_zeros("recurrentBias", &[rows])?,
        peephole: b.option("peepholeWeight")?,
    };
    if agrees(b, lstm, &weights)? {
        let shape = b.g.shape(x).clone();
        let x = b.g.reshape(x, &[1, shape[0], shape[1]]).map_err(say)?;
        let found = kernel(b, lstm, &weights, x, [h, c], false)?;
        return Ok(std::iter::once(found.last).chain(found.last_cell).collect());
    }
    let (h, c) = step(b, lstm, &weights, x, h, c, hidden)?;
    Ok(if lstm { vec![h, c] } else { vec![h] })
}

/// Whether the recurrent kernels can compute the call.
fn agrees(b: &Builder, lstm: bool, weights: &Weights) -> Built<bool> {
    let defaults: &[UnaryFn] = if lstm {
        &[UnaryFn::Sigmoid, UnaryFn::Tanh, UnaryFn::Tanh]
    } else {
        &[UnaryFn::Sigmoid, UnaryFn::Tanh]
    };
    let reset_after = lstm || b.call.flag("resetAfter", true);
    Ok(weights.peephole.is_none() && reset_after && activations(b, defaults)? == defaults)
}

/// All steps of one direction with the recurrent kernels.
fn kernel(
    b: &mut Builder,
    lstm: bool,
    weights: &Weights,
    x: ValueId,
    [h, c]: [ValueId; 2],
    reversed: bool,
) -> Built<Recurrent> {
    let hidden = b.g.shape(h)[1];
    let rzn = b.call.options().get("layout").is_some_and(|l| l == "rzn");
    // Positions of PyTorch's gates i, f, g, o or r, z, n.
    let order: &[usize] = match (lstm, rzn) {
        (true, _) => &[0, 2, 3, 1],
        (false, true) => &[0, 1, 2],
        (false, false) => &[1, 0, 2],
    };
    let mut ordered = |rows: ValueId| -> Built {
        let parts: Vec<ValueId> =
            order.iter().map(|&gate| part(b, rows, gate, hidden)).collect::<Built<Vec<_>>>()?;
        b.g.concat(&parts, 0).map_err(say)
    };
    let weights = RecurrentWeights {
        w_ih: ordered(weights.input)?,
        w_hh: ordered(weights.recurrent)?,
        b_ih: Some(ordered(weights.bias)?),
        b_hh: Some(ordered(weights.recurrent_bias)?),
    };
    let (cell, first) = if lstm { (Cell::Lstm, [Some(h), Some(c)]) } else { (Cell::Gru, [Some(h), None]) };
    b.g.recurrent(cell, x, &weights, first, reversed).map_err(say)
}

/// Entry `at` of the first axis.
fn row(b: &mut Builder, x: ValueId, at: usize) -> Built {
    let shape = b.g.shape(x).clone();
    let (mut starts, mut extents) = (vec![0; shape.len()], shape.clone());
    (starts[0], extents[0]) = (at, 1);
    let slice = b.g.slice(x, &starts, &extents).map_err(say)?;
    b.g.reshape(slice, &shape[1..]).map_err(say)
}

/// Part `number` of the first axis, of length `hidden`.
fn part(b: &mut Builder, x: ValueId, number: usize, hidden: usize) -> Built {
    let mut extents = b.g.shape(x).clone();
    let mut starts = vec![0; extents.len()];
    (starts[0], extents[0]) = (number * hidden, hidden);
    b.g.slice(x, &starts, &extents).map_err(say)
}

/// `x W^T + b` with gate `number` of the weights and biases.
fn gate(b: &mut Builder, x: ValueId, w: ValueId, bias: ValueId, number: usize, hidden: usize) -> Built {
    let (w, bias) = (part(b, w, number, hidden)?, part(b, bias, number, hidden)?);
    let product = b.g.matmul_with(x, w, false, true).map_err(say)?;
    b.g.add(product, bias).map_err(say)
}

fn activations(b: &Builder, defaults: &[UnaryFn]) -> Built<Vec<UnaryFn>> {
    let options = b.call.options();
    let Some(list) = options.get("activations").and_then(Value::as_array) else {
        return Ok(defaults.to_vec());
    };
    let function = |entry: &Value| match entry.get("fn").and_then(Value::as_str) {
        Some("relu") => Ok(UnaryFn::Relu),
        Some("tanh") => Ok(UnaryFn::Tanh),
        Some("sigmoid") => Ok(UnaryFn::Sigmoid),
        _ => Err(format!("activation {entry}")),
    };
    list.iter().map(function).collect()
}

fn step(
    b: &mut Builder,
    lstm: bool,
    w: &Weights,
    x: ValueId,
    h: ValueId,
    c: ValueId,
    hidden: usize,
) -> Built<(ValueId, ValueId)> {
    if lstm {
        return lstm_step(b, w, x, h, c, hidden);
    }
    let f = activations(b, &[UnaryFn::Sigmoid, UnaryFn::Tanh])?;
    let rzn = b.call.options().get("layout").is_some_and(|l| l == "rzn");
    let (z, r) = if rzn { (1, 0) } else { (0, 1) };
    let mut gates = vec![];
    for number in [z, r] {
        let p = gate(b, x, w.input, w.bias, number, hidden)?;
        let q = gate(b, h, w.recurrent, w.recurrent_bias, number, hidden)?;
        let sum = b.g.add(p, q).map_err(say)?;
        gates.push(b.unary(f[0], sum)?);
    }
    let p = gate(b, x, w.input, w.bias, 2, hidden)?;
    let q = if b.call.flag("resetAfter", true) {
        let q = gate(b, h, w.recurrent, w.recurrent_bias, 2, hidden)?;
        b.g.mul(gates[1], q).map_err(say)?
    } else {
        let reset = b.g.mul(gates[1], h).map_err(say)?;
        gate(b, reset, w.recurrent, w.recurrent_bias, 2, hidden)?
    };
    let sum = b.g.add(p, q).map_err(say)?;
    let n = b.unary(f[1], sum)?;
    let keep = b.g.mul(gates[0], h).map_err(say)?;
    let rest = b.g.rsub_scalar(1.0, gates[0]).map_err(say)?;
    let new = b.g.mul(rest, n).map_err(say)?;
    let h = b.g.add(keep, new).map_err(say)?;
    Ok((h, h))
}

/// Gates i, o, f, g; peepholes i, o, f read the cell state before the step.
fn lstm_step(
    b: &mut Builder,
    w: &Weights,
    x: ValueId,
    h: ValueId,
    c: ValueId,
    hidden: usize,
) -> Built<(ValueId, ValueId)> {
    let f = activations(b, &[UnaryFn::Sigmoid, UnaryFn::Tanh, UnaryFn::Tanh])?;
    let mut gates = vec![];
    for number in 0..4 {
        let p = gate(b, x, w.input, w.bias, number, hidden)?;
        let q = gate(b, h, w.recurrent, w.recurrent_bias, number, hidden)?;
        let mut sum = b.g.add(p, q).map_err(say)?;
        if let (Some(peephole), 0..3) = (w.peephole, number) {
            let peephole = part(b, peephole, number, hidden)?;
            let seen = b.g.mul(c, peephole).map_err(say)?;
            sum = b.g.add(sum, seen).map_err(say)?;
        }
        gates.push(b.unary(if number == 3 { f[1] } else { f[0] }, sum)?);
    }
    let kept = b.g.mul(gates[2], c).map_err(say)?;
    let new = b.g.mul(gates[0], gates[3]).map_err(say)?;
    let c = b.g.add(kept, new).map_err(say)?;
    let squashed = b.unary(f[2], c)?;
    Ok((b.g.mul(gates[1], squashed).map_err(say)?, c))
}
