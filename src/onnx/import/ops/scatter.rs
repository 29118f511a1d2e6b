//! Elements picked and put at places that are known beforehand, and the largest in order.

use super::super::build::{Builder, Held, Outcome, Value};
use super::super::known::{Kind, check_size};
use super::super::model::Node;
use super::{axis_of, known};
use crate::base::tensor::{contiguous_strides, elements};
use crate::graph::ValueId;

/// Longest axis of which the largest elements are sought: each element is compared with each other.
const LONGEST: usize = 2048;

/// The `k` largest elements of an axis, or smallest, in order, and their places; of equal ones the first comes first.
///
/// # Errors
/// If `k` is not known, or the axis is long.
pub fn top(b: &mut Builder, node: &Node) -> Outcome<Vec<Value>> {
    let count = match node.has("k") {
        true => Some(node.int("k", 0) as f64),
        false => b.known(node, 1)?.and_then(|known| known.one()),
    };
    let count = count.ok_or("its k is no single number")?;
    let largest = node.int("largest", 1) != 0;
    let _ = node.int("sorted", 1);
    let x = b.numbers(node, 0)?;
    let shape = b.net.graph.shape(x).clone();
    let rank = shape.len();
    let axis = known::axis(node, "axis", -1, rank)?;
    let extent = shape[axis];
    if extent > LONGEST {
        return Err(format!("its axis has {extent} elements; at most {LONGEST} are supported").into());
    }
    if !(1.0..=extent as f64).contains(&count) {
        return Err(format!("k = {count} of an axis of {extent} elements").into());
    }
    let count = count as usize;
    let mut order: Vec<usize> = (0..rank).collect();
    order.swap(axis, rank - 1);
    let lying: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
    let rows = elements(&shape) / extent;
    let turned = b.turned(x, &order)?;
    let g = &mut *b.net.graph;
    let numbered = |n: usize| (0..n).map(|at| at as f32).collect::<Vec<f32>>();
    let own = g.reshape(turned, &[rows, extent, 1])?;
    let other = g.reshape(turned, &[rows, 1, extent])?;
    let places = g.constant(&[1, 1, extent], &numbered(extent))?;
    let own_places = g.constant(&[1, extent, 1], &numbered(extent))?;
    // How many come before an element.
    let before = g.formula([own, other, own_places, places], |[own, other, own_place, place]| {
        let further = if largest { own.less(&other) } else { other.less(&own) };
        further + own.equal(&other) * place.less(&own_place)
    })?;
    let before = g.sum(before, &[2], false)?;
    let before = g.reshape(before, &[rows, 1, extent])?;
    let wanted = g.constant(&[1, count, 1], &numbered(count))?;
    let mut results = vec![];
    for (source, kind) in [(other, Kind::Float), (places, Kind::Int)] {
        let chosen = g.formula([before, wanted, source], |[before, wanted, source]| {
            before.equal(&wanted).select(&source, 0.0)
        })?;
        let found = g.sum(chosen, &[2], false)?;
        results.push((found, kind));
    }
    b.places.insert(results[1].0, extent);
    let mut values = vec![];
    for (found, kind) in results {
        let with_count: Vec<usize> = [&lying[..rank - 1], &[count]].concat();
        let found = b.net.graph.reshape(found, &with_count)?;
        values.push(Held::new(b.turned(found, &order)?).of(kind).into());
    }
    Ok(values)
}

/// The rows of `table`, `[n, width]`, at these places.
fn rows_at(b: &mut Builder, table: ValueId, places: &[usize]) -> Outcome<ValueId> {
    let ids = b.indices(&[places.len()], places)?;
    Ok(b.net.graph.gather(table, ids)?)
}

/// Operand `at`, whose places must be known, as indices from 0 up: each of the extent that `extent` says for its
/// place in the list.
fn places(
    b: &mut Builder,
    node: &Node,
    at: usize,
    extent: impl Fn(usize) -> usize,
) -> Outcome<(Vec<usize>, Vec<usize>)> {
    let known = b.known(node, at)?.ok_or("its indices are missing")?;
    // Indices of a file may be those of its rows.
    if node.inputs.get(at).is_some_and(|name| b.is_constant(name)) {
        b.mends.doubt();
    }
    if known.data.is_empty() {
        return Err("it has no indices".into());
    }
    let from_start = |(place, &index): (usize, &i64)| {
        let extent = extent(place);
        let index = if index < 0 { index.saturating_add(extent as i64) } else { index };
        usize::try_from(index).ok().filter(|&index| index < extent)
    };
    let found: Option<Vec<usize>> = known.integers().iter().enumerate().map(from_start).collect();
    Ok((known.shape.clone(), found.ok_or("an index is out of range")?))
}

/// Operand `at` as a table of rows of `width` elements.
fn table(b: &mut Builder, node: &Node, at: usize, width: usize) -> Outcome<ValueId> {
    let held = b.held(node, at)?;
    if !b.is_float(held.id) {
        return Err("it picks from indices that are not known before it runs".into());
    }
    let id = b.first(&held)?;
    let count = elements(b.net.graph.shape(id)) / width.max(1);
    Ok(b.net.graph.reshape(id, &[count, width])?)
}

fn kind_of(b: &mut Builder, node: &Node, at: usize) -> Outcome<Kind> {
    Ok(b.held(node, at)?.kind)
}

/// Where slices lie that the last axis of indices names by the first axes of `shape`.
fn slices(
    b: &mut Builder,
    node: &Node,
    shape: &[usize],
    batch: usize,
) -> Outcome<(Vec<usize>, Vec<usize>, usize)> {
    let named = b.extents(&b.value(node, 1)?)?;
    let depth = *named.last().ok_or("its indices are a single number")?;
    if depth == 0 || batch + depth > shape.len() || named.len() <= batch || named[..batch] != shape[..batch] {
        return Err(format!("its indices {named:?} do not name parts of {shape:?}").into());
    }
    let (lying, found) = places(b, node, 1, |place| shape[batch + place % depth])?;
    let width = elements(&shape[batch + depth..]);
    let strides = contiguous_strides(&shape[..batch + depth]);
    let within: usize = lying[batch..lying.len() - 1].iter().product();
    let inner: usize = shape[batch..batch + depth].iter().product();
    let at = |(number, index): (usize, &[usize])| {
        let named: usize = index.iter().zip(&strides[batch..]).map(|(i, stride)| i * stride).sum();
        number / within.max(1) * inner + named
    };
    let rows = found.chunks(depth).enumerate().map(at).collect();
    Ok((lying[..lying.len() - 1].to_vec(), rows, width))
}

/// Slices by the indices of their first axes.
///
/// # Errors
/// If the indices are computed from the inputs.
pub fn gather_slices(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let shape = b.extents(&b.value(node, 0)?)?;
    let batch = usize::try_from(node.int("batch_dims", 0)).map_err(|_| "its batch_dims are below 0")?;
    let (outer, rows, width) = slices(b, node, &shape, batch)?;
    let depth = b.extents(&b.value(node, 1)?)?.last().copied().unwrap_or(0);
    let kind = kind_of(b, node, 0)?;
    let from = table(b, node, 0, width)?;
    let found = rows_at(b, from, &rows)?;
    let id = b.net.graph.reshape(found, &[&outer[..], &shape[batch + depth..]].concat())?;
    Ok(Held::new(id).of(kind).into())
}

/// Elements by their index along an axis.
///
/// # Errors
/// If the indices are computed from the inputs.
pub fn gather_elements(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let shape = b.extents(&b.value(node, 0)?)?;
    let (lying, rows) = along(b, node, &shape)?;
    let kind = kind_of(b, node, 0)?;
    let from = table(b, node, 0, 1)?;
    let found = rows_at(b, from, &rows)?;
    Ok(Held::new(b.net.graph.reshape(found, &lying)?).of(kind).into())
}

/// Where the elements lie that indices name along an axis.
fn along(b: &mut Builder, node: &Node, shape: &[usize]) -> Outcome<(Vec<usize>, Vec<usize>)> {
    let axis = axis_of(node.int("axis", 0), shape.len())?;
    let (lying, found) = places(b, node, 1, |_| shape[axis])?;
    if lying.len() != shape.len() || (0..lying.len()).any(|d| d != axis && lying[d] > shape[d]) {
        return Err(format!("its indices {lying:?} do not fit {shape:?}").into());
    }
    let (strides, own) = (contiguous_strides(shape), contiguous_strides(&lying));
    let at = |(number, &index): (usize, &usize)| -> usize {
        let place = |d: usize| if d == axis { index } else { number / own[d] % lying[d].max(1) };
        (0..shape.len()).map(|d| place(d) * strides[d]).sum()
    };
    let rows = found.iter().enumerate().map(at).collect();
    Ok((lying, rows))
}

/// A tensor with other slices, or elements, at indices.
///
/// # Errors
/// If the indices are computed from the inputs, or what is there is to be added to.
pub fn scatter(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let reduction = node.text("reduction", "none");
    if reduction != "none" {
        return Err(format!("reduction = \"{reduction:.40}\" is not supported").into());
    }
    let shape = b.extents(&b.value(node, 0)?)?;
    let (count, rows, width) = match node.op.as_str() {
        "ScatterND" => {
            let (outer, rows, width) = slices(b, node, &shape, 0)?;
            (elements(&outer), rows, width)
        }
        _ => {
            let (lying, rows) = along(b, node, &shape)?;
            (elements(&lying), rows, 1)
        }
    };
    check_size(&shape)?;
    let kind = kind_of(b, node, 0)?;
    let (before, new) = (table(b, node, 0, width)?, table(b, node, 2, width)?);
    let (old, added) = (b.net.graph.shape(before)[0], b.net.graph.shape(new)[0]);
    if added != count {
        return Err(format!("it puts {added} parts at {count} places").into());
    }
    // Of several for one place, the last.
    let mut from: Vec<usize> = (0..old).collect();
    rows.iter().enumerate().for_each(|(number, &row)| from[row] = old + number);
    let both = b.net.graph.concat(&[before, new], 0)?;
    let found = rows_at(b, both, &from)?;
    Ok(Held::new(b.net.graph.reshape(found, &shape)?).of(kind).into())
}
