//! WebNN's image operators, with its defaults. Images are converted to channels-last for this crate's
//! operators.

use gridlight::graph::ValueId;
use gridlight::graph::pooling::PoolSpec;
use gridlight::graph::upsampling::{ResampleSpec, Resampling};
use gridlight::scalar::UnaryFn;
use serde_json::Value;

use super::webnn::{Builder, Built, say};

/// An option that lists numbers.
fn numbers<const N: usize>(b: &Builder, key: &str) -> Option<[f64; N]> {
    let options = b.call.options();
    let list: Vec<f64> = options.get(key)?.as_array()?.iter().filter_map(Value::as_f64).collect();
    list.try_into().ok()
}

fn pair(b: &Builder, key: &str) -> Option<[usize; 2]> {
    numbers(b, key).map(|pair: [f64; 2]| pair.map(|x| x as usize))
}

/// Pooling; without a window, over the whole image.
pub fn pool(b: &mut Builder, op: &str) -> Built {
    let x = b.input(0)?;
    let channels_last = b.call.options().get("layout").is_some_and(|l| l == "nhwc");
    let x = if channels_last { x } else { b.g.permute(x, &[0, 2, 3, 1]).map_err(say)? };
    let [_, height, width, _] = b.g.shape(x)[..] else { return Err("no image".into()) };
    let [top, bottom, left, right] = numbers(b, "padding").unwrap_or_default().map(|p: f64| p as usize);
    let spec = PoolSpec {
        stride: pair(b, "strides").unwrap_or([1, 1]),
        dilation: pair(b, "dilations").unwrap_or([1, 1]),
        padding: [[top, bottom], [left, right]],
        ceil_mode: b.call.options().get("roundingType").is_some_and(|r| r == "ceil"),
        count_include_pad: false,
        ..PoolSpec::new(pair(b, "windowDimensions").unwrap_or([height, width]))
    };
    // The output sizes determine the rounding.
    let sizes = |spec: &PoolSpec| Ok::<_, String>([spec.output(0, height)?, spec.output(1, width)?]);
    let spec = match pair(b, "outputSizes") {
        Some(wanted) if sizes(&spec)? != wanted => PoolSpec { ceil_mode: true, ..spec },
        _ => spec,
    };
    let y = match op {
        "maxPool2d" => b.g.max_pool(x, &spec).map_err(say)?,
        "averagePool2d" => b.g.avg_pool(x, &spec).map_err(say)?,
        _ => {
            let square = b.unary(UnaryFn::Square, x)?;
            let sums = PoolSpec { divisor_override: Some(1), ..spec };
            let sum = b.g.avg_pool(square, &sums).map_err(say)?;
            b.unary(UnaryFn::Sqrt, sum)?
        }
    };
    if channels_last { Ok(y) } else { b.g.permute(y, &[0, 3, 1, 2]).map_err(say) }
}

/// Resampling along two axes, which are moved to the positions of height and width in this crate.
pub fn resample(b: &mut Builder) -> Built {
    let x = b.input(0)?;
    let [down, along] = pair(b, "axes").unwrap_or([2, 3]);
    let others: Vec<usize> = (0..4).filter(|&d| d != down && d != along).collect();
    let order = [others[0], down, along, others[1]];
    let x = b.g.permute(x, &order).map_err(say)?;
    let linear = b.call.options().get("mode").is_some_and(|mode| mode == "linear");
    let resampling = if linear { Resampling::Linear { align_corners: false } } else { Resampling::Nearest };
    let extents = [b.g.shape(x)[1], b.g.shape(x)[2]];
    let spec = match (pair(b, "sizes"), numbers(b, "scales")) {
        (Some(size), _) => ResampleSpec::new(size, resampling),
        (None, scale) => ResampleSpec::scaled(extents, scale.unwrap_or([1.0, 1.0]), resampling),
    };
    // Here, the sizes alone determine the distance between pixels.
    let spec = ResampleSpec { scale: None, ..spec };
    let y: ValueId = b.g.resample(x, &spec).map_err(say)?;
    let back: Vec<usize> = (0..4).map(|d| order.iter().position(|&o| o == d).unwrap_or(d)).collect();
    b.g.permute(y, &back).map_err(say)
}
