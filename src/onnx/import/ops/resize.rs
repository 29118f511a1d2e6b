//! Images in other sizes. All methods are linear and separable: along each axis, a small constant matrix.

use super::super::build::{Builder, Held, Outcome, Value};
use super::super::model::Node;
use super::{axis_last, axis_of, known};
use crate::graph::ValueId;
use crate::graph::upsampling::{ResampleSpec, Resampling};

/// Most numbers of a matrix.
const MOST: usize = 1 << 24;

/// How an axis is resampled.
struct Axis {
    extent: usize,
    size: usize,
    scale: f64,
}

/// The settings that all axes share.
struct Settings {
    mode: String,
    transform: String,
    nearest: String,
    cubic: f64,
    exclude_outside: bool,
}

/// An image in another size.
///
/// # Errors
/// If its scales are not known, or a mode is not supported.
pub fn resize(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let held = b.held(node, 0)?;
    Builder::want_floats(&held)?;
    let shape = b.shape_of(&held);
    let old = node.op == "Upsample" || node.opset < 11;
    let default = if old { "asymmetric" } else { "half_pixel" };
    let settings = Settings {
        mode: node.text("mode", "nearest"),
        transform: node.text("coordinate_transformation_mode", default),
        nearest: node.text("nearest_mode", if old { "floor" } else { "round_prefer_floor" }),
        cubic: node.float("cubic_coeff_a", -0.75),
        exclude_outside: node.int("exclude_outside", 0) != 0,
    };
    let _ = node.float("extrapolation_value", 0.0);
    check(node, &settings)?;
    let axes = axes_of_node(b, node, &shape, old)?;
    let changed: Vec<usize> = (0..shape.len()).filter(|&axis| !is_unchanged(&axes[axis])).collect();
    let matrices: Vec<Vec<f64>> = axes.iter().map(|axis| settings.matrix(axis)).collect::<Result<_, _>>()?;
    let last = held.last || (shape.len() == 4 && changed.iter().all(|&axis| axis >= 2));
    let mut x = if last { b.channels_last(&held)? } else { held.id };
    let repeats = |axis: usize| {
        let Axis { extent, size, .. } = axes[axis];
        let times = size / extent.max(1);
        let plain = |at: usize| matrices[axis][at * extent + at / times.max(1)] == 1.0;
        times * extent == size && (0..size).all(plain)
    };
    if settings.mode == "nearest" && last && shape.len() == 4 && changed.iter().all(|&axis| repeats(axis)) {
        // Integer magnification has a kernel of its own.
        let spec = ResampleSpec::new([axes[2].size, axes[3].size], Resampling::Nearest);
        return Ok(Held::last(b.net.graph.resample(x, &spec)?).into());
    }
    for axis in changed {
        let along = if last { axis_last(axis, shape.len()) } else { axis };
        x = apply(b, x, along, &axes[axis], &matrices[axis])?;
    }
    Ok(Held { id: x, last, ..held }.into())
}

fn is_unchanged(axis: &Axis) -> bool {
    axis.extent == axis.size && axis.scale == 1.0
}

fn check(node: &Node, settings: &Settings) -> Outcome<()> {
    let refuse = |name: &str, value: &str| Err(format!("{name} = \"{value:.40}\" is not supported").into());
    if node.int("antialias", 0) != 0 {
        return Err("antialias = 1 is not supported".into());
    }
    let policy = node.text("keep_aspect_ratio_policy", "stretch");
    if policy != "stretch" {
        return refuse("keep_aspect_ratio_policy", &policy);
    }
    if !["nearest", "linear", "cubic"].contains(&settings.mode.as_str()) {
        return refuse("mode", &settings.mode);
    }
    let transforms = [
        "half_pixel",
        "half_pixel_symmetric",
        "pytorch_half_pixel",
        "align_corners",
        "asymmetric",
        "tf_half_pixel_for_nn",
    ];
    if !transforms.contains(&settings.transform.as_str()) {
        return refuse("coordinate_transformation_mode", &settings.transform);
    }
    if !["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"].contains(&settings.nearest.as_str()) {
        return refuse("nearest_mode", &settings.nearest);
    }
    Ok(())
}

/// How each axis is resampled.
fn axes_of_node(b: &Builder, node: &Node, shape: &[usize], old: bool) -> Outcome<Vec<Axis>> {
    let which = match node.ints("axes") {
        // In the order of the scales or sizes.
        Some(axes) => axes.iter().map(|&axis| axis_of(axis, shape.len())).collect::<Result<Vec<_>, _>>()?,
        None => (0..shape.len()).collect(),
    };
    let attribute = node.floats("scales").map(|list| list.into_iter().map(f64::from).collect::<Vec<f64>>());
    let scales = match attribute {
        Some(scales) => Some(scales),
        None => b.known(node, if old { 1 } else { 2 })?.map(|known| known.data.clone()),
    };
    let scales = scales.filter(|scales| !scales.is_empty());
    let sizes = if old { None } else { b.integers(node, 3)? };
    let mut axes: Vec<Axis> = shape.iter().map(|&n| Axis { extent: n, size: n, scale: 1.0 }).collect();
    match (scales, sizes) {
        (Some(scales), _) if scales.len() == which.len() => {
            for (&axis, scale) in which.iter().zip(scales) {
                if !(scale > 0.0 && scale <= 4096.0) {
                    return Err(format!("its scale {scale} is out of range").into());
                }
                // Scales of single precision: 1.6 is meant as it is written.
                let scale = (scale as f32).to_string().parse().unwrap_or(scale);
                let exact = axes[axis].extent as f64 * scale;
                let size = exact.floor() as usize;
                if exact != exact.floor()
                    && node.text("coordinate_transformation_mode", "") == "align_corners"
                {
                    let reason =
                        "its scales give no whole number of pixels, whose corners runtimes align differently";
                    return Err(reason.into());
                }
                axes[axis] = Axis { size, scale, ..axes[axis] };
            }
        }
        (None, Some(sizes)) if sizes.len() == which.len() => {
            for (&axis, size) in which.iter().zip(known::extents(&sizes)?) {
                let extent = axes[axis].extent;
                // Rows are not resized: that is the number of them with which the model was exported.
                let rows = b.freed.is_some_and(|freed| (freed.exported, freed.rows) == (size, extent));
                let size = if axis == 0 && rows { extent } else { size };
                axes[axis] = Axis { extent, size, scale: size as f64 / extent as f64 };
            }
        }
        _ => return Err("its scales or sizes are not one for each axis".into()),
    }
    if axes.iter().any(|axis| axis.size == 0 || axis.extent == 0) {
        return Err("it leaves nothing of an axis".into());
    }
    Ok(axes)
}

impl Settings {
    /// The place in the original axis of place `i`.
    fn place(&self, axis: &Axis, i: usize) -> f64 {
        let (i, extent, size) = (i as f64, axis.extent as f64, axis.size as f64);
        match self.transform.as_str() {
            "align_corners" if axis.size == 1 => 0.0,
            "align_corners" => i * (extent - 1.0) / (size - 1.0),
            "asymmetric" => i / axis.scale,
            "tf_half_pixel_for_nn" => (i + 0.5) / axis.scale,
            "pytorch_half_pixel" if axis.size == 1 => 0.0,
            "half_pixel_symmetric" => {
                // The size may be less than the scale says; what is missing is missing on both sides.
                let adjusted = size / (axis.scale * extent);
                let centre = extent / 2.0;
                centre * (1.0 - adjusted) + (i + 0.5) / axis.scale - 0.5
            }
            _ => (i + 0.5) / axis.scale - 0.5,
        }
    }

    /// The weight of each original element, row by row.
    fn matrix(&self, axis: &Axis) -> Result<Vec<f64>, String> {
        if axis.extent.checked_mul(axis.size).is_none_or(|count| count > MOST) {
            return Err(format!("from {} to {} elements of an axis are too many", axis.extent, axis.size));
        }
        let mut matrix = vec![0.0; axis.extent * axis.size];
        if is_unchanged(axis) {
            (0..axis.extent).for_each(|at| matrix[at * axis.extent + at] = 1.0);
            return Ok(matrix);
        }
        for i in 0..axis.size {
            let row = &mut matrix[i * axis.extent..(i + 1) * axis.extent];
            for (place, weight) in self.taps(axis, i) {
                let outside = place < 0 || place >= axis.extent as i64;
                if !(outside && self.exclude_outside && self.mode == "cubic") {
                    row[place.clamp(0, axis.extent as i64 - 1) as usize] += weight;
                }
            }
            let sum: f64 = row.iter().sum();
            if self.exclude_outside && sum != 0.0 {
                row.iter_mut().for_each(|weight| *weight /= sum);
            }
        }
        Ok(matrix)
    }

    fn taps(&self, axis: &Axis, i: usize) -> Vec<(i64, f64)> {
        let x = self.place(axis, i);
        let (low, part) = (x.floor() as i64, x - x.floor());
        match self.mode.as_str() {
            "linear" => vec![(low, 1.0 - part), (low + 1, part)],
            "cubic" => {
                let a = self.cubic;
                let near = |d: f64| ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
                let far = |d: f64| ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
                let weights = [far(part + 1.0), near(part), near(1.0 - part), far(2.0 - part)];
                (low - 1..).zip(weights).collect()
            }
            _ => {
                let place = match self.nearest.as_str() {
                    "floor" => x.floor(),
                    "ceil" => x.ceil(),
                    "round_prefer_ceil" => (x + 0.5).floor(),
                    _ => (x - 0.5).ceil(),
                };
                vec![(place as i64, 1.0)]
            }
        }
    }
}

/// The matrix times axis `along`.
fn apply(b: &mut Builder, x: ValueId, along: usize, axis: &Axis, matrix: &[f64]) -> Outcome<ValueId> {
    let mut shape = b.net.graph.shape(x).clone();
    let before: usize = shape[..along].iter().product();
    let after: usize = shape[along + 1..].iter().product();
    let lines = b.net.graph.reshape(x, &[before, axis.extent, after])?;
    let matrix: Vec<f32> = matrix.iter().map(|&weight| weight as f32).collect();
    let matrix = b.net.graph.constant(&[axis.size, axis.extent], &matrix)?;
    let y = b.net.graph.matmul(matrix, lines)?;
    shape[along] = axis.size;
    Ok(b.net.graph.reshape(y, &shape)?)
}
