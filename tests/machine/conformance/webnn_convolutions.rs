//! WebNN's image operators, converted to channels-last.

use gridlight::graph::convolution::ConvSpec;
use serde_json::Value;

use super::webnn::{Builder, Built, say};

/// An option with two numbers.
fn two(b: &Builder, key: &str, default: usize) -> [usize; 2] {
    let options = b.call.options();
    let list: Vec<usize> = options
        .get(key)
        .and_then(Value::as_array)
        .map(|l| l.iter().filter_map(Value::as_u64).map(|x| x as usize).collect())
        .unwrap_or_default();
    list.try_into().unwrap_or([default, default])
}

/// Convolutions in any of WebNN's layouts.
pub fn convolution(b: &mut Builder, op: &str) -> Built {
    let (x, w, bias) = (b.input(0)?, b.input(1)?, b.option("bias")?);
    let options = b.call.options();
    let text = |key: &str| options.get(key).and_then(Value::as_str);
    let channels_last = text("inputLayout") == Some("nhwc");
    let x = if channels_last { x } else { b.g.channels_last(x).map_err(say)? };
    let groups = b.call.number("groups", 1.0) as usize;
    let padding: Vec<usize> = options
        .get("padding")
        .and_then(Value::as_array)
        .map_or(vec![0; 4], |l| l.iter().filter_map(Value::as_u64).map(|p| p as usize).collect());
    let spec = ConvSpec {
        stride: two(b, "strides", 1),
        dilation: two(b, "dilations", 1),
        padding: [[padding[0], padding[1]], [padding[2], padding[3]]],
        groups,
    };
    let y = if op == "conv2d" {
        // To [kH, kW, C, O].
        let order = match text("filterLayout") {
            Some("hwio") => [0, 1, 2, 3],
            Some("ohwi") => [1, 2, 3, 0],
            Some("ihwo") => [1, 2, 0, 3],
            _ => [2, 3, 1, 0],
        };
        let w = b.g.permute(w, &order).map_err(say)?;
        b.g.conv2d(x, w, &spec).map_err(say)?
    } else {
        // To [C, O, kH, kW].
        let order = match text("filterLayout") {
            Some("hwoi") => [3, 2, 0, 1],
            Some("ohwi") => [3, 0, 1, 2],
            _ => [0, 1, 2, 3],
        };
        let w = b.g.permute(w, &order).map_err(say)?;
        let mut extra = two(b, "outputPadding", 0);
        if options.contains_key("outputSizes") {
            let sizes = two(b, "outputSizes", 0);
            let (x, w) = (b.g.shape(x).clone(), b.g.shape(w).clone());
            for d in 0..2 {
                let [before, after] = spec.padding[d];
                let least =
                    (x[1 + d] - 1) * spec.stride[d] + (w[2 + d] - 1) * spec.dilation[d] + 1 - before - after;
                extra[d] = sizes[d] - least;
            }
        }
        let w = b.g.transposed_taps_first(w, groups).map_err(say)?;
        b.g.conv_transpose2d(x, w, &spec, extra).map_err(say)?
    };
    let y = match bias {
        Some(bias) => b.g.add(y, bias).map_err(say)?,
        None => y,
    };
    if channels_last { Ok(y) } else { b.g.channels_first(y).map_err(say) }
}
