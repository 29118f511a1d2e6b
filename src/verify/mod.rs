//! Agreement of a device with the reference: any graph is compiled, run once, and compared with its
//! evaluation in `f64`. Tests, `gridlight verify` and operator cases from other frameworks all use this
//! module.

pub mod cases;
pub mod kernels;

use std::collections::BTreeMap;

use crate::base::step::StepRecord;
use crate::base::tensor::{DType, Tensor};
use crate::device::{Device, DeviceError};
use crate::graph::ops::EvalContext;
use crate::graph::reference::{self, ReferenceError};
use crate::graph::{Graph, Op, Source, ValueId};
use crate::plan::{self, Entry, PlanError, ProgramSpec};

/// Why a comparison is not possible.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum VerifyError {
    /// The reference has no value.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The graph cannot be planned for this device.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// A graph, values for its sources (all [`Source::Parameter`]), and the values to compare.
#[derive(Clone, Debug)]
pub struct Case {
    /// Name for reports.
    pub name: String,
    /// The graph.
    pub graph: Graph,
    /// Values of the sources.
    pub bindings: BTreeMap<ValueId, Tensor>,
    /// The values to compare.
    pub outputs: Vec<ValueId>,
    /// The step whose random numbers are drawn.
    pub step: StepRecord,
    /// Magnitude of intermediate values: errors are measured relative to at least this. It matters where an
    /// output is a difference that cancels (the gradient of a softmax's sum is 0).
    pub magnitude: f64,
}

/// Result of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// Largest of `|device - reference| / (|reference| + rms(reference))` over all elements; infinite if one
    /// side is not finite and the other differs.
    pub max_relative_error: f64,
    /// Maximum allowed error.
    pub tolerance: f64,
}

impl Agreement {
    /// Whether the error is within the tolerance.
    pub fn passed(&self) -> bool {
        self.max_relative_error <= self.tolerance
    }
}

/// The bits of a value of type `dtype`.
pub fn to_word(value: f64, dtype: DType) -> u32 {
    match dtype {
        DType::F32 => (value as f32).to_bits(),
        DType::U32 => value as u32,
    }
}

/// The value of a word of type `dtype`.
pub fn from_word(word: u32, dtype: DType) -> f64 {
    match dtype {
        DType::F32 => f64::from(f32::from_bits(word)),
        DType::U32 => f64::from(word),
    }
}

/// Runs `case` on `device` and returns the outputs. Every buffer that is not an input is first filled with
/// NaN.
///
/// # Errors
/// If the graph cannot be planned or the device fails.
pub fn run(device: &dyn Device, case: &Case) -> Result<Vec<Tensor>, VerifyError> {
    let graph = &case.graph;
    let mut parameters = vec![];
    let mut values = vec![];
    for (i, node) in graph.nodes.iter().enumerate() {
        if let Op::Source(op) = &node.op
            && let (Source::Parameter(name), Some(value)) =
                (&op.source, case.bindings.get(&ValueId(i as u32)))
        {
            parameters.push(Entry { name: name.clone(), words: node.ty.elements(), decay: false });
            values.push((node.ty.dtype, value));
        }
    }
    let results = case.outputs.iter().enumerate().map(|(i, &v)| (format!("output {i}"), v)).collect();
    let spec = ProgramSpec::once("verify", (graph, 1), parameters, vec![], results);
    let compiled = plan::compile(&spec, device.target())?;
    let mut session = device.load(&compiled.program)?;
    for (at, buffer) in compiled.program.buffers.iter().enumerate() {
        session.write(plan::BufferId(at as u32), 0, &vec![f32::NAN.to_bits(); buffer.words])?;
    }
    for (slice, words) in &compiled.layout.constants {
        session.write(slice.buffer, slice.start, words)?;
    }
    for ((_, slice), (dtype, value)) in compiled.layout.parameters().zip(values) {
        let words: Vec<u32> = value.data.iter().map(|&x| to_word(x, dtype)).collect();
        session.write(slice.buffer, slice.start, &words)?;
    }
    session.run(0, &[StepRecord { slot: 0, batch_start: 0, ..case.step }])?;
    let mut outputs = vec![];
    for (result, &value) in compiled.layout.phases[0].results.iter().zip(&case.outputs) {
        let words = session.read(result.slice.buffer, result.slice.start, result.words)?;
        let ty = graph.ty(value);
        outputs.push(Tensor::new(ty.shape.clone(), words.iter().map(|&w| from_word(w, ty.dtype)).collect()));
    }
    Ok(outputs)
}

/// Compares `case` on `device` with the reference; inputs are rounded to the device's precision.
///
/// # Errors
/// If either side fails.
pub fn compare(device: &dyn Device, case: &Case, tolerance: f64) -> Result<Agreement, VerifyError> {
    let mut rounded = case.clone();
    for (value, tensor) in &mut rounded.bindings {
        let dtype = case.graph.ty(*value).dtype;
        for x in &mut tensor.data {
            *x = from_word(to_word(*x, dtype), dtype);
        }
    }
    let context = EvalContext { step: case.step };
    let expected = reference::evaluate(&case.graph, &rounded.bindings, &context, &case.outputs)?;
    let found = run(device, &rounded)?;
    let errors = expected.iter().zip(&found).map(|(e, f)| relative_error(&e.data, &f.data, case.magnitude));
    Ok(Agreement { max_relative_error: errors.fold(0.0, f64::max), tolerance })
}

/// Largest of `|found - expected| / (|expected| + max(rms(expected), magnitude))`; infinite if exactly one is
/// not finite or they are different infinities.
pub fn relative_error(expected: &[f64], found: &[f64], magnitude: f64) -> f64 {
    let finite: Vec<f64> = expected.iter().copied().filter(|x| x.is_finite()).collect();
    let rms = (finite.iter().map(|x| x * x).sum::<f64>() / finite.len().max(1) as f64).sqrt().max(magnitude);
    let error = |(&e, &f): (&f64, &f64)| {
        if e == f || (e.is_nan() && f.is_nan()) {
            0.0
        } else if !e.is_finite() || !f.is_finite() {
            f64::INFINITY
        } else {
            (f - e).abs() / (e.abs() + rms).max(f64::MIN_POSITIVE)
        }
    };
    expected.iter().zip(found).map(error).fold(0.0, f64::max)
}
