//! Shaders of pooling.

use super::{Collect, Divisor, Pool, PoolAxis, PoolGrad, Pooling};
use crate::base::target::Target;
use crate::kernels::shader::bindings::{declare, insert_bindings};
use crate::kernels::shader::{Shader, ShaderError, grid, lanes};
use crate::shader::Template;

/// Maximum products of windows and elements that are unrolled for a cell.
const WRITTEN_OUT: usize = 64;

/// Channels per invocation.
fn vector(channels: usize) -> usize {
    if channels.is_multiple_of(4) { 4 } else { 1 }
}

/// The geometry of `shaders/shared/pooling.wgsl`.
fn geometry(t: Template, axes: &[PoolAxis; 2], channels: usize, divisor: Option<Divisor>) -> Template {
    let [y, x] = axes;
    let divisor = divisor.unwrap_or(Divisor::Fixed(1));
    let ([low_y, high_y], [low_x, high_x]) = (y.bounds(divisor), x.bounds(divisor));
    let fixed = if let Divisor::Fixed(count) = divisor { count as usize } else { 0 };
    t.flag("FOUR", vector(channels) == 4)
        .set("CHANNELS", channels / vector(channels))
        .set("HEIGHT", y.extent)
        .set("WIDTH", x.extent)
        .set("POSITIONS_Y", y.positions)
        .set("POSITIONS_X", x.positions)
        .set("TAPS_Y", y.taps)
        .set("TAPS_X", x.taps)
        .set("STRIDE_Y", y.stride)
        .set("STRIDE_X", x.stride)
        .set("DILATION_Y", y.dilation)
        .set("DILATION_X", x.dilation)
        .set("BEFORE_Y", y.before)
        .set("BEFORE_X", x.before)
        .set("LOW_Y", low_y)
        .set("LOW_X", low_x)
        .set("HIGH_Y", high_y)
        .set("HIGH_X", high_x)
        .set("DIVISOR", fixed)
}

/// One invocation per result vector.
fn over(name: &str, t: Template, results: usize, target: &Target) -> Result<Shader, ShaderError> {
    let lanes = lanes(results, target);
    grid(name, t.set("RESULTS", results), results.div_ceil(lanes), lanes, false)
}

pub(super) fn pool(k: &Pool, target: &Target) -> Result<Shader, ShaderError> {
    let (mut values, mut taps, mut divisor) = (Some(0), None, None);
    match k.pooling {
        Pooling::Max { values: v, taps: t } => (values, taps) = (v, t),
        Pooling::Average(d) => divisor = Some(d),
        Pooling::Pick => {}
    }
    let (max, pick) = (matches!(k.pooling, Pooling::Max { .. }), k.pooling == Pooling::Pick);
    let mut outputs = vec![];
    outputs.extend(values.map(|output| (output, "Floats")));
    outputs.extend(taps.map(|output| (output, "Words")));
    let mut declared: Vec<String> = outputs.iter().map(|&(at, kind)| declare(0, at, kind)).collect();
    declared.push(declare(1, 0, "Floats"));
    if pick {
        declared.push(declare(1, 1, "Words"));
    }
    let store_taps = taps.map_or(String::new(), |output| format!("write_{output}[result] = chosen;"));
    let t = Template::new("pool")
        .flag("MAX", max)
        .flag("VALUES", values.is_some())
        .flag("PICK", pick)
        .flag("INSIDE", k.is_inside())
        .insert("store_taps", store_taps);
    let t = geometry(insert_bindings(t, declared), &k.axes, k.channels, divisor);
    over("pool", t, k.results() / vector(k.channels), target)
}

pub(super) fn pool_grad(k: &PoolGrad, target: &Target) -> Result<Shader, ShaderError> {
    let [y, x] = &k.axes;
    let divisor = match k.collect {
        Collect::Chosen => None,
        Collect::Average(divisor) => Some(divisor),
    };
    let products: usize = k.axes.iter().map(|axis| axis.overlap() * axis.stride).product();
    let cells = products <= WRITTEN_OUT;
    // Cells of `stride` lines aligned with the windows, from the first one that contains a line of the image.
    let first = |axis: &PoolAxis| if cells { axis.before / axis.stride } else { 0 };
    let count = |axis: &PoolAxis| match cells {
        true => (axis.extent - 1 + axis.before) / axis.stride - axis.before / axis.stride + 1,
        false => axis.extent,
    };
    let mut declared = vec![declare(0, 0, "Floats")];
    match k.collect {
        Collect::Chosen => declared.extend([declare(1, 0, "Words"), declare(1, 1, "Floats")]),
        Collect::Average(_) => declared.push(declare(1, 0, "Floats")),
    }
    let chosen = k.collect == Collect::Chosen;
    let t = Template::new("pool_grad")
        .flag("CHOSEN", chosen)
        .insert("chosen_by", if chosen { "return read_0[window];" } else { "return Words(NO_TAP);" })
        .insert("gradient_of", if chosen { "return read_1[window];" } else { "return read_0[window];" })
        .flag("CELLS", cells)
        .set("OVERLAP_Y", y.overlap())
        .set("OVERLAP_X", x.overlap())
        .set("CELLS_Y", count(y))
        .set("CELLS_X", count(x))
        .set("FIRST_Y", first(y))
        .set("FIRST_X", first(x));
    let t = geometry(insert_bindings(t, declared), &k.axes, k.channels, divisor);
    let vectors = k.images * count(y) * count(x) * k.channels / vector(k.channels);
    over("pool_grad", t, vectors, target)
}
