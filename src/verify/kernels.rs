//! Single kernels on a device against the oracle.

use serde::Serialize;

use crate::base::number::Number;
use crate::device::{Device, DeviceError, Session};
use crate::kernels::oracle::{self, Operands};
use crate::kernels::samples::{Operand, Sample};
use crate::oracle::Approx;
use crate::plan::{BufferClass, BufferId, BufferSpec, Dispatch, Phase, Program, Slice};

/// The element of a kernel's outputs that is furthest off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worst {
    /// Its error in units of the allowed error; at most 1 is right.
    pub excess: f64,
    /// Which output.
    pub output: usize,
    /// Which element.
    pub element: usize,
    /// What the device gave.
    pub found: f64,
    /// What the oracle gave.
    pub expected: Approx,
}

/// A program that runs nothing but the sample's kernel, each operand in a buffer of its own, reads first.
pub fn program(sample: &Sample) -> Program {
    let mut program = Program::default();
    let mut place = |name: &str, words: usize| {
        let buffer = BufferId(program.buffers.len() as u32);
        let (name, class) = (format!("{name} {}", buffer.0), BufferClass::Activations);
        program.buffers.push(BufferSpec { name, class, words: words.next_multiple_of(64) });
        Slice { buffer, start: 0, words }
    };
    let reads = sample.reads.iter().map(|r| place("read", r.words().len())).collect();
    let writes = sample.writes.iter().map(|w| place("write", w.words().len())).collect();
    let dispatch = Dispatch { kernel: sample.kernel.clone(), reads, writes, label: String::new(), launch: 0 };
    program.phases.push(Phase { name: "kernel".into(), dispatches: vec![dispatch] });
    program
}

/// Loads the sample's program and fills its operands; phase 0 runs the kernel.
///
/// # Errors
/// If the device fails.
pub fn load(device: &dyn Device, sample: &Sample) -> Result<(Box<dyn Session>, Program), DeviceError> {
    let program = program(sample);
    let mut session = device.load(&program)?;
    let dispatch = &program.phases[0].dispatches[0];
    let slices = dispatch.reads.iter().chain(&dispatch.writes);
    for (slice, operand) in slices.zip(sample.reads.iter().chain(&sample.writes)) {
        session.write(slice.buffer, 0, &operand.words())?;
    }
    Ok((session, program))
}

/// Runs the sample and gives the words of its outputs.
///
/// # Errors
/// If the device fails.
pub fn run(device: &dyn Device, sample: &Sample) -> Result<Vec<Vec<u32>>, DeviceError> {
    let (mut session, program) = load(device, sample)?;
    session.run(0, &[sample.step])?;
    let writes = &program.phases[0].dispatches[0].writes;
    writes.iter().map(|slice| session.read(slice.buffer, 0, slice.words)).collect()
}

/// What the oracle gives for the sample's outputs.
fn expected(sample: &Sample) -> Vec<Vec<Approx>> {
    let numbers = |operands: &[Operand]| operands.iter().map(Operand::numbers).collect::<Vec<_>>();
    let (reads, previous) = (numbers(&sample.reads), numbers(&sample.writes));
    oracle::evaluate(&sample.kernel, &Operands { reads: &reads, previous: &previous, step: &sample.step })
}

/// Runs the sample and compares every element of its outputs.
///
/// # Errors
/// If the device fails.
pub fn compare(device: &dyn Device, sample: &Sample) -> Result<Worst, DeviceError> {
    let outputs = run(device, sample)?;
    let expected = expected(sample);
    let mut worst = Worst { excess: -1.0, output: 0, element: 0, found: 0.0, expected: Approx::default() };
    for (output, (words, expected)) in outputs.iter().zip(&expected).enumerate() {
        let before = &sample.writes[output];
        for (element, (word, &expected)) in words.iter().zip(expected).enumerate() {
            let found = before.number(*word);
            let excess = expected.excess(found);
            // An error that is not a number is the worst of all.
            if excess > worst.excess || excess.is_nan() {
                let excess = if excess.is_nan() { f64::INFINITY } else { excess };
                worst = Worst { excess, output, element, found, expected };
            }
        }
    }
    Ok(worst)
}

/// How one kernel agrees with the oracle, for reports.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KernelCheck {
    /// Kernel family.
    pub name: String,
    /// Sizes.
    pub shape: String,
    /// `|device - oracle| / (|oracle| + rms(oracle))` of the element that comes nearest the error it may have, or exceeds it
    /// most.
    pub max_relative_error: Number,
    /// The same measure of the error that this element may have.
    pub tolerance: Number,
    /// Whether every element is as near the oracle as its own bound asks.
    pub passed: bool,
}

/// Runs the sample and reports how it compares.
///
/// # Errors
/// If the device fails.
pub fn check(device: &dyn Device, sample: &Sample) -> Result<KernelCheck, DeviceError> {
    let outputs = run(device, sample)?;
    // Of the element that comes nearest its bound, or exceeds it most.
    let (mut worst, mut largest, mut tolerance) = (-1.0, 0.0f64, 0.0f64);
    for ((words, expected), before) in outputs.iter().zip(&expected(sample)).zip(&sample.writes) {
        let finite: Vec<f64> = expected.iter().map(|e| e.value).filter(|x| x.is_finite()).collect();
        let rms = (finite.iter().map(|x| x * x).sum::<f64>() / finite.len().max(1) as f64).sqrt();
        for (word, e) in words.iter().zip(expected) {
            let found = before.number(*word);
            let excess = e.excess(found);
            if excess <= worst {
                continue;
            }
            worst = if excess.is_nan() { f64::INFINITY } else { excess };
            let scale = (e.value.abs() + rms).max(f64::from(f32::MIN_POSITIVE));
            let error = (found - e.value).abs() / scale;
            // Where both are not finite there is no error; where only one is, it has no bound.
            (largest, tolerance) = match (excess == 0.0, error.is_finite()) {
                (true, _) => (0.0, e.error / scale),
                (false, true) => (error, e.error / scale),
                (false, false) => (f64::INFINITY, tolerance),
            };
        }
    }
    Ok(KernelCheck {
        name: sample.kernel.name().into(),
        shape: sample.kernel.shape(),
        max_relative_error: Number(largest),
        tolerance: Number(tolerance),
        passed: worst <= 1.0,
    })
}
