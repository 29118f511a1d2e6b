//! Recurrent layers. The file has one tensor for both directions, and its gates in another order than the kernels.

use super::super::build::{Builder, Held, Outcome, Value};
use super::super::known::Known;
use super::super::model::Node;
use super::gates::{Given, part};
use super::unrolled;
use crate::graph::ValueId;
use crate::graph::lengths::{Lengths, tables};
use crate::graph::recurrence::{Recurrent, RecurrentWeights};
use crate::kernels::recurrence::Cell;

/// Most elements of initial states.
const MOST: usize = 1 << 26;

/// A recurrent layer: all states `[T, D, B, H]`, the last ones `[D, B, H]`, and for an LSTM the last cells.
///
/// # Errors
/// If an attribute is not supported, or shapes do not match.
pub fn recurrent(b: &mut Builder, node: &Node) -> Outcome<Vec<Value>> {
    let batch_first = node.int("layout", 0) != 0;
    let reverses: &[bool] = match node.text("direction", "forward").as_str() {
        "forward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        other => return Err(format!("direction = \"{other:.40}\" is not supported").into()),
    };
    let given = given(b, node, batch_first, reverses.len())?;
    let names = node.texts("activations");
    let cell = cell(node, &names, reverses.len())?;
    let plain = given.peephole.is_none() && !node.has("clip");
    let mut found = vec![];
    for (direction, &reverse) in reverses.iter().enumerate() {
        found.push(match cell {
            Some(cell) if plain => fused(b, cell, &given, direction, reverse)?,
            _ => unrolled::run(b, node, &given, direction, reverse, reverses.len())?,
        });
    }
    let [steps, rows, hidden] = given.sizes;
    let each = |b: &mut Builder, of: &dyn Fn(&Recurrent) -> Option<ValueId>, shape: &[usize], axis| {
        let mut parts = vec![];
        for part in &found {
            let value = of(part).ok_or("it has no such result")?;
            parts.push(b.net.graph.reshape(value, shape)?);
        }
        Outcome::Ok(b.net.graph.concat(&parts, axis)?)
    };
    let mut all = each(b, &|f| Some(f.hidden), &[steps, 1, rows, hidden], 1)?;
    let mut results = vec![each(b, &|f| Some(f.last), &[1, rows, hidden], 0)?];
    if node.op == "LSTM" {
        results.push(each(b, &|f| f.last_cell, &[1, rows, hidden], 0)?);
    }
    if batch_first {
        all = b.turned(all, &[2, 0, 1, 3])?;
        for result in &mut results {
            *result = b.turned(*result, &[1, 0, 2])?;
        }
    }
    Ok(std::iter::once(all).chain(results).map(|id| Held::new(id).into()).collect())
}

/// The cell of the kernels, if it is one.
fn cell(node: &Node, names: &[String], directions: usize) -> Outcome<Option<Cell>> {
    let usual: &[&str] = match node.op.as_str() {
        "LSTM" => &["Sigmoid", "Tanh", "Tanh"],
        "GRU" => &["Sigmoid", "Tanh"],
        _ => &["Tanh"],
    };
    if !names.is_empty() && names.len() != usual.len() * directions {
        return Err(
            format!("its {} activations are not those of {directions} directions", names.len()).into()
        );
    }
    if let Some(name) = names.iter().find(|name| !unrolled::is_activation(name)) {
        return Err(format!("its attribute `activations` has \"{name:.40}\", which is not supported").into());
    }
    let is = |wanted: &[&str]| {
        names.chunks(wanted.len()).all(|own| own.iter().zip(wanted).all(|(a, b)| a.eq_ignore_ascii_case(b)))
    };
    Ok(match node.op.as_str() {
        "LSTM" if node.int("input_forget", 0) == 0 && is(usual) => Some(Cell::Lstm),
        "GRU" if node.int("linear_before_reset", 0) != 0 && is(usual) => Some(Cell::Gru),
        "RNN" if is(usual) => Some(Cell::Tanh),
        "RNN" if !names.is_empty() && is(&["Relu"]) => Some(Cell::Relu),
        _ => None,
    })
}

/// The operands of a node.
fn given(b: &mut Builder, node: &Node, batch_first: bool, directions: usize) -> Outcome<Given> {
    let mut x = b.numbers(node, 0)?;
    if batch_first {
        x = b.turned(x, &[1, 0, 2])?;
    }
    let [steps, rows, _] = b.net.graph.shape(x)[..] else {
        return Err("its operand has not three axes".into());
    };
    let (w, r) = (b.trained(node, 1)?, b.trained(node, 2)?);
    let (of_w, of_r) = (b.net.graph.shape(w).clone(), b.net.graph.shape(r).clone());
    let gates = match node.op.as_str() {
        "LSTM" => 4,
        "GRU" => 3,
        _ => 1,
    };
    let hidden = match (&of_w[..], &of_r[..]) {
        (&[d, width, _], &[e, other, hidden])
            if d == directions && e == directions && width == other && width == gates * hidden =>
        {
            hidden
        }
        _ => {
            return Err(format!(
                "its weights {of_w:?} and {of_r:?} are not those of {directions} directions"
            )
            .into());
        }
    };
    if rows.saturating_mul(hidden) > MOST {
        return Err(format!("{rows} rows of {hidden} units are too many").into());
    }
    let said = node.int("hidden_size", hidden as i64);
    if said != hidden as i64 {
        return Err(format!("hidden_size = {said}, but its weights have {hidden}").into());
    }
    let bias = b.trained_if(node, 3)?;
    let lengths = match b.integers(node, 4)? {
        Some(lengths) if lengths.iter().all(|&n| n == steps as i64) => None,
        Some(lengths)
            if lengths.len() == rows && lengths.iter().all(|&n| (1..=steps as i64).contains(&n)) =>
        {
            Some(lengths.iter().map(|&n| n as usize).collect())
        }
        Some(_) => {
            return Err("its sequence_lens are not one for each row, from 1 to the number of steps".into());
        }
        None => None,
    };
    let mut first = [None, None];
    for (at, state) in [5, 6].into_iter().zip(&mut first).take(if node.op == "LSTM" { 2 } else { 1 }) {
        *state = initial(b, node, at, [directions, rows, hidden], batch_first)?;
    }
    let peephole = if node.op == "LSTM" { b.trained_if(node, 7)? } else { None };
    Ok(Given { x, w, r, bias, first, peephole, sizes: [steps, rows, hidden], lengths })
}

/// Initial states `[D, B, H]`; none if they are 0.
fn initial(
    b: &mut Builder,
    node: &Node,
    at: usize,
    shape: [usize; 3],
    batch_first: bool,
) -> Outcome<Option<ValueId>> {
    let Some(value) = b.operand(node, at)? else { return Ok(None) };
    if let Some(known) = b.known_of(&value)? {
        if known.data.iter().all(|&x| x == 0.0) {
            return Ok(None);
        }
        // The same states for each row, of however many the file was made for.
        if let (Some(freed), Some(&one)) = (b.freed, known.data.first())
            && known.data.iter().all(|&x| x == one)
            && known.shape.get(usize::from(!batch_first)) == Some(&freed.exported)
        {
            let whole =
                Known { shape: shape.to_vec(), data: vec![one; shape.iter().product()], ..(*known).clone() };
            return Ok(Some(b.constant(&whole)?));
        }
    }
    let held = b.hold(&value)?;
    let id = b.first(&held)?;
    let id = if batch_first { b.turned(id, &[1, 0, 2])? } else { id };
    match b.net.graph.shape(id)[..] == shape {
        true => Ok(Some(id)),
        false => {
            Err(format!("its initial states are {:?}, {shape:?} are needed", b.net.graph.shape(id)).into())
        }
    }
}

/// Parts of the first axis, each of `size`, in another order.
fn reordered(b: &mut Builder, x: ValueId, size: usize, order: &[usize]) -> Outcome<ValueId> {
    if order.iter().enumerate().all(|(to, &from)| to == from) {
        return Ok(x);
    }
    let shape = b.net.graph.shape(x).clone();
    let mut parts = vec![];
    for &at in order {
        let mut starts = vec![0; shape.len()];
        starts[0] = at * size;
        let extents = [&[size], &shape[1..]].concat();
        parts.push(b.net.graph.slice(x, &starts, &extents)?);
    }
    Ok(b.net.graph.concat(&parts, 0)?)
}

fn fused(b: &mut Builder, cell: Cell, given: &Given, direction: usize, reverse: bool) -> Outcome<Recurrent> {
    let [steps, _, hidden] = given.sizes;
    // ONNX has i, o, f, c and z, r, h; PyTorch and the kernels i, f, c, o and r, z, h.
    let order: &[usize] = match cell {
        Cell::Lstm => &[0, 2, 3, 1],
        Cell::Gru => &[1, 0, 2],
        _ => &[0],
    };
    let (w, r) = (part(b, given.w, direction)?, part(b, given.r, direction)?);
    let (w_ih, w_hh) = (reordered(b, w, hidden, order)?, reordered(b, r, hidden, order)?);
    let mut biases = [None, None];
    if let Some(bias) = given.bias {
        let both = part(b, bias, direction)?;
        let width = order.len() * hidden;
        for (at, bias) in biases.iter_mut().enumerate() {
            let half = b.net.graph.slice(both, &[at * width], &[width])?;
            *bias = Some(reordered(b, half, hidden, order)?);
        }
    }
    let mut first = [None, None];
    for (from, to) in given.first.iter().zip(&mut first) {
        *to = from.map(|state| part(b, state, direction)).transpose()?;
    }
    let weights = RecurrentWeights { w_ih, w_hh, b_ih: biases[0], b_hh: biases[1] };
    let Some(lengths) = &given.lengths else {
        return Ok(b.net.graph.recurrent(cell, given.x, &weights, first, reverse)?);
    };
    let rows = lengths.len();
    let (mask, turned) = tables(lengths, steps);
    let mask = b.net.graph.constant(&[steps, rows], &mask)?;
    let turned: Vec<usize> = turned.iter().map(|&at| at as usize).collect();
    let turned = b.indices(&[steps, rows], &turned)?;
    let lengths = Lengths { mask, turned };
    Ok(b.net.graph.recurrent_of_lengths(cell, given.x, &weights, first, reverse, &lengths)?)
}
