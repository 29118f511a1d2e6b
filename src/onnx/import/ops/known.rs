//! Constants, shapes, and what is made of them before anything runs.

use std::path::Path;

use super::super::build::{Builder, Outcome, Value};
use super::super::known::{self, Kind, Known, MOST, check_size};
use super::super::model::{Node, Stored};
use super::axis_of;
use crate::base::tensor::elements;

/// A constant in an attribute.
///
/// # Errors
/// If it cannot be read.
pub fn constant(node: &Node) -> Outcome<Value> {
    if let Some(tensor) = node.attribute("value").and_then(|a| a.t.as_ref()) {
        return Ok(known::read(tensor, Path::new("/nowhere"))?.into());
    }
    let float = |data: Vec<f64>, shape| Known { kind: Kind::Float, shape, data };
    if node.has("value_float") {
        return Ok(float(vec![f64::from(node.float("value_float", 0.0) as f32)], vec![]).into());
    }
    if node.has("value_int") {
        return Ok(Known { shape: vec![], ..Known::ints([node.int("value_int", 0)]) }.into());
    }
    if let Some(list) = node.floats("value_floats") {
        let data: Vec<f64> = list.into_iter().map(f64::from).collect();
        return Ok(float(data.clone(), vec![data.len()]).into());
    }
    match node.ints("value_ints") {
        Some(list) => Ok(Known::ints(list).into()),
        None => Err("its value is of a type that is not read (texts, or a sparse tensor)".into()),
    }
}

/// A tensor of a shape with one value.
///
/// # Errors
/// If the shape is not known.
pub fn filled(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let value = match node.attribute("value").and_then(|a| a.t.as_ref()) {
        Some(tensor) => known::read(tensor, Path::new("/nowhere"))?,
        None => Known { kind: Kind::Float, shape: vec![1], data: vec![0.0] },
    };
    let only = value.one().ok_or("its value is not a single number")?;
    let shape = extents(&b.integers(node, 0)?.ok_or("its shape is missing")?)?;
    check_size(&shape)?;
    Ok(Known { kind: value.kind, data: vec![only; elements(&shape)], shape }.into())
}

/// Extents from integers.
///
/// # Errors
/// If one is below 0.
pub fn extents(shape: &[i64]) -> Result<Vec<usize>, String> {
    let of = |&n: &i64| usize::try_from(n).map_err(|_| format!("the shape {shape:?} has an extent below 0"));
    shape.iter().map(of).collect()
}

/// The extents of a tensor, from `start` to `end`.
///
/// # Errors
/// If the operand cannot be computed.
pub fn shape(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let shape = b.extents(&b.value(node, 0)?)?;
    let rank = shape.len() as i64;
    let bound = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
    let (start, end) = (bound(node.int("start", 0)), bound(node.int("end", rank)));
    let taken = shape.get(start..end).unwrap_or_default();
    Ok(Known::ints(taken.iter().map(|&n| n as i64)).into())
}

/// The number of elements of a tensor.
///
/// # Errors
/// If the operand cannot be computed.
pub fn size(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let count = elements(&b.extents(&b.value(node, 0)?)?);
    Ok(Known { shape: vec![], ..Known::ints([count as i64]) }.into())
}

/// Numbers from a first one on, in equal steps.
///
/// # Errors
/// If they are not known, or too many.
pub fn range(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let mut numbers = vec![];
    let mut kind = Kind::Int;
    for at in 0..3 {
        let known = b.known(node, at)?.ok_or("an operand is missing")?;
        kind = known.kind;
        numbers.push(known.one().ok_or("its operands must be single numbers")?);
    }
    let (start, limit, step) = (numbers[0], numbers[1], numbers[2]);
    let count = ((limit - start) / step).ceil().max(0.0);
    if count.is_nan() || count > MOST as f64 {
        return Err(format!("from {start} to {limit} in steps of {step} are too many numbers").into());
    }
    let data: Vec<f64> = (0..count as usize).map(|i| start + step * i as f64).collect();
    Ok(Known { kind, shape: vec![data.len()], data }.into())
}

/// Ones on a diagonal.
///
/// # Errors
/// If the operand is no matrix.
pub fn eye(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let shape = b.extents(&b.value(node, 0)?)?;
    let [rows, columns] = shape[..] else { return Err("its operand is no matrix".into()) };
    check_size(&shape)?;
    let diagonal = node.int("k", 0);
    let kind = match node.has("dtype") {
        true => Kind::of(node.int("dtype", 0) as i32).ok_or("its type is not supported")?,
        false => Kind::Float,
    };
    let is = |at: usize| (at % columns) as i64 - (at / columns) as i64 == diagonal;
    let data = (0..rows * columns).map(|at| f64::from(u8::from(is(at)))).collect();
    Ok(Known { kind, shape, data }.into())
}

/// The indices of elements that are not 0.
///
/// # Errors
/// If they are not known.
pub fn non_zero(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let known = b.known(node, 0)?.ok_or("its operand is missing")?;
    let at: Vec<usize> = (0..known.data.len()).filter(|&i| known.data[i] != 0.0).collect();
    let strides = crate::base::tensor::contiguous_strides(&known.shape);
    let index = |axis: usize| {
        let (stride, extent) = (strides[axis], known.shape[axis]);
        at.iter().map(move |&i| (i / stride % extent) as i64)
    };
    let rank = known.shape.len();
    let data: Vec<i64> = (0..rank).flat_map(index).collect();
    Ok(Known { shape: vec![rank, at.len()], ..Known::ints(data) }.into())
}

/// The same value. A tensor of the file becomes another one with the name of the result: exporters write equal
/// tensors once, and the others as this.
///
/// # Errors
/// If the operand cannot be computed.
pub fn same(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let value = b.value(node, 0)?;
    if let (Value::Stored(name), Some(own)) = (&value, node.outputs.first()) {
        let (shape, data) = b.weights(name)?;
        b.store(own, Stored::Weights { shape, data });
        return Ok(Value::Stored(own.clone()));
    }
    Ok(value)
}

/// The branch that a known condition takes.
///
/// # Errors
/// If the condition is computed from the inputs.
pub fn branch(b: &mut Builder, node: &Node) -> Outcome<Vec<Value>> {
    let condition = b.value(node, 0)?;
    let Value::Known(condition) = &condition else {
        return Err(
            "its condition is computed from the inputs; only one that is known beforehand is supported"
                .into(),
        );
    };
    let taken = if condition.one() == Some(0.0) { "else_branch" } else { "then_branch" };
    let body = node.graphs.iter().find(|(name, _)| name == taken);
    let (_, body) = body.ok_or_else(|| format!("it has no {taken}"))?;
    Ok(b.branch(body))
}

/// The axis `name` of a value of `rank` axes.
///
/// # Errors
/// If there is no such axis.
pub fn axis(node: &Node, name: &str, default: i64, rank: usize) -> Result<usize, String> {
    axis_of(node.int(name, default), rank)
}
