//! Parts of tensors, and what is put around them.

use std::sync::Arc;

use super::super::build::{Builder, Held, Outcome, Value};
use super::super::known::{Kind, Known};
use super::super::model::{Node, Stored};
use super::{axes_given, axis_last, axis_of, known};
use crate::base::tensor::elements;
use crate::graph::ValueId;

/// The elements at `places` of `axis`, in that order.
///
/// # Errors
/// If it cannot be computed.
pub fn take(b: &mut Builder, value: &Value, axis: usize, places: &[usize]) -> Outcome<Value> {
    let mut shape = b.extents(value)?;
    let rank = shape.len();
    if let Some(place) = places.iter().find(|&&place| place >= shape[axis]) {
        return Err(format!("index {place} is beyond axis {axis} of {shape:?}").into());
    }
    if let Value::Known(known) = value {
        shape[axis] = places.len();
        return Ok(known
            .reindexed(shape, |index, source| {
                source.copy_from_slice(index);
                source[axis] = places[index[axis]];
            })?
            .into());
    }
    if places.is_empty() {
        return Err("it leaves no element".into());
    }
    let held = b.hold(value)?;
    if !b.is_float(held.id) {
        return Err("it picks from indices that are not known before it runs".into());
    }
    let along = if held.last { axis_last(axis, rank) } else { axis };
    let mut lying = b.net.graph.shape(held.id).clone();
    let runs = places.windows(2).all(|pair| pair[1] == pair[0] + 1);
    let id = if runs {
        let mut starts = vec![0; rank];
        starts[along] = places[0];
        lying[along] = places.len();
        b.net.graph.slice(held.id, &starts, &lying)?
    } else {
        by_index(b, held.id, along, places)?
    };
    Ok(Held { id, ids: None, ..held }.into())
}

/// Rows by index, of the axis brought to the front.
fn by_index(b: &mut Builder, x: ValueId, axis: usize, places: &[usize]) -> Outcome<ValueId> {
    let ids = b.indices(&[places.len()], places)?;
    gathered(b, x, axis, ids)
}

/// The slices of `axis` at the indices `ids`, whose axes take its place.
fn gathered(b: &mut Builder, x: ValueId, axis: usize, ids: ValueId) -> Outcome<ValueId> {
    let shape = b.net.graph.shape(x).clone();
    let rank = shape.len();
    let front: Vec<usize> = std::iter::once(axis).chain((0..rank).filter(|&d| d != axis)).collect();
    let turned = b.turned(x, &front)?;
    let width = elements(&shape) / shape[axis].max(1);
    let table = b.net.graph.reshape(turned, &[shape[axis], width])?;
    let rows = b.net.graph.gather(table, ids)?;
    let indexed = b.net.graph.shape(ids).clone();
    let rest: Vec<usize> = (0..rank).filter(|&d| d != axis).map(|d| shape[d]).collect();
    let found = b.net.graph.reshape(rows, &[&indexed[..], &rest].concat())?;
    // The axes of the indices go where the axis was.
    let many = indexed.len();
    let order: Vec<usize> =
        (many..many + axis).chain(0..many).chain(many + axis..many + rest.len()).collect();
    b.turned(found, &order)
}

/// Parts along an axis.
///
/// # Errors
/// If they do not add up.
pub fn split(b: &mut Builder, node: &Node) -> Outcome<Vec<Value>> {
    let value = b.value(node, 0)?;
    let shape = b.extents(&value)?;
    let axis = known::axis(node, "axis", 0, shape.len())?;
    let extent = shape[axis];
    let given = match node.ints("split") {
        Some(sizes) => Some(sizes),
        None => b.integers(node, 1)?,
    };
    let count = node.int("num_outputs", node.outputs.len() as i64).clamp(1, 100_000) as usize;
    let sizes = match given {
        Some(sizes) => known::extents(&sizes)?,
        None => {
            let each = extent.div_ceil(count);
            (0..count).map(|at| extent.saturating_sub(at * each).min(each)).collect()
        }
    };
    if sizes.iter().try_fold(0usize, |sum, &n| sum.checked_add(n)) != Some(extent) || sizes.len() > 100_000 {
        return Err(format!("its parts {sizes:?} do not make up the {extent} of axis {axis}").into());
    }
    let mut parts = vec![];
    let mut start = 0;
    for size in sizes {
        let places: Vec<usize> = (start..start + size).collect();
        parts.push(take(b, &value, axis, &places)?);
        start += size;
    }
    Ok(parts)
}

/// Part of a tensor, in steps.
///
/// # Errors
/// If bounds are not known, or nothing is left.
pub fn slice(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let mut value = b.value(node, 0)?;
    let shape = b.extents(&value)?;
    let (starts, ends, axes, steps) = match node.ints("starts") {
        Some(starts) => (starts, node.ints("ends").unwrap_or_default(), node.ints("axes"), None),
        None => {
            let starts = b.integers(node, 1)?.ok_or("its starts are missing")?;
            let ends = b.integers(node, 2)?.ok_or("its ends are missing")?;
            (starts, ends, b.integers(node, 3)?, b.integers(node, 4)?)
        }
    };
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return Err("its starts, ends, axes and steps are not equally many".into());
    }
    for (at, &axis) in axes.iter().enumerate() {
        let axis = axis_of(axis, shape.len())?;
        let places = places(shape[axis] as i64, starts[at], ends[at], steps[at])?;
        value = take(b, &value, axis, &places)?;
    }
    Ok(value)
}

/// The places from `start` to `end` in steps, of an axis of this extent.
fn places(extent: i64, start: i64, end: i64, step: i64) -> Result<Vec<usize>, String> {
    if extent == 0 {
        return Ok(vec![]);
    }
    let from_start = |at: i64| if at < 0 { at.saturating_add(extent) } else { at };
    let (start, end) = (from_start(start), from_start(end));
    let (least, most) = if step < 0 { (-1, extent - 1) } else { (0, extent) };
    let start = if step < 0 { start.clamp(0, extent - 1) } else { start.clamp(least, most) };
    let end = end.clamp(least, most);
    let count = match step {
        0 => return Err("its step is 0".into()),
        step if step > 0 => ((end - start).max(0) as u64).div_ceil(step.unsigned_abs()),
        step => ((start - end).max(0) as u64).div_ceil(step.unsigned_abs()),
    };
    Ok((0..count as i64).map(|at| (start + at * step) as usize).collect())
}

/// Slices by index.
///
/// # Errors
/// If indices are computed numbers.
pub fn gather(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let table = b.value(node, 0)?;
    let shape = b.extents(&table)?;
    let axis = known::axis(node, "axis", 0, shape.len())?;
    let extent = shape[axis] as i64;
    let indices = b.value(node, 1)?;
    if let Value::Known(indices) = &indices {
        let from_start = |&at: &i64| usize::try_from(if at < 0 { at + extent } else { at });
        let places: Result<Vec<usize>, _> = indices.integers().iter().map(from_start).collect();
        let places = places.map_err(|_| "an index is out of range")?;
        let taken = take(b, &table, axis, &places)?;
        let whole = [&shape[..axis], &indices.shape[..], &shape[axis + 1..]].concat();
        if let Value::Known(known) = &taken {
            return Ok(known.reshaped(whole)?.into());
        }
        let held = b.hold(&taken)?;
        let id = b.first(&held)?;
        return Ok(Held { id: b.net.graph.reshape(id, &whole)?, last: false, ..held }.into());
    }
    let ids = match &indices {
        Value::Graph(Held { ids: Some(ids), .. }) => *ids,
        _ if axis == 0 => return by_place(b, &table, &indices),
        _ => return Err("its indices are computed, and no indices of an input".into()),
    };
    let held = match table {
        Value::Stored(name) => Held::new(b.weight(&name, true)?),
        other => b.hold(&other)?,
    };
    let x = b.first(&held)?;
    Ok(Held { id: gathered(b, x, axis, ids)?, last: false, ids: None, kind: held.kind }.into())
}

/// The rows of a table at places that are computed: those of a largest element, which are within it.
///
/// # Errors
/// If it cannot be told that they are within it, or the table is large.
pub fn by_place(b: &mut Builder, table: &Value, places: &Value) -> Outcome<Value> {
    const LARGEST: usize = 1 << 16;
    let held = b.hold(places)?;
    let shape = b.extents(table)?;
    let extent = shape.first().copied().unwrap_or(0);
    if b.extent_of_places(held.id).is_none_or(|most| most > extent) {
        return Err(
            "its indices are computed, and neither indices of an input nor places of largest elements".into(),
        );
    }
    if let Value::Stored(name) = table
        && let Some(Stored::Texts { data, .. }) = b.tensor(name)
    {
        return Ok(Value::Text(held, data.clone()));
    }
    let width = elements(&shape[1..]);
    if extent.saturating_mul(width) > LARGEST {
        return Err(format!("its indices are computed, and its table {shape:?} is large").into());
    }
    let indexed = b.shape_of(&held);
    let table = b.hold(table)?;
    let kind = table.kind;
    let (at, table) = (b.first(&held)?, b.first(&table)?);
    let g = &mut *b.net.graph;
    let at = g.reshape(at, &[elements(&indexed), 1, 1])?;
    let table = g.reshape(table, &[1, extent, width])?;
    let places: Vec<f32> = (0..extent).map(|place| place as f32).collect();
    let places = g.constant(&[1, extent, 1], &places)?;
    // A sum of one element and zeros has the bits of that element.
    let chosen =
        g.formula([at, places, table], |[at, places, table]| at.equal(&places).select(&table, 0.0))?;
    let sum = g.sum(chosen, &[1], false)?;
    let id = g.reshape(sum, &[&indexed[..], &shape[1..]].concat())?;
    Ok(Held::new(id).of(kind).into())
}

/// What is not 0 in a known condition.
///
/// # Errors
/// If the condition is not known.
pub fn compress(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let mut value = b.value(node, 0)?;
    let condition = b.known(node, 1)?.ok_or("its condition is missing")?;
    let shape = b.extents(&value)?;
    let axis = match node.has("axis") {
        true => known::axis(node, "axis", 0, shape.len())?,
        false => {
            let count = elements(&shape);
            value = match &value {
                Value::Known(known) => known.reshaped(vec![count])?.into(),
                other => {
                    let held = b.hold(other)?;
                    let id = b.first(&held)?;
                    Held { id: b.net.graph.reshape(id, &[count])?, last: false, ..held }.into()
                }
            };
            0
        }
    };
    let places: Vec<usize> = (0..condition.data.len()).filter(|&at| condition.data[at] != 0.0).collect();
    take(b, &value, axis, &places)
}

/// Elements around a tensor; fewer than there are where it says a number below 0.
///
/// # Errors
/// If the amounts are not known.
pub fn pad(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let mut value = b.value(node, 0)?;
    let rank = b.extents(&value)?.len();
    let (pads, fill) = match node.ints("pads") {
        Some(pads) => (pads, node.float("value", 0.0)),
        None => {
            let pads = b.integers(node, 1)?.ok_or("its amounts are missing")?;
            (pads, b.known(node, 2)?.and_then(|known| known.one()).unwrap_or(0.0))
        }
    };
    let axes: Vec<i64> = axes_given(b, node, 3)?.unwrap_or_else(|| (0..rank as i64).collect());
    if pads.len() != 2 * axes.len() {
        return Err(format!("its {} amounts are not two for each of {} axes", pads.len(), axes.len()).into());
    }
    let mode = node.text("mode", "constant");
    for (at, &axis) in axes.iter().enumerate() {
        let axis = axis_of(axis, rank)?;
        let (before, after) = (pads[at], pads[at + axes.len()]);
        if before.abs().max(after.abs()) > 1 << 20 {
            return Err(format!("its amounts {before} and {after} are out of range").into());
        }
        value = pad_axis(b, &value, axis, [before, after], fill, &mode)?;
    }
    Ok(value)
}

fn pad_axis(
    b: &mut Builder,
    value: &Value,
    axis: usize,
    [before, after]: [i64; 2],
    fill: f64,
    mode: &str,
) -> Outcome<Value> {
    let shape = b.extents(value)?;
    let extent = shape[axis] as i64;
    if (before, after) == (0, 0) {
        return Ok(value.clone());
    }
    if extent == 0 {
        return Err("it pads an axis without elements".into());
    }
    if mode != "constant" {
        let place = |at: i64| match mode {
            "edge" => Some(at.clamp(0, extent - 1)),
            "wrap" => Some(at.rem_euclid(extent)),
            "reflect" if extent > 1 => {
                let folded = at.rem_euclid(2 * (extent - 1));
                Some(folded.min(2 * (extent - 1) - folded))
            }
            "reflect" => Some(0),
            _ => None,
        };
        let places: Option<Vec<usize>> =
            (-before..extent + after).map(|at| place(at).map(|place| place as usize)).collect();
        let places = places.ok_or_else(|| format!("mode = \"{mode:.40}\" is not supported"))?;
        return take(b, value, axis, &places);
    }
    // What is cut off first.
    let kept: Vec<usize> = (before.min(0).abs()..extent + after.min(0)).map(|at| at as usize).collect();
    let value = take(b, value, axis, &kept)?;
    let [before, after] = [before, after].map(|n| n.max(0) as usize);
    if let Value::Known(known) = &value {
        let mut whole = known.shape.clone();
        let extent = whole[axis];
        whole[axis] += before + after;
        let within = known.clone();
        let placed = Known { kind: known.kind, shape: vec![], data: vec![fill] };
        return Ok(padded(&within, &placed, whole, axis, before, extent)?.into());
    }
    let held = b.hold(&value)?;
    let along = if held.last { axis_last(axis, shape.len()) } else { axis };
    let lying = b.net.graph.shape(held.id).clone();
    if fill == 0.0 {
        let around = |n: usize| (0..lying.len()).map(|d| if d == along { n } else { 0 }).collect::<Vec<_>>();
        let id = b.net.graph.pad(held.id, &around(before), &around(after))?;
        return Ok(Held { id, ids: None, ..held }.into());
    }
    let mut parts = vec![];
    for count in [before, 0, after] {
        if parts.len() == usize::from(before > 0) && count == 0 {
            parts.push(held.id);
        } else if count > 0 {
            let mut shape = lying.clone();
            shape[along] = count;
            let scalar = b.net.graph.scalar(fill)?;
            parts.push(b.net.graph.broadcast(scalar, &shape)?);
        }
    }
    let id = b.net.graph.concat(&parts, along)?;
    Ok(Held { id, ids: None, ..held }.into())
}

/// A known tensor with a number around it.
fn padded(
    known: &Arc<Known>,
    fill: &Known,
    whole: Vec<usize>,
    axis: usize,
    before: usize,
    extent: usize,
) -> Result<Known, String> {
    let inside = |index: &[usize]| (before..before + extent).contains(&index[axis]);
    // A place within for every index; those around are filled afterwards.
    let mut found = known.reindexed(whole.clone(), |index, source| {
        source.copy_from_slice(index);
        source[axis] = index[axis].saturating_sub(before).min(extent.saturating_sub(1));
    })?;
    let strides = crate::base::tensor::contiguous_strides(&whole);
    for (at, x) in found.data.iter_mut().enumerate() {
        let index: Vec<usize> = (0..whole.len()).map(|d| at / strides[d] % whole[d].max(1)).collect();
        if !inside(&index) {
            *x = fill.data[0];
        }
    }
    Ok(Known { kind: if known.kind == Kind::Bool { Kind::Bool } else { known.kind }, ..found })
}
