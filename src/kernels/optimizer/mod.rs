//! One dispatch that updates every parameter: a scalar body over the contiguous parameter region.

mod moments;
pub mod native;
mod oracle;
mod sample;
mod shader;

use super::native::NativeRun;
use super::oracle::Operands;
use super::samples::Family;
use super::shader::{Shader, ShaderError};
use super::signature::{Content, Signature};
use super::{Cost, KernelDef};
use crate::base::step::StepScalar;
use crate::base::target::Target;
use crate::oracle::Approx;
use crate::scalar::{BinaryFn, Body, Inst, Reg, View};

/// Reads: 0 the gradient region (`len` words); 1 the decay mask: one `f32` (0 or 1) per 64-word block of the
/// region; 2 (only if `clipped`) the two words of `GradientNorm`'s final stage, whose second word multiplies
/// each gradient; then (only if `grouped`) factors of the learning rate, one per block. Writes: 0 the parameter region, `1 + s` the region of state slot `s`, all `len` words.
///
/// The body runs once per word, over the iteration shape `[len]`: `Accumulator` is the (clipped) gradient,
/// `Previous{0}` the parameter, `Previous{1 + s}` state slot `s`, `Load{1}` the word's decay mask (its view
/// is not used), and the stores are the new values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Optimizer {
    /// Words of the parameter region; a multiple of [`Optimizer::BLOCK`].
    pub len: usize,
    /// State slots per parameter.
    pub slots: usize,
    /// Whether the gradient is multiplied by the clipping factor.
    pub clipped: bool,
    /// Whether blocks have learning rates of their own.
    pub grouped: bool,
    /// The update rule.
    pub body: Body,
    /// Words at which large tensors begin or end. Threads of a processor take the same part of each, which they have in their
    /// caches: the gradient of its rows, and the weights that they read next.
    pub cuts: Vec<usize>,
}

impl Optimizer {
    /// Parameters start at multiples of this many words, so that a block has one owner.
    pub const BLOCK: usize = 64;

    /// The rule with the learning rate of each block.
    fn grouped_body(&self) -> Body {
        if !self.grouped {
            return self.body.clone();
        }
        let mut body = Body::default();
        let mut registers: Vec<Reg> = vec![];
        for inst in &self.body.insts {
            let of = |register: &Reg| registers[*register as usize];
            let register = match inst {
                Inst::Step(StepScalar::LearningRate) => {
                    let rate = body.push(inst.clone());
                    let view = View { offset: 0, strides: vec![1], guards: vec![] };
                    let operand = 2 + usize::from(self.clipped);
                    let factor = body.push(Inst::Load { operand, view });
                    body.push(Inst::Binary(BinaryFn::Mul, rate, factor))
                }
                Inst::Unary(f, a) => body.push(Inst::Unary(*f, of(a))),
                Inst::Binary(f, a, b) => body.push(Inst::Binary(*f, of(a), of(b))),
                Inst::Select(c, a, b) => body.push(Inst::Select(of(c), of(a), of(b))),
                other => body.push(other.clone()),
            };
            registers.push(register);
        }
        body.stores = self.body.stores.iter().map(|&(r, output)| (registers[r as usize], output)).collect();
        body
    }

    /// The rule over `[blocks, BLOCK]`, with the clipping factor applied to the gradient: what devices run.
    pub fn whole_body(&self) -> Body {
        let mut body = Body::default();
        let mut gradient = body.push(Inst::Accumulator);
        if self.clipped {
            let view = View { offset: 1, strides: vec![0, 0], guards: vec![] };
            let factor = body.push(Inst::Load { operand: 2, view });
            gradient = body.push(Inst::Binary(BinaryFn::Mul, gradient, factor));
        }
        let mut registers: Vec<Reg> = vec![];
        let rule = self.grouped_body();
        for inst in &rule.insts {
            let of = |register: &Reg| registers[*register as usize];
            let register = match inst {
                Inst::Accumulator => gradient,
                Inst::Load { operand, .. } => {
                    let view = View { offset: 0, strides: vec![1, 0], guards: vec![] };
                    body.push(Inst::Load { operand: *operand, view })
                }
                Inst::Unary(f, a) => body.push(Inst::Unary(*f, of(a))),
                Inst::Binary(f, a, b) => body.push(Inst::Binary(*f, of(a), of(b))),
                Inst::Select(c, a, b) => body.push(Inst::Select(of(c), of(a), of(b))),
                other => body.push(other.clone()),
            };
            registers.push(register);
        }
        body.stores = rule.stores.iter().map(|&(r, output)| (registers[r as usize], output)).collect();
        body
    }
}

impl KernelDef for Optimizer {
    fn name(&self) -> &'static str {
        "optimizer"
    }

    fn shape(&self) -> String {
        let clipped = if self.clipped { ", clipped" } else { "" };
        let grouped = if self.grouped { ", own rates" } else { "" };
        format!("{} words, {} slots{clipped}{grouped}", self.len, self.slots)
    }

    fn cost(&self) -> Cost {
        let n = self.len as u64;
        Cost { flops: n * self.body.flops(), bytes: 4 * n * (3 + 2 * self.slots as u64) }
    }

    fn signature(&self) -> Signature {
        let mut reads = vec![(self.len, Content::Normal), (self.len / Self::BLOCK, Content::Switch)];
        if self.clipped {
            reads.push((2, Content::Positive));
        }
        if self.grouped {
            reads.push((self.len / Self::BLOCK, Content::Positive));
        }
        let mut signature = Signature::new(&reads, &vec![self.len; 1 + self.slots]);
        for (output, spec) in signature.writes.iter_mut().enumerate() {
            spec.updated = self.body.insts.contains(&Inst::Previous { output });
            if output > 0 {
                spec.content = Content::Positive;
            }
        }
        signature
    }

    fn iterations(&self, _target: &Target) -> usize {
        0
    }

    fn native(&self, exact: bool) -> Box<dyn NativeRun> {
        Box::new(native::NativeOptimizer::new(self, exact))
    }

    fn oracle(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        self.evaluate(operands, writes);
    }

    fn shader(&self, target: &Target) -> Result<Shader, ShaderError> {
        shader::optimizer(self, target)
    }

    fn samples() -> &'static [Family] {
        &[("optimizer", sample::optimizer)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::benchmarks()
    }
}
