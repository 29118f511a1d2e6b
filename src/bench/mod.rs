//! Benchmarks of single kernels and whole training steps, relative to what the device can do.

pub mod growth;
mod native;
pub mod steps;
pub mod workloads;

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::base::step::StepRecord;
use crate::base::target::Family;
use crate::device::{Device, DeviceError, Session};
use crate::kernels::Kernel;
use crate::kernels::pointwise::Pointwise;
use crate::kernels::samples::Sample;
use crate::scalar::{BinaryFn, Body, Inst, View};
use crate::verify::kernels::load;

/// A device's peak performance, as measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// GFLOP/s of a chain of multiply-adds that touches no memory.
    pub gflops: f64,
    /// GB/s, read and written, of a copy larger than the caches.
    pub gigabytes: f64,
}

/// One kernel's speed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Kernel family.
    pub name: String,
    /// Sizes.
    pub shape: String,
    /// Seconds per run: the fastest of several series.
    pub seconds: f64,
    /// Billions of floating-point operations per second.
    pub gflops: f64,
    /// Billions of bytes per second, if every operand is moved once.
    pub gigabytes: f64,
    /// Fraction of the speed that the device's limits allow: the minimum time for the arithmetic or for the
    /// bytes, whichever is longer, divided by the time taken. Above 1 where operands stay in the caches.
    pub fraction: f64,
    /// Operations per second relative to the plain matrix products of the same sizes, if it consists of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_products: Option<f64>,
}

/// Wall time of a series of runs.
const SERIES_SECONDS: f64 = 0.03;
/// Number of series. The fastest counts, because other work on the machine can only slow a series down.
const SERIES: usize = 5;
/// Maximum runs per series.
const MOST_RUNS: usize = 4096;

/// Measures the limits of `device`.
///
/// # Errors
/// If the device fails.
pub fn limits(device: &dyn Device) -> Result<Limits, DeviceError> {
    if device.target().family == Family::Native {
        return native::limits();
    }
    let chain = multiply_adds(1 << 18);
    let copy = copy(1 << 24);
    let rate = |work: u64, seconds: f64| work as f64 / seconds / 1e9;
    Ok(Limits {
        gflops: rate(chain.cost().flops, seconds(device, &chain)?),
        gigabytes: rate(copy.cost().bytes, seconds(device, &copy)?),
    })
}

/// Measures `kernel` on `device`.
///
/// # Errors
/// If the kernel does not fit or the device fails.
pub fn measure(device: &dyn Device, kernel: &Kernel, limits: &Limits) -> Result<Measurement, DeviceError> {
    let seconds = seconds(device, kernel)?;
    let cost = kernel.cost();
    let (gflops, gigabytes) = (cost.flops as f64 / seconds / 1e9, cost.bytes as f64 / seconds / 1e9);
    let of_products = products(device, kernel)?.map(|rate| gflops / rate);
    Ok(Measurement {
        name: kernel.name().into(),
        shape: kernel.shape(),
        seconds,
        gflops,
        gigabytes,
        fraction: (gflops / limits.gflops).max(gigabytes / limits.gigabytes),
        of_products,
    })
}

/// GFLOP/s of the plain products that `kernel` consists of, one after the other.
fn products(device: &dyn Device, kernel: &Kernel) -> Result<Option<f64>, DeviceError> {
    let (mut flops, mut time) = (0.0, 0.0);
    let mut before: Option<(Kernel, f64)> = None;
    for product in kernel.products() {
        let taken = match &before {
            Some((same, taken)) if *same == product => *taken,
            _ => seconds(device, &product)?,
        };
        flops += product.cost().flops as f64;
        time += taken;
        before = Some((product, taken));
    }
    Ok((time > 0.0).then(|| flops / time / 1e9))
}

/// Seconds per run of `kernel`, over many consecutive runs.
fn seconds(device: &dyn Device, kernel: &Kernel) -> Result<f64, DeviceError> {
    let sample = Sample::of(kernel);
    let (mut session, _) = load(device, &sample)?;
    fastest(&mut *session, &[sample.step])
}

/// Seconds per run of phase 0: the fastest of several series, each repeating `pattern`.
pub(crate) fn fastest(session: &mut dyn Session, pattern: &[StepRecord]) -> Result<f64, DeviceError> {
    fastest_of(&mut |count| {
        let steps: Vec<StepRecord> = pattern.iter().copied().cycle().take(count).collect();
        session.run(0, &steps)?;
        session.wait()
    })
}

/// Seconds of each of the things of which `of` does as many as it is told: the fastest of several series.
pub(crate) fn fastest_of<E>(of: &mut dyn FnMut(usize) -> Result<(), E>) -> Result<f64, E> {
    let mut run = |count: usize| -> Result<f64, E> {
        let start = Instant::now();
        of(count)?;
        Ok(start.elapsed().as_secs_f64())
    };
    // The first run lets pipelines, caches and clock rates settle.
    run(1)?;
    let mut count = 1;
    while count < MOST_RUNS && run(count)? < SERIES_SECONDS {
        count *= 2;
    }
    let mut best = f64::INFINITY;
    for _ in 0..SERIES {
        best = best.min(run(count)? / count as f64);
    }
    Ok(best.max(1e-12))
}

/// Four independent chains of 64 multiply-adds per element.
fn multiply_adds(elements: usize) -> Kernel {
    let shape = vec![elements];
    let mut body = Body::default();
    let load = Inst::Load { operand: 0, view: View::contiguous(&shape) };
    let start = body.push(load);
    let (factor, term) = (body.constant(0.999), body.constant(0.001));
    let mut chains = vec![];
    for chain in 0..4 {
        let offset = body.constant(chain as f32);
        chains.push(body.push(Inst::Binary(BinaryFn::Add, start, offset)));
    }
    for _ in 0..64 {
        for x in &mut chains {
            let product = body.push(Inst::Binary(BinaryFn::Mul, *x, factor));
            *x = body.push(Inst::Binary(BinaryFn::Add, product, term));
        }
    }
    let pairs = [(chains[0], chains[1]), (chains[2], chains[3])];
    let [left, right] = pairs.map(|(a, b)| body.push(Inst::Binary(BinaryFn::Add, a, b)));
    let sum = body.push(Inst::Binary(BinaryFn::Add, left, right));
    body.stores.push((sum, 0));
    Kernel::new(Pointwise { shape, body })
}

/// A copy of `elements` elements.
fn copy(elements: usize) -> Kernel {
    let shape = vec![elements];
    let mut body = Body::default();
    let load = Inst::Load { operand: 0, view: View::contiguous(&shape) };
    let x = body.push(load);
    body.stores.push((x, 0));
    Kernel::new(Pointwise { shape, body })
}
