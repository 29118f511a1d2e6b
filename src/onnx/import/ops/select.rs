//! What is chosen by place or by size: triangles, labels, the largest.

use super::super::build::{Builder, Held, Outcome, Value};
use super::super::known::{Kind, Known, MOST, check_size};
use super::super::model::Node;
use super::{axis_of, known};
use crate::graph::ValueId;

/// The upper or the lower triangle of matrices; the rest is 0.
///
/// # Errors
/// If the operand has fewer than two axes.
pub fn triangle(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let upper = node.int("upper", 1) != 0;
    let diagonal = b.known(node, 1)?.and_then(|known| known.one()).unwrap_or(0.0) as i64;
    let value = b.value(node, 0)?;
    let shape = b.extents(&value)?;
    let [.., rows, columns] = shape[..] else { return Err("its operand is no matrix".into()) };
    let keeps = |at: usize| {
        let (row, column) = ((at / columns % rows) as i64, (at % columns) as i64);
        if upper { column >= row.saturating_add(diagonal) } else { column <= row.saturating_add(diagonal) }
    };
    if let Value::Known(known) = &value {
        let data = known.data.iter().enumerate().map(|(at, &x)| if keeps(at) { x } else { 0.0 });
        return Ok(Known { data: data.collect(), ..(**known).clone() }.into());
    }
    let held = b.hold(&value)?;
    let id = b.first(&held)?;
    check_size(&[rows, columns])?;
    let mask: Vec<f32> = (0..rows * columns).map(|at| f32::from(u8::from(keeps(at)))).collect();
    let mask = b.net.graph.constant(&[rows, columns], &mask)?;
    let zero = b.net.graph.scalar(0.0)?;
    let id = b.net.graph.select(mask, id, zero)?;
    Ok(Held { id, last: false, ids: None, kind: held.kind }.into())
}

/// Rows with one value at an index and another elsewhere.
///
/// # Errors
/// If the depth is not known.
pub fn one_hot(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let depth = b.known(node, 1)?.and_then(|known| known.one()).ok_or("its depth is no single number")?;
    let values = b.known(node, 2)?.ok_or("its values are missing")?;
    let [off, on] = values.data[..] else { return Err("its values are not two".into()) };
    if !(1.0..=65536.0).contains(&depth) {
        return Err(format!("its depth {depth} is out of range").into());
    }
    let indices = b.held(node, 0)?;
    if !b.is_float(indices.id) {
        return Err("it compares indices that are not known before it runs".into());
    }
    let id = b.first(&indices)?;
    let mut shape = b.net.graph.shape(id).clone();
    let axis = known::axis(node, "axis", -1, shape.len() + 1)?;
    shape.insert(axis, 1);
    let id = b.net.graph.reshape(id, &shape)?;
    let mut along = vec![1; shape.len()];
    along[axis] = depth as usize;
    let places: Vec<f32> = (0..depth as usize).map(|at| at as f32).collect();
    let places = b.net.graph.constant(&along, &places)?;
    let id = b.net.graph.formula([id, places], |[x, places]| {
        // An index below 0 counts from the end.
        let x = x.less(0.0).select(&x + depth, &x);
        x.equal(&places).select(on, off)
    })?;
    Ok(Held::new(id).of(values.kind).into())
}

/// The place of the largest element (of the smallest for `ArgMin`) along an axis, the first of equal ones.
///
/// # Errors
/// If its operand is no number.
pub fn arg_max(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let x = b.numbers(node, 0)?;
    let x = if node.op == "ArgMin" { b.net.graph.neg(x)? } else { x };
    let rank = b.net.graph.shape(x).len();
    let axis = known::axis(node, "axis", 0, rank)?;
    let keep = node.int("keepdims", 1) != 0;
    let first = node.int("select_last_index", 0) == 0;
    let id = place_of_largest(b, x, axis, keep, first)?;
    Ok(Held::new(id).of(Kind::Int).into())
}

fn place_of_largest(b: &mut Builder, x: ValueId, axis: usize, keep: bool, first: bool) -> Outcome<ValueId> {
    let graph = &mut *b.net.graph;
    let shape = graph.shape(x).clone();
    let largest = graph.max(x, &[axis], true)?;
    let mut along = vec![1; shape.len()];
    along[axis] = shape[axis];
    // Of equal elements, the one whose place counts the most.
    let sign = if first { -1.0 } else { 1.0 };
    let places: Vec<f32> = (0..shape[axis]).map(|at| sign * at as f32).collect();
    let places = graph.constant(&along, &places)?;
    let chosen = graph.formula([x, largest, places], |[x, largest, places]| {
        x.equal(&largest).select(places, f64::from(f32::MIN))
    })?;
    let place = graph.max(chosen, &[axis], keep)?;
    let place = graph.mul_scalar(place, f64::from(sign))?;
    b.places.insert(place, shape[axis]);
    Ok(place)
}

/// 1 at the first of the largest elements of an axis, else 0.
///
/// # Errors
/// If its operand is no number.
pub fn hardmax(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let x = b.numbers(node, 0)?;
    let shape = b.net.graph.shape(x).clone();
    // Before version 13, all axes from this one on are one.
    let default = if node.opset < 13 { 1 } else { -1 };
    let axis = axis_of(node.int("axis", default), shape.len())?;
    let (x, axis) = match node.opset < 13 {
        true => {
            let rows: usize = shape[..axis].iter().product();
            let columns: usize = shape[axis..].iter().product();
            (b.net.graph.reshape(x, &[rows, columns])?, 1)
        }
        false => (x, axis),
    };
    let place = place_of_largest(b, x, axis, true, true)?;
    let lying = b.net.graph.shape(x).clone();
    let mut along = vec![1; lying.len()];
    along[axis] = lying[axis];
    let places: Vec<f32> = (0..lying[axis]).map(|at| at as f32).collect();
    let places = b.net.graph.constant(&along, &places)?;
    let id = b.net.graph.equal(place, places)?;
    Ok(Held::new(b.net.graph.reshape(id, &shape)?).into())
}

/// Sums of all elements up to each along an axis.
///
/// # Errors
/// If the axis is not known, or long.
pub fn running_sum(b: &mut Builder, node: &Node) -> Outcome<Value> {
    const LONGEST: usize = 4096;
    let axis = b.known(node, 1)?.and_then(|known| known.one()).ok_or("its axis is no single number")?;
    let (exclusive, reverse) = (node.int("exclusive", 0) != 0, node.int("reverse", 0) != 0);
    let value = b.value(node, 0)?;
    let shape = b.extents(&value)?;
    let axis = axis_of(axis as i64, shape.len())?;
    let length = shape[axis];
    if let Value::Known(known) = &value {
        let strides = crate::base::tensor::contiguous_strides(&shape);
        if known.data.len().saturating_mul(length) > MOST {
            return Err("it sums more constants than are worth it".into());
        }
        let sum = |at: usize| -> f64 {
            let place = at / strides[axis] % length;
            let line = |place: usize, here: usize| at + strides[axis] * place - strides[axis] * here;
            let taken = (0..length).filter(|&other| match reverse {
                false => other < place || (other == place && !exclusive),
                true => other > place || (other == place && !exclusive),
            });
            taken.map(|other| known.data[line(other, place)]).sum()
        };
        let data = (0..known.data.len()).map(sum).collect();
        return Ok(Known { data, ..(**known).clone() }.into());
    }
    if length > LONGEST {
        return Err(format!("its axis has {length} elements; at most {LONGEST} are supported").into());
    }
    let x = b.numbers(node, 0)?;
    let rank = shape.len();
    let mut order: Vec<usize> = (0..rank).collect();
    order.swap(axis, rank - 1);
    let turned = b.turned(x, &order)?;
    let counts = |from: usize, to: usize| {
        let within = if reverse { from > to } else { from < to };
        within || (from == to && !exclusive)
    };
    let matrix: Vec<f32> =
        (0..length * length).map(|at| f32::from(u8::from(counts(at / length, at % length)))).collect();
    let matrix = b.net.graph.constant(&[length, length], &matrix)?;
    let rows = crate::base::tensor::elements(&shape) / length.max(1);
    let lying = b.net.graph.shape(turned).clone();
    let flat = b.net.graph.reshape(turned, &[rows, length])?;
    let sums = b.net.graph.matmul(flat, matrix)?;
    let sums = b.net.graph.reshape(sums, &lying)?;
    Ok(Held::new(b.turned(sums, &order)?).into())
}
