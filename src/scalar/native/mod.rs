//! Scalar bodies on the CPU: a body is run over a chunk of elements at a time, one tight loop an instruction,
//! so that every loop vectorises whatever was fused.
//!
//! A body is prepared once for its iteration shape: values that are the same for all elements are computed
//! once a run, contiguous operands are used where they lie, and the other values share a few slots of scratch
//! memory that stay in the first-level cache.

mod functions;
mod load;
mod prepare;
pub mod rows;

use functions::Arg;
use load::Loader;

use super::{BinaryFn, RandomKind, StepRecord, StepScalar, UnaryFn};
use crate::rng;

/// Elements a chunk: the slots of a typical body stay in the first-level cache.
pub const CHUNK: usize = 512;

/// A body ready to run.
#[derive(Clone, Debug)]
pub struct NativeBody {
    /// Values that are the same for all elements, in order: one entry of [`Scratch::scalars`] each.
    scalars: Vec<NativeOp>,
    /// What is computed for each chunk, and the slot it goes to.
    ops: Vec<(usize, NativeOp)>,
    /// Slots in use.
    slots: usize,
    /// Stored values and the outputs they go to.
    stores: Vec<(Value, usize)>,
    /// What [`NativeBody::evaluate`] gives.
    result: Option<Value>,
}

/// Where a value is found.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    /// Entry of [`Scratch::scalars`].
    Scalar(usize),
    /// Entry of [`Scratch::slots`].
    Slot(usize),
    /// Element `offset + i` of a read operand for linear index `i`.
    Operand { operand: usize, offset: usize },
    /// The accumulator.
    Accumulator,
    /// The old value of an output.
    Previous(usize),
}

#[derive(Clone, Debug)]
enum NativeOp {
    Const(f32),
    Step(StepScalar),
    Load { operand: usize, loader: Loader },
    Random { kind: RandomKind, stream: u32 },
    Copy(Value),
    Unary(UnaryFn, Value),
    Binary(BinaryFn, Value, Value),
    Select(Value, Value, Value),
}

/// What a body reads besides its own values.
pub struct Inputs<'a> {
    /// Read operands.
    pub reads: &'a [&'a [f32]],
    /// The step.
    pub step: &'a StepRecord,
    /// `Accumulator` of the elements at hand: element 0 is the first of the range.
    pub accumulator: &'a [f32],
}

/// Memory of one thread for the values of a body.
#[derive(Default)]
pub struct Scratch {
    scalars: Vec<f32>,
    slots: Vec<Vec<f32>>,
}

/// Elements of a chunk.
#[derive(Clone, Copy)]
struct Chunk {
    /// Linear index of the first.
    start: usize,
    /// The same within the range being run.
    done: usize,
    count: usize,
}

impl NativeBody {
    /// Whether the body only stores the accumulator as it is in output 0.
    pub fn is_plain_copy(&self) -> bool {
        self.ops.is_empty() && self.stores == [(Value::Accumulator, 0)]
    }

    /// Whether the body stores to output `output`.
    pub fn stores_to(&self, output: usize) -> bool {
        self.stores.iter().any(|&(_, o)| o == output)
    }

    /// Runs the elements `start..start + len` of the iteration; `outputs` are the parts of the written operands
    /// for exactly these elements.
    pub fn run(
        &self,
        inputs: &Inputs,
        start: usize,
        len: usize,
        outputs: &mut [&mut [f32]],
        scratch: &mut Scratch,
    ) {
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                self.begin(inputs, scratch);
                for done in (0..len).step_by(CHUNK) {
                    let chunk = Chunk { start: start + done, done, count: CHUNK.min(len - done) };
                    self.chunk(inputs, chunk, outputs, scratch);
                    for &(value, output) in &self.stores {
                        // Old values of outputs were copied to slots when the body was prepared.
                        let arg = arg(value, inputs, chunk, &[], scratch);
                        functions::copy(arg, &mut outputs[output][done..done + chunk.count]);
                    }
                }
            },
        );
    }

    /// Computes the body's result for the elements `start..start + count` (at most [`CHUNK`]) and hands it to
    /// `consume`; stores nothing.
    pub fn evaluate(
        &self,
        inputs: &Inputs,
        start: usize,
        count: usize,
        scratch: &mut Scratch,
        consume: impl FnOnce(&[f32]),
    ) {
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                self.begin(inputs, scratch);
                let chunk = Chunk { start, done: 0, count };
                self.chunk(inputs, chunk, &[], scratch);
                let result = self.result.map(|value| arg(value, inputs, chunk, &[], scratch));
                if let Some(Arg::Slice(values)) = result {
                    consume(values);
                }
            },
        );
    }

    /// Makes room and computes the scalars.
    #[inline(always)]
    fn begin(&self, inputs: &Inputs, scratch: &mut Scratch) {
        while scratch.slots.len() < self.slots {
            scratch.slots.push(vec![0.0; CHUNK]);
        }
        scratch.scalars.clear();
        let one = Chunk { start: 0, done: 0, count: 1 };
        for op in &self.scalars {
            let mut value = [0.0];
            compute(op, inputs, one, &[], scratch, &mut value);
            scratch.scalars.push(value[0]);
        }
    }

    #[inline(always)]
    fn chunk(&self, inputs: &Inputs, chunk: Chunk, outputs: &[&mut [f32]], scratch: &mut Scratch) {
        for (slot, op) in &self.ops {
            // An operation never reads the slot it writes.
            let mut out = std::mem::take(&mut scratch.slots[*slot]);
            compute(op, inputs, chunk, outputs, scratch, &mut out[..chunk.count]);
            scratch.slots[*slot] = out;
        }
    }
}

#[inline(always)]
fn arg<'a>(
    value: Value,
    inputs: &Inputs<'a>,
    Chunk { start, done, count }: Chunk,
    outputs: &'a [&mut [f32]],
    scratch: &'a Scratch,
) -> Arg<'a> {
    match value {
        Value::Scalar(at) => Arg::Scalar(scratch.scalars[at]),
        Value::Slot(slot) => Arg::Slice(&scratch.slots[slot][..count]),
        Value::Operand { operand, offset } => {
            Arg::Slice(&inputs.reads[operand][offset + start..offset + start + count])
        }
        Value::Accumulator => Arg::Slice(&inputs.accumulator[done..done + count]),
        Value::Previous(output) => Arg::Slice(&outputs[output][done..done + count]),
    }
}

#[inline(always)]
fn compute(
    op: &NativeOp,
    inputs: &Inputs,
    chunk: Chunk,
    outputs: &[&mut [f32]],
    scratch: &Scratch,
    out: &mut [f32],
) {
    let arg = |value: Value| arg(value, inputs, chunk, outputs, scratch);
    match op {
        NativeOp::Const(value) => out.fill(*value),
        NativeOp::Step(scalar) => out.fill(inputs.step.scalar(*scalar)),
        NativeOp::Load { operand, loader } => loader.fill(inputs.reads[*operand], chunk.start, out),
        NativeOp::Random { kind, stream } => {
            rng::fill(*kind, inputs.step, *stream, chunk.start as u32, out);
        }
        NativeOp::Copy(a) => functions::copy(arg(*a), out),
        NativeOp::Unary(f, a) => functions::unary(*f, arg(*a), out),
        NativeOp::Binary(f, a, b) => functions::binary(*f, arg(*a), arg(*b), out),
        NativeOp::Select(c, a, b) => functions::select(arg(*c), arg(*a), arg(*b), out),
    }
}
