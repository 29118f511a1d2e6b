//! Operator cases of convolutions in PyTorch's layouts: images `[N, C, H, W]`, weights
//! `[O, C / groups, kH, kW]`, or `[C, O / groups, kH, kW]` for transposed convolutions; signals have one axis
//! less.

use super::{Operands, Skip};
use crate::graph::convolution::ConvSpec;
use crate::graph::{Graph, GraphError, ValueId};

/// One number for all axes of the window, or one each; for windows with fewer axes, the last ones.
fn axes(o: &Operands, key: &str, default: usize) -> Result<[usize; 2], Skip> {
    let bad = || format!("{key} must be a whole number or a list of one or two");
    let number = |v: &serde_json::Value| v.as_u64().map(|n| n as usize).ok_or_else(bad);
    match o.param(key) {
        None => Ok([default, default]),
        Some(serde_json::Value::Array(list)) => match &list[..] {
            [only] => Ok([number(only)?; 2]),
            [down, along] => Ok([number(down)?, number(along)?]),
            _ => Err(bad()),
        },
        Some(value) => Ok([number(value)?; 2]),
    }
}

/// Builds `conv1d`, `conv2d`, `conv_transpose1d` and `conv_transpose2d`.
pub(super) fn build(o: &mut Operands, op: &str) -> Result<Vec<ValueId>, Skip> {
    let (x, w) = (o.get("x")?, o.get("w")?);
    let bias = o.get("b").ok();
    let signal = op.ends_with("1d");
    let [stride, dilation, mut extra, padding] =
        [("stride", 1), ("dilation", 1), ("output_padding", 0), ("padding", 0)]
            .map(|(key, default)| axes(o, key, default));
    let groups = axes(o, "groups", 1)?[0];
    let mut spec =
        ConvSpec { stride: stride?, dilation: dilation?, groups, ..ConvSpec::default() }.padded(padding?);
    if signal {
        spec.stride[0] = 1;
        spec.dilation[0] = 1;
        spec.padding[0] = [0, 0];
        extra = extra.map(|[_, along]| [0, along]);
    }
    let (extra, transposed) = (extra?, op.starts_with("conv_transpose"));
    let rank = if signal { 3 } else { 4 };
    if o.graph.shape(x).len() != rank || o.graph.shape(w).len() != rank {
        return Err(format!("{op} takes operands with {rank} axes"));
    }
    let build = |g: &mut Graph| -> Result<ValueId, GraphError> {
        let (x, w) = if signal { (with_height(g, x)?, with_height(g, w)?) } else { (x, w) };
        let x = g.channels_last(x)?;
        let y = if transposed {
            let w = g.transposed_taps_first(w, groups)?;
            g.conv_transpose2d(x, w, &spec, extra)?
        } else {
            let w = g.taps_first(w)?;
            g.conv2d(x, w, &spec)?
        };
        let y = match bias {
            Some(bias) => g.add(y, bias)?,
            None => y,
        };
        let y = g.channels_first(y)?;
        let shape = g.shape(y).clone();
        if signal { g.reshape(y, &[shape[0], shape[1], shape[3]]) } else { Ok(y) }
    };
    build(o.graph).map(|y| vec![y]).map_err(|e| e.to_string())
}

/// Reshapes `[a, b, length]` to `[a, b, 1, length]`.
fn with_height(g: &mut Graph, x: ValueId) -> Result<ValueId, GraphError> {
    let shape = g.shape(x).clone();
    g.reshape(x, &[shape[0], shape[1], 1, shape[2]])
}
