//! How the time of a training step grows with the batch, the sequence and the width.

use serde::Serialize;

use super::workloads::{self, Growing};
use super::{Limits, steps};
use crate::device::Device;
use crate::report::growth::{Curve as Drawn, Page};
use crate::train::TrainError;

/// A step of one size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The batch, the sequence's length or the width.
    pub size: usize,
    /// Rows of the step.
    pub batch: usize,
    /// Seconds of a step: the fastest of several series.
    pub seconds: f64,
    /// Microseconds of a step by its rows.
    pub microseconds_per_sample: f64,
    /// Billions of floating-point operations per second.
    pub gflops: f64,
    /// Billions of bytes per second, if every operand of every kernel is moved once.
    pub gigabytes: f64,
    /// The least time for the arithmetic or the bytes, whichever is longer, by the time taken.
    pub fraction: f64,
}

/// The steps of a network, from the least to the largest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Curve {
    /// What grows: `batch`, `sequence` or `width`.
    pub of: &'static str,
    /// The network.
    pub name: &'static str,
    /// Its steps.
    pub points: Vec<Point>,
}

/// Measures how steps grow whose network's name, or what grows, contains `pattern`; tells `progress` what it measures.
///
/// # Errors
/// If a step does not fit or the device fails.
pub fn measure(
    device: &dyn Device,
    limits: &Limits,
    pattern: &str,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Curve>, TrainError> {
    let wanted = |growing: &Growing| growing.name.contains(pattern) || growing.of.contains(pattern);
    let mut curves = vec![];
    for Growing { of, name, sizes, step } in workloads::growing().into_iter().filter(wanted) {
        let mut points = vec![];
        for size in sizes {
            progress(&format!("{of} {size}: {name}"));
            let workload = step(size);
            let (seconds, cost) = steps::seconds(device, &workload)?;
            let rate = |work: u64| work as f64 / seconds / 1e9;
            let (gflops, gigabytes) = (rate(cost.flops), rate(cost.bytes));
            points.push(Point {
                size,
                batch: workload.batch,
                seconds,
                microseconds_per_sample: 1e6 * seconds / workload.batch as f64,
                gflops,
                gigabytes,
                fraction: (gflops / limits.gflops).max(gigabytes / limits.gigabytes),
            });
        }
        curves.push(Curve { of, name, points });
    }
    Ok(curves)
}

/// The page with the curves.
pub fn html(device: &str, curves: &[Curve]) -> String {
    let drawn = |curve: &Curve| Drawn {
        of: curve.of,
        name: curve.name,
        points: curve.points.iter().map(|p| (p.size, p.microseconds_per_sample, p.gflops)).collect(),
    };
    Page { device, curves: curves.iter().map(drawn).collect() }.html()
}
