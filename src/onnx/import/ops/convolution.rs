//! Convolutions over one or two axes, channels last in the graph.

use super::super::build::{Builder, Held, Outcome, Value};
use super::super::model::Node;
use crate::graph::ValueId;
use crate::graph::convolution::ConvSpec;
use crate::nn::arrangement::Arrangement;

/// An image `[N, H, W, C]` of a value `[N, C, W]` or `[N, C, H, W]`, and whether it has one axis alone.
pub fn image(b: &mut Builder, node: &Node) -> Outcome<(ValueId, bool)> {
    let held = b.held(node, 0)?;
    Builder::want_floats(&held)?;
    let x = b.channels_last(&held)?;
    match b.net.graph.shape(x)[..] {
        [images, width, channels] => Ok((b.net.graph.reshape(x, &[images, 1, width, channels])?, true)),
        [_, _, _, _] => Ok((x, false)),
        ref other => Err(match other.len().saturating_sub(2) {
            3 => "it is over three axes (volumes, or pictures over time); one and two are supported".into(),
            0 => "its operand has no axis besides rows and channels".into(),
            axes => format!("it is over {axes} axes; one and two are supported").into(),
        }),
    }
}

/// A result `[N, H, W, C]` as a value of as many axes as there were.
pub fn finished(b: &mut Builder, y: ValueId, flat: bool) -> Outcome<Value> {
    let id = match b.net.graph.shape(y)[..] {
        [images, 1, width, channels] if flat => b.net.graph.reshape(y, &[images, width, channels])?,
        _ => y,
    };
    Ok(Held::last(id).into())
}

/// The numbers of an attribute for each of two axes; those of one axis are of the second.
pub fn pair(node: &Node, name: &str, default: usize, flat: bool) -> Outcome<[usize; 2]> {
    let Some(given) = node.ints(name) else { return Ok([default; 2]) };
    let given: Result<Vec<usize>, _> = given.iter().map(|&n| usize::try_from(n)).collect();
    match (given.as_deref(), flat) {
        (Ok([wide]), true) => Ok([default, *wide]),
        (Ok([high, wide]), false) => Ok([*high, *wide]),
        (Ok([]), _) => Ok([default; 2]),
        _ => Err(format!("its `{name}` are not one number from 0 up for each axis").into()),
    }
}

/// Zeros before and after each axis, in all but the automatic modes.
pub fn padding(node: &Node, flat: bool) -> Outcome<[[usize; 2]; 2]> {
    let Some(given) = node.ints("pads") else { return Ok([[0; 2]; 2]) };
    let given: Result<Vec<usize>, _> = given.iter().map(|&n| usize::try_from(n)).collect();
    match (given.as_deref(), flat) {
        (Ok([before, after]), true) => Ok([[0; 2], [*before, *after]]),
        (Ok([top, left, bottom, right]), false) => Ok([[*top, *bottom], [*left, *right]]),
        (Ok([]), _) => Ok([[0; 2]; 2]),
        _ => Err("its `pads` are not two numbers from 0 up for each axis".into()),
    }
}

/// The padding of an automatic mode for windows over `extents`; `None` if the mode is not automatic.
pub fn automatic(
    node: &Node,
    extents: [usize; 2],
    taps: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
) -> Outcome<Option<[[usize; 2]; 2]>> {
    let mode = node.text("auto_pad", "NOTSET");
    let upper = match mode.as_str() {
        "NOTSET" | "" => return Ok(None),
        "VALID" => return Ok(Some([[0; 2]; 2])),
        "SAME_UPPER" => true,
        "SAME_LOWER" => false,
        other => return Err(format!("auto_pad = \"{other:.40}\" is not supported").into()),
    };
    let of = |d: usize| {
        let stride = stride[d].max(1);
        let covered = (extents[d].div_ceil(stride).max(1) - 1)
            .saturating_mul(stride)
            .saturating_add((taps[d].max(1) - 1).saturating_mul(dilation[d]))
            .saturating_add(1);
        let zeros = covered.saturating_sub(extents[d]);
        let [less, more] = [zeros / 2, zeros - zeros / 2];
        if upper { [less, more] } else { [more, less] }
    };
    Ok(Some([of(0), of(1)]))
}

/// A convolution.
///
/// # Errors
/// If it is over three axes, or shapes do not match.
pub fn conv(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let (x, flat) = image(b, node)?;
    let shape = b.net.graph.shape(x).clone();
    let of_weight = b.extents(&b.value(node, 1)?)?;
    let (outputs, per_group, taps) = match (&of_weight[..], flat) {
        (&[outputs, per_group, wide], true) => (outputs, per_group, [1, wide]),
        (&[outputs, per_group, high, wide], false) => (outputs, per_group, [high, wide]),
        _ => return Err(format!("its weights {of_weight:?} do not fit its operand").into()),
    };
    check_kernel(node, taps, flat)?;
    let groups = usize::try_from(node.int("group", 1)).unwrap_or(0);
    let (stride, dilation) = (pair(node, "strides", 1, flat)?, pair(node, "dilations", 1, flat)?);
    let extents = [shape[1], shape[2]];
    let given = padding(node, flat)?;
    let padding = automatic(node, extents, taps, stride, dilation)?.unwrap_or(given);
    if groups == 0 || Some(shape[3]) != per_group.checked_mul(groups) || !outputs.is_multiple_of(groups) {
        return Err(format!(
            "its {groups} groups and weights {of_weight:?} do not fit {} channels",
            shape[3]
        )
        .into());
    }
    let arrangement = Arrangement::new(&[outputs, per_group, taps[0], taps[1]], &[2, 3, 1, 0]);
    let weight = b.arranged(node, 1, arrangement, |g, w| {
        let w = g.reshape(w, &[outputs, per_group, taps[0], taps[1]])?;
        g.taps_first(w)
    })?;
    let spec = ConvSpec { stride, dilation, padding, groups };
    let y = b.net.graph.conv2d(x, weight, &spec)?;
    let y = match b.trained_if(node, 2)? {
        Some(bias) => b.net.graph.add(y, bias)?,
        None => y,
    };
    finished(b, y, flat)
}

/// Refuses a kernel shape that is not that of the weights.
fn check_kernel(node: &Node, taps: [usize; 2], flat: bool) -> Outcome<()> {
    let said = pair(node, "kernel_shape", 1, flat)?;
    if node.has("kernel_shape") && said != taps {
        return Err(format!("its kernel_shape {said:?} is not that of its weights, {taps:?}").into());
    }
    Ok(())
}

/// A transposed convolution.
///
/// # Errors
/// If it is over three axes, or shapes do not match.
pub fn transposed(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let (x, flat) = image(b, node)?;
    let shape = b.net.graph.shape(x).clone();
    let of_weight = b.extents(&b.value(node, 1)?)?;
    let (inputs, per_group, taps) = match (&of_weight[..], flat) {
        (&[inputs, per_group, wide], true) => (inputs, per_group, [1, wide]),
        (&[inputs, per_group, high, wide], false) => (inputs, per_group, [high, wide]),
        _ => return Err(format!("its weights {of_weight:?} do not fit its operand").into()),
    };
    check_kernel(node, taps, flat)?;
    let groups = usize::try_from(node.int("group", 1)).unwrap_or(0);
    let (stride, dilation) = (pair(node, "strides", 1, flat)?, pair(node, "dilations", 1, flat)?);
    let mut more = pair(node, "output_padding", 0, flat)?;
    if groups == 0 || inputs != shape[3] || !inputs.is_multiple_of(groups) {
        return Err(format!(
            "its {groups} groups and weights {of_weight:?} do not fit {} channels",
            shape[3]
        )
        .into());
    }
    // The extents of the result before anything is cut off.
    let whole = |d: usize, extent: usize| {
        let moved = extent.saturating_sub(1).saturating_mul(stride[d]);
        moved.saturating_add((taps[d].max(1) - 1).saturating_mul(dilation[d])).saturating_add(1)
    };
    let extents = [shape[1], shape[2]];
    let mut padding = padding(node, flat)?;
    let mode = node.text("auto_pad", "NOTSET");
    let wanted = if node.has("output_shape") { Some(pair(node, "output_shape", 1, flat)?) } else { None };
    let same = mode.starts_with("SAME");
    if !["NOTSET", "", "VALID"].contains(&mode.as_str()) && !same {
        return Err(format!("auto_pad = \"{mode:.40}\" is not supported").into());
    }
    if same || wanted.is_some() {
        for d in 0..2 {
            let target = wanted.map_or(extents[d].saturating_mul(stride[d]), |wanted| wanted[d]);
            if flat && d == 0 {
                continue;
            }
            let all = whole(d, extents[d]).saturating_add(more[d]);
            let cut = all.saturating_sub(target);
            more[d] += target.saturating_sub(all);
            let [less, rest] = [cut / 2, cut - cut / 2];
            padding[d] = if mode == "SAME_UPPER" { [less, rest] } else { [rest, less] };
        }
    }
    let [high, wide] = taps;
    let split = [groups, inputs / groups, per_group, high, wide];
    let weight = b.arranged(node, 1, Arrangement::new(&split, &[3, 4, 1, 0, 2]), |g, w| {
        let w = g.reshape(w, &[inputs, per_group, high, wide])?;
        g.transposed_taps_first(w, groups)
    })?;
    let weight = b.net.graph.reshape(weight, &[high, wide, inputs / groups, groups * per_group])?;
    let spec = ConvSpec { stride, dilation, padding, groups };
    let y = b.net.graph.conv_transpose2d(x, weight, &spec, more)?;
    let y = match b.trained_if(node, 2)? {
        Some(bias) => b.net.graph.add(y, bias)?,
        None => y,
    };
    finished(b, y, flat)
}
