//! Integrated gradients (Sundararajan, Taly, Yan 2017, "Axiomatic attribution for deep networks"): of input
//! `i`, `(x_i - x'_i)` times the mean of `dF/dx_i` on the straight way from a baseline `x'` to `x`. Over all
//! inputs they sum to `F(x) - F(x')`.

use super::network::{Given, Network, Probe, Wanted};
use super::points::Points;
use super::response::{Focus, Response};
use crate::train::TrainError;

/// Nodes of the quadrature at first.
const FIRST_STEPS: usize = 16;
/// Nodes at most. The gradient of a network with ReLUs jumps, so that errors only fall with the number of
/// nodes.
pub const MOST_STEPS: usize = 8192;
/// Largest completeness error at which a row is done.
pub const TOLERANCE: f64 = 0.005;
/// Points that are evaluated together at most.
const TOGETHER: usize = 4096;
/// Numbers of points that are held at once at most.
const HELD: usize = 1 << 24;

/// Attributions of rows to the numbers of their points.
#[derive(Clone, Debug, PartialEq)]
pub struct Attributions {
    /// `[rows, width]`
    pub values: Vec<f64>,
    /// `F(x) - F(x')` of each row.
    pub differences: Vec<f64>,
    /// `F(x')` of each row, up to a constant.
    pub starts: Vec<f64>,
    /// Completeness error of each row.
    pub errors: Vec<f64>,
    /// Nodes used for each row.
    pub steps: Vec<usize>,
    /// What was explained.
    pub focus: Focus,
}

/// Attributions of the weighted sum of outputs that `response` chooses, relative to the point `baseline`. The
/// nodes of a Gauss-Legendre quadrature are doubled for each row until the completeness error is at most
/// [`TOLERANCE`]: the distance of the attributions' sum from `F(x) - F(x')`, relative to it, or to a tenth of
/// the sum of their sizes where that is more because they cancel.
///
/// # Errors
/// If the device fails.
pub fn integrated(
    network: &Network,
    points: &Points,
    baseline: &[f32],
    response: &Response,
    most_steps: usize,
) -> Result<Attributions, TrainError> {
    let width = network.space.width();
    let mut probe = network.probe(Wanted::Gradient, usize::MAX)?;
    let outputs = probe.width_of(0);
    let raw = probe.run(&points.x, Given::default())?.swap_remove(0);
    let focus = response.focus(&raw, points.count, points.members.as_deref());
    let base = probe.run(baseline, Given::default())?.swap_remove(0);
    let value = |row: usize, of: &[f32]| -> f64 {
        let weights = &focus.weights[row * outputs..(row + 1) * outputs];
        let sum: f64 = weights.iter().zip(of).map(|(w, y)| f64::from(*w) * f64::from(*y)).sum();
        focus.offsets[row] + sum
    };
    let starts: Vec<f64> = (0..points.count).map(|row| value(row, &base)).collect();
    let end = |row: usize| value(row, &raw[row * outputs..(row + 1) * outputs]);
    let differences: Vec<f64> = (0..points.count).map(|row| end(row) - starts[row]).collect();
    let mut found = Attributions {
        values: vec![0.0; points.count * width],
        differences,
        starts,
        errors: vec![f64::INFINITY; points.count],
        steps: vec![0; points.count],
        focus,
    };
    let mut steps = FIRST_STEPS.min(most_steps.max(1));
    loop {
        let open: Vec<usize> = (0..points.count)
            .filter(|&row| found.errors[row].is_nan() || found.errors[row] > TOLERANCE)
            .collect();
        if open.is_empty() {
            break;
        }
        integrate(&mut probe, points, baseline, &open, &gauss_legendre(steps), &mut found)?;
        if steps >= most_steps {
            break;
        }
        steps = (2 * steps).min(most_steps);
    }
    Ok(found)
}

/// Attributes some rows with these nodes.
fn integrate(
    probe: &mut Probe,
    points: &Points,
    baseline: &[f32],
    rows: &[usize],
    nodes: &[(f64, f64)],
    found: &mut Attributions,
) -> Result<(), TrainError> {
    let (width, outputs) = (baseline.len(), probe.width_of(0));
    let end = |row: usize| &points.x[row * width..(row + 1) * width];
    let mut means = vec![0.0; rows.len() * width];
    let together = TOGETHER.min(HELD / width.max(1)).max(1);
    let all: Vec<(usize, usize)> =
        (0..rows.len()).flat_map(|at| (0..nodes.len()).map(move |node| (at, node))).collect();
    for pairs in all.chunks(together) {
        let (mut x, mut selector) = (vec![], vec![]);
        for &(at, node) in pairs {
            let (row, part) = (rows[at], nodes[node].0);
            let between =
                |(a, b): (&f32, &f32)| (f64::from(*a) + part * (f64::from(*b) - f64::from(*a))) as f32;
            x.extend(baseline.iter().zip(end(row)).map(between));
            selector.extend_from_slice(&found.focus.weights[row * outputs..(row + 1) * outputs]);
        }
        let mut results = probe.run(&x, Given { selector: &selector, ..Given::default() })?;
        let gradients = probe.gradient(&mut results, 1);
        for (&(at, node), gradient) in pairs.iter().zip(gradients.chunks(width)) {
            let mean = &mut means[at * width..(at + 1) * width];
            mean.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += nodes[node].1 * f64::from(*g));
        }
    }
    for (&row, mean) in rows.iter().zip(means.chunks(width)) {
        let values = &mut found.values[row * width..(row + 1) * width];
        for (((value, mean), a), b) in values.iter_mut().zip(mean).zip(baseline).zip(end(row)) {
            *value = mean * (f64::from(*b) - f64::from(*a));
        }
        let (sum, sizes) = values.iter().fold((0.0, 0.0), |(s, t), v| (s + v, t + f64::abs(*v)));
        let scale = found.differences[row].abs().max(0.1 * sizes);
        let error = (sum - found.differences[row]).abs();
        found.errors[row] = if error == 0.0 { 0.0 } else { error / scale };
        found.steps[row] = nodes.len();
    }
    Ok(())
}

/// The nodes and weights of the Gauss-Legendre quadrature with `count` nodes on `[0, 1]`: the roots of the
/// Legendre polynomial by Newton's method, `w = 2 / ((1 - x^2) P'(x)^2)` on `[-1, 1]`.
pub fn gauss_legendre(count: usize) -> Vec<(f64, f64)> {
    let n = count as f64;
    let node = |i: usize| {
        let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (n + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..100 {
            let (mut before, mut value) = (1.0, x);
            for k in 2..=count {
                let k = k as f64;
                (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
            }
            slope = n * (x * value - before) / (x * x - 1.0);
            let change = value / slope;
            x -= change;
            if change.abs() < 1e-15 {
                break;
            }
        }
        (0.5 * (1.0 - x), 1.0 / ((1.0 - x * x) * slope * slope))
    };
    if count <= 1 { vec![(0.5, 1.0)] } else { (0..count).map(node).collect() }
}

/// Where the way to a row begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// The mean of the training rows.
    Mean,
    /// Their median; of categories, the most frequent one.
    Median,
    /// A black picture.
    Black,
}

/// The mean of points, `[width]`.
pub fn mean(points: &Points, width: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; width];
    for point in points.x.chunks(width) {
        sums.iter_mut().zip(point).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    sums.into_iter().map(|sum| (sum / points.count.max(1) as f64) as f32).collect()
}

/// The median of points, `[width]`; `blocks` are positions that belong together, of which the most frequent
/// numbers are taken.
pub fn median(points: &Points, width: usize, blocks: &[Vec<usize>]) -> Vec<f32> {
    let column = |at: usize| points.x.iter().skip(at).step_by(width).copied();
    let mut found: Vec<f32> = (0..width)
        .map(|at| {
            let mut sorted: Vec<f32> = column(at).collect();
            sorted.sort_by(f32::total_cmp);
            let half = sorted.len() / 2;
            match sorted.len() {
                0 => 0.0,
                n if n % 2 == 1 => sorted[half],
                _ => 0.5 * (sorted[half - 1] + sorted[half]),
            }
        })
        .collect();
    for block in blocks {
        let of = |point: &[f32]| block.iter().map(|&at| point[at].to_bits()).collect::<Vec<u32>>();
        let mut counts = std::collections::BTreeMap::<Vec<u32>, usize>::new();
        for point in points.x.chunks(width) {
            *counts.entry(of(point)).or_default() += 1;
        }
        let most = counts.iter().max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0)));
        for (&at, &word) in block.iter().zip(most.map_or(&[][..], |(words, _)| words)) {
            found[at] = f32::from_bits(word);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quadrature_is_exact_for_polynomials_of_degree_2n_minus_1() {
        for count in [1, 2, 3, 16, 64, 512] {
            let nodes = gauss_legendre(count);
            for power in [0, 1, 2 * count as i32 - 1] {
                let sum: f64 = nodes.iter().map(|(x, w)| w * x.powi(power)).sum();
                assert!((sum - 1.0 / f64::from(power + 1)).abs() < 1e-13, "{count} nodes, x^{power}: {sum}");
            }
        }
    }

    #[test]
    fn the_median_takes_the_most_frequent_category() {
        let x = vec![1.0, 1.0, 0.0, 5.0, 0.0, 1.0, 3.0, 0.0, 1.0, 9.0, 1.0, 0.0, 4.0, 0.0, 1.0];
        let points = Points { count: 5, x, ..Points::default() };
        assert_eq!(median(&points, 3, &[vec![1, 2]]), [4.0, 0.0, 1.0]);
    }
}
