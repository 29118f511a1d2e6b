//! Single kernels on a device against the oracle.

use crate::device::{Device, DeviceError};
use crate::kernels::oracle::{self, Approx, Operands};
use crate::kernels::samples::Sample;
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
    let dispatch = Dispatch { kernel: sample.kernel.clone(), reads, writes, label: String::new() };
    program.phases.push(Phase { name: "kernel".into(), dispatches: vec![dispatch] });
    program
}

/// Runs the sample and gives the words of its outputs.
///
/// # Errors
/// If the device fails.
pub fn run(device: &dyn Device, sample: &Sample) -> Result<Vec<Vec<u32>>, DeviceError> {
    let program = program(sample);
    let mut session = device.load(&program)?;
    let dispatch = &program.phases[0].dispatches[0];
    for (slice, operand) in dispatch.reads.iter().zip(&sample.reads) {
        session.write(slice.buffer, 0, &operand.words())?;
    }
    for (slice, operand) in dispatch.writes.iter().zip(&sample.writes) {
        session.write(slice.buffer, 0, &operand.words())?;
    }
    session.run(0, &[sample.step])?;
    dispatch.writes.iter().map(|slice| session.read(slice.buffer, 0, slice.words)).collect()
}

/// Runs the sample and compares every element of its outputs.
///
/// # Errors
/// If the device fails.
pub fn compare(device: &dyn Device, sample: &Sample) -> Result<Worst, DeviceError> {
    let outputs = run(device, sample)?;
    let numbers = |operands: &[crate::kernels::samples::Operand]| -> Vec<Vec<f64>> {
        operands.iter().map(|o| o.numbers()).collect()
    };
    let (reads, previous) = (numbers(&sample.reads), numbers(&sample.writes));
    let operands = Operands { reads: &reads, previous: &previous, step: &sample.step };
    let expected = oracle::evaluate(&sample.kernel, &operands);
    let mut worst = Worst { excess: -1.0, output: 0, element: 0, found: 0.0, expected: Approx::default() };
    for (output, (words, expected)) in outputs.iter().zip(&expected).enumerate() {
        for (element, (word, &expected)) in words.iter().zip(expected).enumerate() {
            let found = f64::from(f32::from_bits(*word));
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
