//! Scalar bodies on the CPU: a body is run over a chunk of elements at a time, one tight loop an instruction,
//! so that every loop vectorises whatever was fused.

mod functions;
mod load;
pub mod rows;

use load::Loader;

use super::{BinaryFn, Body, Inst, RandomKind, Reg, StepRecord, UnaryFn};
use crate::rng;

/// Elements a chunk: registers of a typical body stay in the first-level cache.
pub const CHUNK: usize = 256;

/// A body ready to run.
#[derive(Clone, Debug)]
pub struct NativeBody {
    ops: Vec<NativeOp>,
    stores: Vec<(Reg, usize)>,
}

#[derive(Clone, Debug)]
enum NativeOp {
    Load { operand: usize, loader: Loader },
    Accumulator,
    Previous { output: usize },
    Uniform(f32),
    Step(super::StepScalar),
    Random { kind: RandomKind, stream: u32 },
    Unary(UnaryFn, usize),
    Binary(BinaryFn, usize, usize),
    Select(usize, usize, usize),
}

/// What a body reads besides its own registers.
pub struct Inputs<'a> {
    /// Read operands.
    pub reads: &'a [&'a [f32]],
    /// The step.
    pub step: &'a StepRecord,
    /// `Accumulator` of the elements at hand: element 0 is the first of the range.
    pub accumulator: &'a [f32],
    /// Factor on the accumulator (gradient clipping), normally 1.
    pub scale: f32,
}

/// Registers of one thread.
#[derive(Default)]
pub struct Scratch {
    registers: Vec<f32>,
}

impl NativeBody {
    /// Prepares `body` over the iteration shape `shape`.
    pub fn new(body: &Body, shape: &[usize]) -> Self {
        let op = |inst: &Inst| match inst {
            Inst::Load { operand, view } => {
                NativeOp::Load { operand: *operand, loader: Loader::new(view, shape) }
            }
            Inst::Accumulator => NativeOp::Accumulator,
            Inst::Previous { output } => NativeOp::Previous { output: *output },
            Inst::Const(bits) => NativeOp::Uniform(f32::from_bits(*bits)),
            Inst::Step(scalar) => NativeOp::Step(*scalar),
            Inst::Random { kind, stream } => NativeOp::Random { kind: *kind, stream: *stream },
            Inst::Unary(f, a) => NativeOp::Unary(*f, *a as usize),
            Inst::Binary(f, a, b) => NativeOp::Binary(*f, *a as usize, *b as usize),
            Inst::Select(c, a, b) => NativeOp::Select(*c as usize, *a as usize, *b as usize),
        };
        Self { ops: body.insts.iter().map(op).collect(), stores: body.stores.clone() }
    }

    /// Whether the body only stores the accumulator as it is in output 0.
    pub fn is_plain_copy(&self) -> bool {
        matches!(self.ops[..], [NativeOp::Accumulator]) && self.stores == [(0, 0)]
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
        self.reserve(scratch);
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                let mut done = 0;
                while done < len {
                    let count = CHUNK.min(len - done);
                    self.chunk(inputs, start + done, done, count, outputs, &mut scratch.registers);
                    for &(register, output) in &self.stores {
                        let from = register as usize * CHUNK;
                        outputs[output][done..done + count]
                            .copy_from_slice(&scratch.registers[from..from + count]);
                    }
                    done += count;
                }
            },
        );
    }

    /// Computes register `value` for the elements `start..start + count` (at most [`CHUNK`]) and hands it to
    /// `consume`; stores nothing.
    pub fn evaluate(
        &self,
        inputs: &Inputs,
        value: Reg,
        start: usize,
        count: usize,
        scratch: &mut Scratch,
        consume: impl FnOnce(&[f32]),
    ) {
        self.reserve(scratch);
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                self.chunk(inputs, start, 0, count, &mut [], &mut scratch.registers);
                let from = value as usize * CHUNK;
                consume(&scratch.registers[from..from + count]);
            },
        );
    }

    fn reserve(&self, scratch: &mut Scratch) {
        if scratch.registers.len() < self.ops.len() * CHUNK {
            scratch.registers.resize(self.ops.len() * CHUNK, 0.0);
        }
    }

    #[inline(always)]
    fn chunk(
        &self,
        inputs: &Inputs,
        start: usize,
        done: usize,
        count: usize,
        outputs: &mut [&mut [f32]],
        registers: &mut [f32],
    ) {
        for (at, op) in self.ops.iter().enumerate() {
            let (before, rest) = registers.split_at_mut(at * CHUNK);
            let out = &mut rest[..count];
            let register = |r: usize| &before[r * CHUNK..r * CHUNK + count];
            match op {
                NativeOp::Load { operand, loader } => loader.fill(inputs.reads[*operand], start, out),
                NativeOp::Accumulator if inputs.scale == 1.0 => {
                    out.copy_from_slice(&inputs.accumulator[done..done + count]);
                }
                NativeOp::Accumulator => {
                    for (o, x) in out.iter_mut().zip(&inputs.accumulator[done..done + count]) {
                        *o = x * inputs.scale;
                    }
                }
                NativeOp::Previous { output } => out.copy_from_slice(&outputs[*output][done..done + count]),
                NativeOp::Uniform(value) => out.fill(*value),
                NativeOp::Step(scalar) => out.fill(inputs.step.scalar(*scalar)),
                NativeOp::Random { kind, stream } => {
                    for (i, o) in out.iter_mut().enumerate() {
                        *o = rng::element(*kind, inputs.step, *stream, (start + i) as u32);
                    }
                }
                NativeOp::Unary(f, a) => functions::unary(*f, register(*a), out),
                NativeOp::Binary(f, a, b) => functions::binary(*f, register(*a), register(*b), out),
                NativeOp::Select(c, a, b) => {
                    let operands = register(*c).iter().zip(register(*a)).zip(register(*b));
                    for (o, ((c, a), b)) in out.iter_mut().zip(operands) {
                        *o = if *c != 0.0 { *a } else { *b };
                    }
                }
            }
        }
    }
}
