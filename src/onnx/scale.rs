//! Scalings of numbers and their inverses, in single precision.

use super::builder::Builder;
use super::quantile;
use crate::data::FittedScaling;

/// How much larger than its scale a shift is at most, for a number in single precision to keep the digits
/// that matter; beyond, as for times in seconds, the number comes in double precision.
const WIDE: f64 = 100.0;

/// What is to be subtracted from a number in double precision, before it is scaled; `None` if single
/// precision will do.
pub fn offset(scaling: &FittedScaling) -> Option<f64> {
    match *scaling {
        FittedScaling::Affine { shift, scale } => (shift.abs() > WIDE * scale.abs()).then_some(shift),
        FittedScaling::Quantile { ref points } => {
            let (first, last) = (*points.first()?, *points.last()?);
            let middle = points[points.len() / 2];
            (middle.abs() > WIDE * (last - first)).then_some(middle)
        }
        _ => None,
    }
}

/// The scaling of a number from which its [`offset`] was subtracted.
pub fn after_offset(scaling: &FittedScaling) -> FittedScaling {
    match (offset(scaling), scaling) {
        (Some(_), &FittedScaling::Affine { scale, .. }) => FittedScaling::Affine { shift: 0.0, scale },
        (Some(offset), FittedScaling::Quantile { points }) => {
            FittedScaling::Quantile { points: points.iter().map(|point| point - offset).collect() }
        }
        _ => scaling.clone(),
    }
}

/// `(x - shift) / scale` of each column of the last axis.
fn affine(b: &mut Builder, x: &str, shift: &[f64], scale: &[f64]) -> String {
    // A shift has more digits than a float: the rest is subtracted by itself, after the difference, which is
    // exact near the shift.
    let high: Vec<f32> = shift.iter().map(|&s| s as f32).collect();
    let low: Vec<f32> = shift.iter().zip(&high).map(|(&s, &h)| (s - f64::from(h)) as f32).collect();
    let extents: &[usize] = if shift.len() == 1 { &[] } else { &[shift.len()] };
    let mut x = x.to_string();
    if high.iter().any(|&h| h != 0.0) {
        let high = b.numbers(extents, &high);
        x = b.node("Sub", &[&x, &high], vec![]);
    }
    if low.iter().zip(scale).any(|(&l, &s)| f64::from(l).abs() > 1e-8 * s.abs()) {
        let low = b.numbers(extents, &low);
        x = b.node("Sub", &[&x, &low], vec![]);
    }
    if scale.iter().any(|&s| s != 1.0) {
        let scale: Vec<f32> = scale.iter().map(|&s| s as f32).collect();
        let scale = b.numbers(extents, &scale);
        x = b.node("Div", &[&x, &scale], vec![]);
    }
    x
}

/// Shift and scale, before which a logarithm may be taken.
fn parts(scaling: &FittedScaling) -> (f64, f64) {
    match *scaling {
        FittedScaling::Affine { shift, scale } | FittedScaling::Log1p { shift, scale } => (shift, scale),
        FittedScaling::None | FittedScaling::Quantile { .. } => (0.0, 1.0),
    }
}

/// Whether all take a logarithm; `None` if only some do, or one of several is by quantiles.
fn logarithmic(scalings: &[&FittedScaling]) -> Option<bool> {
    let is = |scaling: &&&FittedScaling| matches!(scaling, FittedScaling::Log1p { .. });
    if scalings.iter().any(|scaling| matches!(scaling, FittedScaling::Quantile { .. })) {
        return None;
    }
    match scalings.iter().filter(is).count() {
        0 => Some(false),
        n if n == scalings.len() => Some(true),
        _ => None,
    }
}

/// Whether the columns of one axis can be scaled together.
pub fn are_alike(scalings: &[&FittedScaling]) -> bool {
    logarithmic(scalings).is_some()
}

/// The columns of the last axis scaled, each by its own scaling; one scaling is for all. `None` if some take
/// a logarithm and others do not.
pub fn apply(b: &mut Builder, x: &str, scalings: &[&FittedScaling]) -> Option<String> {
    if let [FittedScaling::Quantile { points }] = scalings {
        return (!points.is_empty()).then(|| quantile::apply(b, x, points));
    }
    let (shift, scale): (Vec<f64>, Vec<f64>) = scalings.iter().map(|s| parts(s)).unzip();
    let mut x = x.to_string();
    if logarithmic(scalings)? {
        // ln(1 + x), and for values at or below -1 of the smallest that scaling admits.
        let (one, least) = (b.number(1.0), b.number(1e-9));
        let sum = b.node("Add", &[&x, &one], vec![]);
        let positive = b.node("Max", &[&sum, &least], vec![]);
        x = b.node("Log", &[&positive], vec![]);
    }
    Some(affine(b, &x, &shift, &scale))
}

/// The columns of the last axis in their own units. `None` if they are of several kinds.
pub fn invert(b: &mut Builder, y: &str, scalings: &[&FittedScaling]) -> Option<String> {
    if let [FittedScaling::Quantile { points }] = scalings {
        return (!points.is_empty()).then(|| quantile::invert(b, y, points));
    }
    let (shift, scale): (Vec<f64>, Vec<f64>) = scalings.iter().map(|s| parts(s)).unzip();
    let extents: &[usize] = if shift.len() == 1 { &[] } else { &[shift.len()] };
    let mut y = y.to_string();
    for (op, numbers, neutral) in [("Mul", scale, 1.0), ("Add", shift, 0.0)] {
        if numbers.iter().any(|&x| x != neutral) {
            let numbers: Vec<f32> = numbers.iter().map(|&x| x as f32).collect();
            let numbers = b.numbers(extents, &numbers);
            y = b.node(op, &[&y, &numbers], vec![]);
        }
    }
    Some(if logarithmic(scalings)? { b.exp_m1(&y) } else { y })
}
