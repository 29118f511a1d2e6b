//! Maxima and averages of windows.

use super::super::build::{Builder, Held, Outcome, Value};
use super::super::model::Node;
use super::convolution::{automatic, finished, image, padding, pair};
use crate::graph::pooling::PoolSpec;

/// The maximum or the average of each window.
///
/// # Errors
/// If it is over three axes, or the places of maxima are wanted.
pub fn windows(b: &mut Builder, node: &Node) -> Outcome<Value> {
    if node.outputs.get(1).is_some_and(|name| !name.is_empty()) {
        return Err("the places of its maxima are wanted (second result), which is not supported".into());
    }
    let _ = node.int("storage_order", 0);
    let (x, flat) = image(b, node)?;
    let shape = b.net.graph.shape(x).clone();
    if !node.has("kernel_shape") {
        return Err("its kernel_shape is missing".into());
    }
    let window = pair(node, "kernel_shape", 1, flat)?;
    let (stride, dilation) = (pair(node, "strides", 1, flat)?, pair(node, "dilations", 1, flat)?);
    let given = padding(node, flat)?;
    let mut ceil_mode = node.int("ceil_mode", 0) != 0;
    let extents = [shape[1], shape[2]];
    let found = automatic(node, extents, window, stride, dilation)?;
    if found.is_some() {
        ceil_mode = false;
    }
    let spec = PoolSpec {
        window,
        stride,
        dilation,
        padding: found.unwrap_or(given),
        ceil_mode,
        count_include_pad: node.int("count_include_pad", 0) != 0,
        divisor_override: None,
    };
    let y = match node.op.as_str() {
        "MaxPool" => b.net.graph.max_pool(x, &spec)?,
        _ => b.net.graph.avg_pool(x, &spec)?,
    };
    finished(b, y, flat)
}

/// The maximum or the average of each channel.
///
/// # Errors
/// If its operand has no channels.
pub fn global(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let held = b.held(node, 0)?;
    Builder::want_floats(&held)?;
    let rank = b.net.graph.shape(held.id).len();
    if rank < 3 {
        return Err(format!("its operand has {rank} axes; at least 3 are expected").into());
    }
    let axes: Vec<usize> = if held.last { (1..rank - 1).collect() } else { (2..rank).collect() };
    let id = match node.op.as_str() {
        "GlobalMaxPool" => b.net.graph.max(held.id, &axes, true)?,
        _ => b.net.graph.mean(held.id, &axes, true)?,
    };
    Ok(Held { id, ..held }.into())
}
