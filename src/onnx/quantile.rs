//! Scaling by quantiles: the normal quantile of a number's rank among points of the training values, as
//! `data/scaling.rs` defines it, and its inverse.

use super::builder::{Builder, int};
use super::proto::element;
use crate::data::FittedScaling;

/// Coefficients of the inverse error function in single precision, highest power first (Giles 2012,
/// "Approximating the erfinv function", GPU Computing Gems 2, chapter 10): of `w - 2.5` for `w < 5`, and of
/// `sqrt(w) - 3` beyond, with `w = -ln(1 - x^2)`.
const CENTRE: [f32; 9] = [
    2.810_226_4e-8,
    3.432_739_4e-7,
    -3.523_387_7e-6,
    -4.391_506_5e-6,
    2.185_808_7e-4,
    -1.253_725e-3,
    -4.177_681_6e-3,
    0.246_640_73,
    1.501_409_4,
];
const TAIL: [f32; 9] = [
    -2.002_142_6e-4,
    1.009_505_6e-4,
    1.349_343_2e-3,
    -3.673_428_4e-3,
    5.739_507_7e-3,
    -7.622_461_3e-3,
    9.438_870_5e-3,
    1.001_674,
    2.832_976_8,
];

/// The scaled values of `x`, whose last axis has one element.
pub fn apply(b: &mut Builder, x: &str, points: &[f64]) -> String {
    let last = points.len().saturating_sub(1) as f32;
    let points: Vec<f32> = points.iter().map(|&point| point as f32).collect();
    let points = b.numbers(&[points.len()], &points);
    let [half, one, none, end] = [0.5, 1.0, 0.0, last].map(|x| b.number(x));
    let axis = b.integers(&[-1]);
    let [below, up_to] = ["Less", "LessOrEqual"].map(|op| {
        let is = b.node(op, &[&points, x], vec![]);
        let is = b.cast(&is, element::FLOAT);
        b.node("ReduceSum", &[&is, &axis], vec![int("keepdims", 1)])
    });
    // The midpoint of the ranks that x could have, where it is one of the points.
    let sum = b.node("Add", &[&below, &up_to], vec![]);
    let sum = b.node("Sub", &[&sum, &one], vec![]);
    let midpoint = b.node("Mul", &[&sum, &half], vec![]);
    // Else between its neighbours, or at an end.
    let before = b.node("Sub", &[&below, &one], vec![]);
    let low = at(b, &points, &before, last);
    let high = at(b, &points, &below, last);
    let (part, whole) = (b.node("Sub", &[x, &low], vec![]), b.node("Sub", &[&high, &low], vec![]));
    let part = b.node("Div", &[&part, &whole], vec![]);
    let between = b.node("Add", &[&before, &part], vec![]);
    let is_first = b.node("Less", &[&below, &half], vec![]);
    let is_last = b.node("Greater", &[&below, &end], vec![]);
    let between = b.node("Where", &[&is_last, &end, &between], vec![]);
    let between = b.node("Where", &[&is_first, &none, &between], vec![]);
    let is_between = b.node("Equal", &[&below, &up_to], vec![]);
    let rank = b.node("Where", &[&is_between, &between, &midpoint], vec![]);
    normal_quantile(b, &rank, last)
}

/// The points at some ranks.
fn at(b: &mut Builder, points: &str, rank: &str, last: f32) -> String {
    let [first, last] = [0.0, last].map(|x| b.number(x));
    let inside = b.node("Clip", &[rank, &first, &last], vec![]);
    let index = b.cast(&inside, element::INT64);
    b.node("Gather", &[points, &index], vec![int("axis", 0)])
}

/// The normal quantile of `rank / last`. It is computed from the distance to the nearer end, which has more
/// digits than a probability near 1.
fn normal_quantile(b: &mut Builder, rank: &str, last: f32) -> String {
    let [one, two, four, half] = [1.0, 2.0, 4.0, 0.5].map(|x| b.number(x));
    let (end, unit) = (b.number(last), b.number(last.max(1.0)));
    let edge = b.number(FittedScaling::EDGE as f32);
    let rest = b.node("Sub", &[&end, rank], vec![]);
    let is_upper = b.node("Less", &[&rest, rank], vec![]);
    let nearer = b.node("Min", &[rank, &rest], vec![]);
    let tail = b.node("Div", &[&nearer, &unit], vec![]);
    let tail = b.node("Clip", &[&tail, &edge, &half], vec![]);
    // w = -ln(4 p (1 - p))
    let other = b.node("Sub", &[&one, &tail], vec![]);
    let product = b.node("Mul", &[&tail, &other], vec![]);
    let product = b.node("Mul", &[&product, &four], vec![]);
    let log = b.node("Log", &[&product], vec![]);
    let w = b.node("Neg", &[&log], vec![]);
    let [shift, root_shift, border] = [2.5, 3.0, 5.0].map(|x| b.number(x));
    let centre = b.node("Sub", &[&w, &shift], vec![]);
    let centre = polynomial(b, &centre, &CENTRE);
    // Only the root of what is positive is used.
    let positive = b.node("Abs", &[&w], vec![]);
    let root = b.node("Sqrt", &[&positive], vec![]);
    let outer = b.node("Sub", &[&root, &root_shift], vec![]);
    let outer = polynomial(b, &outer, &TAIL);
    let is_centre = b.node("Less", &[&w, &border], vec![]);
    let factor = b.node("Where", &[&is_centre, &centre, &outer], vec![]);
    // x = 1 - 2 p
    let doubled = b.node("Mul", &[&tail, &two], vec![]);
    let argument = b.node("Sub", &[&one, &doubled], vec![]);
    let erfinv = b.node("Mul", &[&factor, &argument], vec![]);
    let root_of_two = b.number(std::f32::consts::SQRT_2);
    let size = b.node("Mul", &[&erfinv, &root_of_two], vec![]);
    let negative = b.node("Neg", &[&size], vec![]);
    b.node("Where", &[&is_upper, &size, &negative], vec![])
}

/// Horner's rule.
fn polynomial(b: &mut Builder, x: &str, coefficients: &[f32; 9]) -> String {
    let [first, rest @ ..] = coefficients;
    let mut sum = b.number(*first);
    for coefficient in rest {
        let coefficient = b.number(*coefficient);
        let product = b.node("Mul", &[&sum, x], vec![]);
        sum = b.node("Add", &[&product, &coefficient], vec![]);
    }
    sum
}

/// The values whose scaled values are `y`, `[N, 1]`.
pub fn invert(b: &mut Builder, y: &str, points: &[f64]) -> String {
    let last = points.len().saturating_sub(1) as f32;
    let points: Vec<f32> = points.iter().map(|&point| point as f32).collect();
    let points = b.numbers(&[points.len()], &points);
    let [one, half_last] = [1.0, 0.5 * last].map(|x| b.number(x));
    let root = b.number(std::f32::consts::FRAC_1_SQRT_2);
    let scaled = b.node("Mul", &[y, &root], vec![]);
    let erf = b.node("Erf", &[&scaled], vec![]);
    let sum = b.node("Add", &[&erf, &one], vec![]);
    let rank = b.node("Mul", &[&sum, &half_last], vec![]);
    let floor = b.node("Floor", &[&rank], vec![]);
    let next = b.node("Add", &[&floor, &one], vec![]);
    let (low, high) = (at(b, &points, &floor, last), at(b, &points, &next, last));
    let part = b.node("Sub", &[&rank, &floor], vec![]);
    let step = b.node("Sub", &[&high, &low], vec![]);
    let more = b.node("Mul", &[&step, &part], vec![]);
    b.node("Add", &[&low, &more], vec![])
}
