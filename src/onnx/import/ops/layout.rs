//! The same elements in another shape or order.

use super::super::build::{Builder, Held, Outcome, Value};
use super::super::known::{Kind, Known};
use super::super::mend::resolve;
use super::super::model::Node;
use super::{axes_given, axes_of, axis_last, axis_of, known};
use crate::base::tensor::elements;
use crate::graph::ValueId;
use crate::graph::build::common_shape;

/// A value in another shape; indices too.
fn into_shape(b: &mut Builder, value: &Value, shape: &[usize]) -> Outcome<Value> {
    match value {
        Value::Known(known) => return Ok(known.reshaped(shape.to_vec())?.into()),
        Value::Text(held, texts) => {
            let id = b.net.graph.reshape(held.id, shape)?;
            return Ok(Value::Text(Held { id, ..*held }, texts.clone()));
        }
        _ => {}
    }
    let held = b.hold(value)?;
    let id = b.first(&held)?;
    let id = b.net.graph.reshape(id, shape)?;
    let ids = held.ids.map(|ids| b.net.graph.reshape(ids, shape)).transpose()?;
    Ok(Held { id, ids, last: false, kind: held.kind }.into())
}

/// Another shape, in which 0 keeps an extent and -1 is what is left.
///
/// # Errors
/// If elements are left over.
pub fn reshape(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let value = b.value(node, 0)?;
    let from = b.extents(&value)?;
    let (wanted, constant) = match node.ints("shape") {
        Some(shape) => (shape, true),
        None => {
            let shape = b.integers(node, 1)?.ok_or("its shape is missing")?;
            // A shape that is computed follows the number of rows by itself.
            let named = node.inputs.get(1).map(String::as_str).unwrap_or_default();
            (shape, b.is_constant(named))
        }
    };
    let allow_zero = node.int("allowzero", 0) != 0;
    let shape = match constant {
        true => {
            let (at, freed) = (b.at, b.freed);
            b.mends.reshape(at, &from, &wanted, allow_zero, freed)?
        }
        false => resolve(&from, &wanted, allow_zero)?,
    };
    into_shape(b, &value, &shape)
}

/// A list as one row.
///
/// # Errors
/// If it cannot be computed.
pub fn as_row(b: &mut Builder, value: &Value) -> Outcome<Value> {
    let count = elements(&b.extents(value)?);
    into_shape(b, value, &[1, count])
}

/// All axes before `axis` as one, and all from it on.
///
/// # Errors
/// If there is no such axis.
pub fn flatten(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let value = b.value(node, 0)?;
    let shape = b.extents(&value)?;
    let axis = node.int("axis", 1);
    let axis = if axis == shape.len() as i64 { shape.len() } else { axis_of(axis, shape.len())? };
    into_shape(b, &value, &[elements(&shape[..axis]), elements(&shape[axis..])])
}

/// Without axes of extent 1.
///
/// # Errors
/// If an axis has another extent.
pub fn squeeze(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let value = b.value(node, 0)?;
    let shape = b.extents(&value)?;
    let axes = match axes_given(b, node, 1)? {
        Some(axes) => axes_of(&axes, shape.len())?,
        // Rows are no axis to take out, be there one or many.
        None => (usize::from(b.freed.is_some())..shape.len()).filter(|&axis| shape[axis] == 1).collect(),
    };
    if let Some(axis) = axes.iter().find(|&&axis| shape[axis] != 1) {
        return Err(format!("it takes out axis {axis}, whose extent is {}", shape[*axis]).into());
    }
    let kept: Vec<usize> =
        (0..shape.len()).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis]).collect();
    into_shape(b, &value, &kept)
}

/// With further axes of extent 1.
///
/// # Errors
/// If an axis is out of range.
pub fn unsqueeze(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let value = b.value(node, 0)?;
    let mut shape = b.extents(&value)?;
    let axes = axes_given(b, node, 1)?.ok_or("its axes are missing")?;
    let found = axes_of(&axes, shape.len() + axes.len())?;
    if found.len() != axes.len() {
        return Err("its axes are not distinct".into());
    }
    for axis in found {
        shape.insert(axis, 1);
    }
    into_shape(b, &value, &shape)
}

/// Axes in another order.
///
/// # Errors
/// If it is no order of the axes.
pub fn transpose(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let value = b.value(node, 0)?;
    let rank = b.extents(&value)?.len();
    let order: Vec<usize> = match node.ints("perm") {
        Some(order) => order.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).rev().collect(),
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted != (0..rank).collect::<Vec<_>>() {
        return Err(format!("{order:?} is no order of its {rank} axes").into());
    }
    if let Value::Known(known) = &value {
        let shape = order.iter().map(|&axis| known.shape[axis]).collect();
        let turned = known.reindexed(shape, |index, source| {
            for (to, &from) in order.iter().enumerate() {
                source[from] = index[to];
            }
        })?;
        return Ok(turned.into());
    }
    let held = b.hold(&value)?;
    let id = b.first(&held)?;
    let id = b.turned(id, &order)?;
    Ok(Held { id, last: false, kind: held.kind, ids: None }.into())
}

/// Tensors side by side along an axis.
///
/// # Errors
/// If shapes do not match.
pub fn concat(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let mut values = vec![];
    for at in 0..node.inputs.len() {
        let value = b.value(node, at)?;
        // Nothing is added by a tensor without elements.
        if !b.extents(&value)?.contains(&0) || node.inputs.len() == 1 {
            values.push(value);
        }
    }
    let Some(first) = values.first() else { return b.value(node, 0) };
    let rank = b.extents(first)?.len();
    let axis = known::axis(node, "axis", 1, rank)?;
    if let Some(known) = all_known(&values) {
        return Ok(joined(&known, axis)?.into());
    }
    let mut held = vec![];
    for value in &values {
        held.push(b.hold(value)?);
    }
    let kind = held[0].kind;
    if held.iter().any(|h| h.kind != kind || (kind == Kind::Int && !b.is_float(h.id))) {
        return Err("it joins indices that are not known before it runs".into());
    }
    let last = held.iter().any(|h| h.last);
    let mut ids = vec![];
    for h in &held {
        ids.push(if last { b.channels_last(h)? } else { b.first(h)? });
    }
    spread_rows(b, &mut ids, axis)?;
    let axis = if last { axis_last(axis, rank) } else { axis };
    let id = b.net.graph.concat(&ids, axis)?;
    Ok(Held { id, last, kind, ids: None }.into())
}

/// Repeats what a model of a single row has once, such as a token that comes before those of every row.
fn spread_rows(b: &mut Builder, ids: &mut [ValueId], axis: usize) -> Outcome<()> {
    let Some(freed) = b.freed.filter(|freed| freed.exported == 1 && axis != 0) else { return Ok(()) };
    for id in ids.iter_mut() {
        let mut shape = b.net.graph.shape(*id).clone();
        if shape.first() == Some(&1) && freed.rows != 1 {
            shape[0] = freed.rows;
            *id = b.net.graph.broadcast(*id, &shape)?;
        }
    }
    Ok(())
}

fn all_known(values: &[Value]) -> Option<Vec<std::sync::Arc<Known>>> {
    values
        .iter()
        .map(|value| if let Value::Known(known) = value { Some(known.clone()) } else { None })
        .collect()
}

/// Known tensors side by side.
fn joined(parts: &[std::sync::Arc<Known>], axis: usize) -> Result<Known, String> {
    let mut shape = parts[0].shape.clone();
    let agrees = |part: &Known| {
        part.shape.len() == shape.len() && (0..shape.len()).all(|d| d == axis || part.shape[d] == shape[d])
    };
    if !parts.iter().all(|part| agrees(part)) {
        return Err(format!("its shapes differ on other axes than {axis}"));
    }
    shape[axis] = parts.iter().map(|part| part.shape[axis]).sum();
    super::super::known::check_size(&shape)?;
    let (before, after) = (elements(&shape[..axis]), elements(&shape[axis + 1..]));
    let mut data = Vec::with_capacity(elements(&shape));
    for at in 0..before {
        for part in parts {
            let run = part.shape[axis] * after;
            data.extend_from_slice(&part.data[at * run..(at + 1) * run]);
        }
    }
    Ok(Known { kind: parts[0].kind, shape, data })
}

/// Repeats extents of 1.
///
/// # Errors
/// If shapes do not broadcast.
pub fn expand(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let value = b.value(node, 0)?;
    let wanted = known::extents(&b.integers(node, 1)?.ok_or("its shape is missing")?)?;
    let from = b.extents(&value)?;
    let shape =
        common_shape(&[&from, &wanted]).ok_or_else(|| format!("{from:?} does not expand to {wanted:?}"))?;
    if let Value::Known(known) = &value {
        return Ok(known.broadcast(&shape)?.into());
    }
    let held = b.hold(&value)?;
    if !b.is_float(held.id) {
        return Err("it repeats indices that are not known before it runs".into());
    }
    let id = b.first(&held)?;
    let id = b.net.graph.broadcast(id, &shape)?;
    Ok(Held { id, last: false, kind: held.kind, ids: None }.into())
}

/// Repeats a tensor along its axes.
///
/// # Errors
/// If repeats are not known.
pub fn tile(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let value = b.value(node, 0)?;
    let shape = b.extents(&value)?;
    let times = known::extents(&b.integers(node, 1)?.ok_or("its repeats are missing")?)?;
    if times.len() != shape.len() || times.contains(&0) {
        return Err(format!("its repeats {times:?} do not fit the shape {shape:?}").into());
    }
    let product = |axis: usize| shape[axis].checked_mul(times[axis]).ok_or("its result is too large");
    let whole: Vec<usize> = (0..shape.len()).map(product).collect::<Result<_, _>>()?;
    if let Value::Known(known) = &value {
        let tiled = known.reindexed(whole, |index, source| {
            for (axis, place) in source.iter_mut().enumerate() {
                *place = index[axis] % shape[axis];
            }
        })?;
        return Ok(tiled.into());
    }
    let held = b.hold(&value)?;
    let id = b.first(&held)?;
    // Each axis as [1, extent], repeated to [times, extent].
    let single: Vec<usize> = shape.iter().flat_map(|&extent| [1, extent]).collect();
    let several: Vec<usize> =
        shape.iter().zip(&times).flat_map(|(&extent, &times)| [times, extent]).collect();
    let id = b.net.graph.reshape(id, &single)?;
    let id = b.net.graph.broadcast(id, &several)?;
    let id = b.net.graph.reshape(id, &whole)?;
    Ok(Held { id, last: false, kind: held.kind, ids: None }.into())
}

/// Blocks of pixels as channels, and back.
///
/// # Errors
/// If blocks do not divide the extents.
pub fn depth_and_space(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let x = b.numbers(node, 0)?;
    let shape = b.net.graph.shape(x).clone();
    let [images, channels, height, width] = shape[..] else {
        return Err("its operand is no batch of images".into());
    };
    let block = usize::try_from(node.int("blocksize", 0)).ok().filter(|&n| (1..=1 << 12).contains(&n));
    let block = block.ok_or("its blocksize is out of range")?;
    let graph = &mut *b.net.graph;
    let id = if node.op == "SpaceToDepth" {
        if !height.is_multiple_of(block) || !width.is_multiple_of(block) {
            return Err(format!("blocks of {block} do not divide {height} x {width} pixels").into());
        }
        let (high, wide) = (height / block, width / block);
        let split = graph.reshape(x, &[images, channels, high, block, wide, block])?;
        let moved = graph.permute(split, &[0, 3, 5, 1, 2, 4])?;
        graph.reshape(moved, &[images, channels * block * block, high, wide])?
    } else {
        let fewer = channels / (block * block);
        if fewer * block * block != channels {
            return Err(format!("blocks of {block} do not divide {channels} channels").into());
        }
        let (split, order) = match node.text("mode", "DCR").as_str() {
            "DCR" => ([images, block, block, fewer, height, width], [0, 3, 4, 1, 5, 2]),
            "CRD" => ([images, fewer, block, block, height, width], [0, 1, 4, 2, 5, 3]),
            other => return Err(format!("mode = \"{other:.40}\" is not supported").into()),
        };
        let split = graph.reshape(x, &split)?;
        let moved = graph.permute(split, &order)?;
        graph.reshape(moved, &[images, fewer, height * block, width * block])?
    };
    Ok(Held::new(id).into())
}
