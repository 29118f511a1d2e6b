//! Scalar bodies on the CPU: a body runs over a chunk of elements at a time, one tight loop per instruction,
//! so that every loop vectorises regardless of what was fused.
//!
//! A body is prepared once for its iteration shape: values that are the same for all elements are computed
//! once per run, contiguous operands are used in place, and the other values share a few slots of scratch
//! memory that stay in the L1 cache.

mod load;
mod loops;
pub(crate) mod maths;
mod prepare;
pub mod rows;
pub(crate) mod vectors;

use load::Loader;
use loops::Sum;
pub(in crate::scalar) use loops::{Arg, map};
use pulp::{Simd, WithSimd};
use vectors::vectorised;

use super::{BinaryFn, UnaryFn};
use crate::base::rng;
use crate::base::rng::RandomKind;
use crate::base::step::{StepRecord, StepScalar};

/// Elements per chunk: small enough that the slots of a typical body stay in the L1 cache.
pub const CHUNK: usize = 512;

/// A body ready to run.
#[derive(Clone, Debug)]
pub struct NativeBody {
    /// Values that are the same for all elements, in order: each is computed in its slot before the first
    /// chunk and becomes an entry of [`Scratch::scalars`].
    scalars: Vec<(usize, NativeOp)>,
    /// What is computed for each chunk, and the slot it goes to.
    ops: Vec<(usize, NativeOp)>,
    /// Number of slots in use.
    slots: usize,
    /// The output that takes the value of the last of `ops` as it is computed.
    last: Option<usize>,
    /// The other stored values and the outputs they go to.
    stores: Vec<(Value, usize)>,
    /// The value that [`NativeBody::evaluate`] returns.
    result: Option<Value>,
    /// Whether every operation has the same bits on every device.
    exact: bool,
}

/// Location of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    /// Entry of [`Scratch::scalars`].
    Scalar(usize),
    /// Entry of [`Scratch::slots`].
    Slot(usize),
    /// Element `offset + i` of a read operand at linear index `i`.
    Operand { operand: usize, offset: usize },
    /// The accumulator.
    Accumulator,
    /// The previous value of an output.
    Previous(usize),
    /// A product computed where it is added to something; exists only while a body is prepared.
    Product(usize),
}

#[derive(Clone, Debug)]
enum NativeOp {
    Const(f32),
    Step(StepScalar),
    Load {
        operand: usize,
        loader: Loader,
    },
    Random {
        kind: RandomKind,
        stream: u32,
        /// Elements drawn for a batch.
        count: usize,
    },
    Copy(Value),
    Unary(UnaryFn, Value),
    Binary(BinaryFn, Value, Value),
    /// The product of the first two, combined with the third.
    MultiplyAdd(Sum, Value, Value, Value),
    Select(Value, Value, Value),
}

/// The inputs of a body.
pub struct Inputs<'a> {
    /// Read operands.
    pub reads: &'a [&'a [f32]],
    /// The step record.
    pub step: &'a StepRecord,
    /// The `Accumulator` values of the range; element 0 is the first of the range.
    pub accumulator: &'a [f32],
}

/// One thread's memory for the values of a body.
#[derive(Default)]
pub struct Scratch {
    scalars: Vec<f32>,
    slots: Vec<Vec<f32>>,
}

/// A chunk of elements.
#[derive(Clone, Copy)]
struct Chunk {
    /// Linear index of the first element.
    start: usize,
    /// The same index within the range being run.
    done: usize,
    count: usize,
}

impl NativeBody {
    /// Sets whether the body computes the same bits as on every other device.
    pub fn exact(self, exact: bool) -> Self {
        Self { exact, ..self }
    }

    /// Whether the body only copies the accumulator to output 0.
    pub fn is_plain_copy(&self) -> bool {
        self.ops.is_empty() && self.stores == [(Value::Accumulator, 0)]
    }

    /// Whether the body stores to output `output`.
    pub fn stores_to(&self, output: usize) -> bool {
        self.last == Some(output) || self.stores.iter().any(|&(_, o)| o == output)
    }

    /// Runs elements `start..start + len` of the iteration; `outputs` are the parts of the written operands
    /// for exactly these elements.
    pub fn run(
        &self,
        inputs: &Inputs,
        start: usize,
        len: usize,
        outputs: &mut [&mut [f32]],
        scratch: &mut Scratch,
    ) {
        self.begin(inputs, scratch);
        for done in (0..len).step_by(CHUNK) {
            let chunk = Chunk { start: start + done, done, count: CHUNK.min(len - done) };
            self.compute(&self.ops, self.last, inputs, chunk, outputs, scratch);
            for &(value, output) in &self.stores {
                // Old values of outputs were copied to slots when the body was prepared.
                let context = Context { inputs, chunk, outputs: &[], scratch, exact: self.exact };
                loops::copy(context.arg(value), &mut outputs[output][done..done + chunk.count]);
            }
        }
    }

    /// The body's result for the elements `start..start + count` (at most [`CHUNK`]); stores nothing.
    pub fn evaluate<'a>(
        &self,
        inputs: &'a Inputs,
        start: usize,
        count: usize,
        scratch: &'a mut Scratch,
    ) -> &'a [f32] {
        self.begin(inputs, scratch);
        let chunk = Chunk { start, done: 0, count };
        self.compute(&self.ops, None, inputs, chunk, &mut [], scratch);
        let context = Context { inputs, chunk, outputs: &[], scratch, exact: self.exact };
        match self.result.map(|value| context.arg(value)) {
            Some(Arg::Slice(values)) => values,
            // Results are prepared as slices.
            Some(Arg::Scalar(_)) | None => &[],
        }
    }

    /// Makes room and computes the scalars.
    fn begin(&self, inputs: &Inputs, scratch: &mut Scratch) {
        while scratch.slots.len() < self.slots {
            scratch.slots.push(vec![0.0; CHUNK]);
        }
        scratch.scalars.clear();
        let one = Chunk { start: 0, done: 0, count: 1 };
        for scalar in &self.scalars {
            self.compute(std::slice::from_ref(scalar), None, inputs, one, &mut [], scratch);
            scratch.scalars.push(scratch.slots[scalar.0][0]);
        }
    }

    fn compute(
        &self,
        ops: &[(usize, NativeOp)],
        last: Option<usize>,
        inputs: &Inputs,
        chunk: Chunk,
        outputs: &mut [&mut [f32]],
        scratch: &mut Scratch,
    ) {
        let exact = self.exact;
        vectorised(Operations { ops, last, inputs, chunk, outputs, scratch, exact });
    }
}

/// Operations over a chunk. With the loops of all functions this is much code, compiled once for each width
/// of vectors: whatever runs a body calls it, and is itself no part of a dispatch that would get a copy of
/// its own.
struct Operations<'a, 'b> {
    ops: &'a [(usize, NativeOp)],
    last: Option<usize>,
    inputs: &'a Inputs<'a>,
    chunk: Chunk,
    outputs: &'a mut [&'b mut [f32]],
    scratch: &'a mut Scratch,
    exact: bool,
}

impl WithSimd for Operations<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Operations { ops, last, inputs, chunk, outputs, scratch, exact } = self;
        for (at, (slot, op)) in ops.iter().enumerate() {
            // An operation never reads the slot or output it writes.
            let output = last.filter(|_| at + 1 == ops.len());
            let mut value = std::mem::take(&mut scratch.slots[*slot]);
            let stored = output.map(|output| std::mem::take(&mut outputs[output])).unwrap_or_default();
            let context = Context { inputs, chunk, outputs, scratch, exact };
            let out = match output {
                Some(_) => &mut stored[chunk.done..chunk.done + chunk.count],
                None => &mut value[..chunk.count],
            };
            context.compute::<S>(op, out);
            if let Some(output) = output {
                outputs[output] = stored;
            }
            scratch.slots[*slot] = value;
        }
    }
}

/// The inputs of a chunk's operations.
struct Context<'a, 'b> {
    inputs: &'a Inputs<'a>,
    chunk: Chunk,
    outputs: &'a [&'b mut [f32]],
    scratch: &'a Scratch,
    exact: bool,
}

impl<'a> Context<'a, '_> {
    #[inline(always)]
    fn arg(&self, value: Value) -> Arg<'a> {
        let Chunk { start, done, count } = self.chunk;
        match value {
            Value::Scalar(at) => Arg::Scalar(self.scratch.scalars[at]),
            Value::Slot(slot) => Arg::Slice(&self.scratch.slots[slot][..count]),
            Value::Operand { operand, offset } => {
                Arg::Slice(&self.inputs.reads[operand][offset + start..offset + start + count])
            }
            Value::Accumulator => Arg::Slice(&self.inputs.accumulator[done..done + count]),
            Value::Previous(output) => Arg::Slice(&self.outputs[output][done..done + count]),
            Value::Product(_) => Arg::Slice(&[]),
        }
    }

    #[inline(always)]
    fn compute<S: Simd>(&self, op: &NativeOp, out: &mut [f32]) {
        let step = self.inputs.step;
        match op {
            NativeOp::Const(value) => out.fill(*value),
            NativeOp::Step(scalar) => out.fill(step.scalar(*scalar)),
            NativeOp::Load { operand, loader } => {
                loader.fill(self.inputs.reads[*operand], self.chunk.start, out);
            }
            NativeOp::Random { kind, stream, count } => {
                rng::fill(*kind, step, *stream, step.element(self.chunk.start, *count), out);
            }
            NativeOp::Copy(a) => loops::copy(self.arg(*a), out),
            NativeOp::Unary(f, a) if self.exact => loops::exact_unary(*f, self.arg(*a), out),
            NativeOp::Binary(f, a, b) if self.exact => {
                loops::exact_binary(*f, self.arg(*a), self.arg(*b), out);
            }
            NativeOp::MultiplyAdd(sum, a, b, c) if self.exact => {
                loops::exact_multiply_add(*sum, self.arg(*a), self.arg(*b), self.arg(*c), out);
            }
            NativeOp::MultiplyAdd(sum, a, b, c) => {
                loops::multiply_add_all::<S>(*sum, self.arg(*a), self.arg(*b), self.arg(*c), out);
            }
            NativeOp::Unary(f, a) => f.map::<S>(self.arg(*a), out),
            NativeOp::Binary(f, a, b) => loops::binary(*f, self.arg(*a), self.arg(*b), out),
            NativeOp::Select(c, a, b) => loops::select(self.arg(*c), self.arg(*a), self.arg(*b), out),
        }
    }
}
