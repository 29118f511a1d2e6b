//! Sums, means and extremes over axes; softmax.

use super::super::build::{Builder, Held, Outcome, Value};
use super::super::known::{Kind, Known};
use super::super::model::Node;
use super::{axes_given, axes_of, axis_last, axis_of};
use crate::base::tensor::{contiguous_strides, elements};
use crate::graph::{Graph, ValueId};

/// A reduction over axes.
///
/// # Errors
/// If the axes are not known, or it is a product of many elements.
pub fn reduce(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let value = b.value(node, 0)?;
    let shape = b.extents(&value)?;
    let rank = shape.len();
    let given = axes_given(b, node, 1)?.unwrap_or_default();
    let keep = node.int("keepdims", 1) != 0;
    let as_it_is = node.int("noop_with_empty_axes", 0) != 0;
    let axes: Vec<usize> = match given.is_empty() {
        true if as_it_is => vec![],
        true => (0..rank).collect(),
        false => axes_of(&given, rank)?,
    };
    if let Value::Known(known) = &value {
        return Ok(of_known(node, known, &axes, keep)?.into());
    }
    let held = b.hold(&value)?;
    Builder::want_floats(&held)?;
    if !held.last {
        let id = of_graph(b, node, held.id, &axes, keep)?;
        return Ok(Held::new(id).into());
    }
    let mut lying: Vec<usize> = axes.iter().map(|&axis| axis_last(axis, rank)).collect();
    lying.sort_unstable();
    if keep {
        return Ok(Held::last(of_graph(b, node, held.id, &lying, true)?).into());
    }
    // Without the channels, or without all others, what is left lies in order.
    if axes.contains(&1) || (2..rank).all(|axis| axes.contains(&axis)) {
        return Ok(Held::new(of_graph(b, node, held.id, &lying, false)?).into());
    }
    let x = b.first(&held)?;
    Ok(Held::new(of_graph(b, node, x, &axes, false)?).into())
}

fn of_graph(b: &mut Builder, node: &Node, x: ValueId, axes: &[usize], keep: bool) -> Outcome<ValueId> {
    let g = &mut *b.net.graph;
    Ok(match node.op.as_str() {
        "ReduceSum" => g.sum(x, axes, keep)?,
        "ReduceMean" => g.mean(x, axes, keep)?,
        "ReduceMax" => g.max(x, axes, keep)?,
        "ReduceMin" => {
            let turned = g.neg(x)?;
            let largest = g.max(turned, axes, keep)?;
            g.neg(largest)?
        }
        "ReduceL1" => {
            let sizes = g.unary(crate::scalar::UnaryFn::Abs, x)?;
            g.sum(sizes, axes, keep)?
        }
        "ReduceSumSquare" | "ReduceL2" => {
            let squares = g.unary(crate::scalar::UnaryFn::Square, x)?;
            let sum = g.sum(squares, axes, keep)?;
            if node.op == "ReduceL2" { g.unary(crate::scalar::UnaryFn::Sqrt, sum)? } else { sum }
        }
        "ReduceLogSum" => {
            let sum = g.sum(x, axes, keep)?;
            g.unary(crate::scalar::UnaryFn::Log, sum)?
        }
        "ReduceLogSumExp" => {
            let largest = g.max(x, axes, true)?;
            let sum =
                g.formula([x, largest], |[x, largest]| (&x - &largest).exp().sum_keep(axes).ln() + largest)?;
            let shape = g.shape(x).clone();
            let kept: Vec<usize> = (0..shape.len()).filter(|d| !axes.contains(d)).map(|d| shape[d]).collect();
            if keep { sum } else { g.reshape(sum, &kept)? }
        }
        "ReduceProd" => {
            let mut x = x;
            for &axis in axes {
                x = product(g, x, axis)?;
            }
            let shape = g.shape(x).clone();
            let kept: Vec<usize> = (0..shape.len()).filter(|d| !axes.contains(d)).map(|d| shape[d]).collect();
            if keep { x } else { g.reshape(x, &kept)? }
        }
        _ => return Err("this operator is not supported".into()),
    })
}

/// The product of the elements of an axis, which is kept.
fn product(g: &mut Graph, x: ValueId, axis: usize) -> Outcome<ValueId> {
    const LONGEST: usize = 64;
    let mut shape = g.shape(x).clone();
    let extent = std::mem::replace(&mut shape[axis], 1);
    if !(1..=LONGEST).contains(&extent) {
        return Err(
            format!("it multiplies {extent} elements of an axis; 1 to {LONGEST} are supported").into()
        );
    }
    let mut starts = vec![0; shape.len()];
    let mut product = g.slice(x, &starts, &shape)?;
    for at in 1..extent {
        starts[axis] = at;
        let next = g.slice(x, &starts, &shape)?;
        product = g.mul(product, next)?;
    }
    Ok(product)
}

/// A reduction of a known tensor.
fn of_known(node: &Node, known: &Known, axes: &[usize], keep: bool) -> Outcome<Known> {
    let (first, f): (f64, fn(f64, f64) -> f64) = match node.op.as_str() {
        "ReduceSum" | "ReduceMean" => (0.0, |a, b| a + b),
        "ReduceProd" => (1.0, |a, b| a * b),
        "ReduceMax" => (f64::NEG_INFINITY, f64::max),
        "ReduceMin" => (f64::INFINITY, f64::min),
        _ => return Err("it reduces a constant in a way that is not supported".into()),
    };
    let rank = known.shape.len();
    let kept: Vec<usize> =
        (0..rank).map(|axis| if axes.contains(&axis) { 1 } else { known.shape[axis] }).collect();
    let (from, to) = (contiguous_strides(&known.shape), contiguous_strides(&kept));
    let mut data = vec![first; elements(&kept)];
    for (at, &x) in known.data.iter().enumerate() {
        let place: usize = (0..rank)
            .filter(|axis| !axes.contains(axis))
            .map(|axis| at / from[axis] % known.shape[axis] * to[axis])
            .sum();
        data[place] = f(data[place], x);
    }
    if node.op == "ReduceMean" {
        let count = axes.iter().map(|&axis| known.shape[axis]).product::<usize>() as f64;
        data.iter_mut().for_each(|x| *x /= count);
    }
    let shape = match keep {
        true => kept,
        false => (0..rank).filter(|axis| !axes.contains(axis)).map(|axis| known.shape[axis]).collect(),
    };
    let kind = if node.op == "ReduceMean" { Kind::Float } else { known.kind };
    Ok(Known { kind, shape, data })
}

/// Softmax, or its logarithm. Before version 13 all axes from one on are one.
///
/// # Errors
/// If there is no such axis.
pub fn softmax(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let log = node.op == "LogSoftmax";
    let x = b.numbers(node, 0)?;
    let shape = b.net.graph.shape(x).clone();
    let default = if node.opset < 13 { 1 } else { -1 };
    let axis = axis_of(node.int("axis", default), shape.len())?;
    let g = &mut *b.net.graph;
    let y = if node.opset < 13 {
        let rows = g.reshape(x, &[elements(&shape[..axis]), elements(&shape[axis..])])?;
        let y = if log { g.log_softmax(rows)? } else { g.softmax(rows)? };
        g.reshape(y, &shape)?
    } else if log {
        g.log_softmax_over(x, axis)?
    } else {
        g.softmax_over(x, axis)?
    };
    Ok(Held::new(y).into())
}
