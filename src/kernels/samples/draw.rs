//! Random numbers, views and scalar bodies for samples.

use super::{Operand, Sample};
use crate::base::rng;
use crate::base::rng::RandomKind;
use crate::base::step::{StepRecord, StepScalar};
use crate::base::tensor::elements;
use crate::kernels::{Kernel, KernelDef};
use crate::scalar::{BinaryFn, Body, Inst, Reg, UnaryFn, View};

/// A sequence of random draws.
pub struct Draw {
    seed: [u32; 2],
    next: u32,
}

impl Draw {
    /// Elements of the larger operands: enough to exercise every path, few enough for the oracle.
    pub(in crate::kernels) const LIMIT: usize = 20_000;

    /// Sequence `seed` of a family. It depends on the name, so that families do not change each other's
    /// samples.
    pub fn new(family: &str, seed: u32) -> Self {
        // FNV-1a.
        let hash = family.bytes().fold(0x811c_9dc5, |h: u32, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
        Self { seed: [seed, hash], next: 0 }
    }

    /// A kernel with its operands.
    pub(in crate::kernels) fn sample(
        &mut self,
        kernel: impl KernelDef,
        reads: Vec<Operand>,
        writes: Vec<Operand>,
    ) -> Sample {
        Sample { kernel: Kernel::new(kernel), reads, writes, step: self.step() }
    }

    /// The previous contents of output 0 if a body reads them (which is then its first instruction), else
    /// NaN.
    pub(in crate::kernels) fn output(&mut self, len: usize, start: &mut Vec<Inst>) -> Operand {
        if self.one_in(4) {
            start.push(Inst::Previous { output: 0 });
            return self.floats(len);
        }
        Operand::unwritten(len)
    }

    fn word(&mut self) -> u32 {
        self.next += 1;
        rng::word(self.seed, 0, 0, self.next)
    }

    /// A number in `0..limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        ((u64::from(self.word()) * limit as u64) >> 32) as usize
    }

    /// True once in `n` draws on average.
    pub(in crate::kernels) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(in crate::kernels) fn choice<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// An extent near the thresholds of the kernels.
    pub(in crate::kernels) fn extent(&mut self) -> usize {
        self.choice(&[1, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 128, 257])
    }

    /// A shape with `rank` extents and at most `limit` elements.
    pub(in crate::kernels) fn shape(&mut self, rank: usize, limit: usize) -> Vec<usize> {
        let mut left = limit;
        let mut shape = vec![];
        for _ in 0..rank {
            shape.push(self.extent().min(left));
            left = (left / shape[shape.len() - 1]).max(1);
        }
        shape
    }

    /// Standard normal numbers.
    pub(in crate::kernels) fn normals(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| rng::normal(self.word())).collect()
    }

    pub(in crate::kernels) fn floats(&mut self, len: usize) -> Operand {
        Operand::Floats(self.normals(len))
    }

    /// Integers in `0..limit`.
    pub(in crate::kernels) fn integers(&mut self, len: usize, limit: usize) -> Operand {
        Operand::Integers((0..len).map(|_| self.below(limit) as u32).collect())
    }

    /// Any words.
    pub(in crate::kernels) fn words(&mut self, len: usize) -> Operand {
        Operand::Integers((0..len).map(|_| self.word()).collect())
    }

    /// A step with plausible scalars.
    fn step(&mut self) -> StepRecord {
        let step = self.below(1000) as u32;
        StepRecord {
            step,
            micro_batch: step % 3,
            seed_low: self.word(),
            seed_high: self.word(),
            learning_rate: 0.01,
            optimizer: [1.5, 1.25, 0.5, 2.0],
            loss_weight: 0.75,
            ..StepRecord::default()
        }
    }

    /// A view over `shape`, and the number of elements its operand must have.
    fn view(&mut self, shape: &[usize]) -> (View, usize) {
        let rank = shape.len();
        let mut order: Vec<usize> = (0..rank).collect();
        let kind = self.below(5);
        if kind == 1 {
            // A transposed operand.
            for last in (1..rank).rev() {
                order.swap(last, self.below(last + 1));
            }
        }
        let repeated: Vec<bool> = (0..rank).map(|_| kind == 2 && self.one_in(2)).collect();
        let step = if kind == 3 { 2 } else { 1 };
        let mut strides = vec![0; rank];
        let mut next = step;
        for &d in order.iter().rev() {
            if !repeated[d] {
                strides[d] = next as isize;
                next *= shape[d];
            }
        }
        let mut offset = if kind == 3 { 5 } else { 0 };
        let mut guards = vec![];
        if kind == 4 && rank > 0 {
            // A padded operand: the first elements along a dimension do not exist.
            let d = self.below(rank);
            let first = self.below(shape[d] + 1);
            guards.push((d, first, shape[d]));
            offset -= first as isize * strides[d];
        }
        let reach: isize = shape.iter().zip(&strides).map(|(&n, &s)| (n as isize - 1) * s).sum();
        (View { offset, strides, guards }, (offset + reach + 1).max(1) as usize)
    }

    /// A random body over `shape`. Loads refer to new operands at the end of `reads`; `start` are values it
    /// uses. Returns the body, which stores nothing, and its last register.
    pub(in crate::kernels) fn body(
        &mut self,
        shape: &[usize],
        start: &[Inst],
        reads: &mut Vec<Operand>,
    ) -> (Body, Reg) {
        let mut body = Body::default();
        let mut known: Vec<Reg> = start.iter().map(|inst| body.push(inst.clone())).collect();
        for _ in 0..1 + self.below(2) {
            let (view, len) = self.view(shape);
            let operand = reads.len();
            reads.push(self.floats(len));
            known.push(body.push(Inst::Load { operand, view }));
        }
        if self.one_in(3) {
            known.push(body.push(Inst::Step(self.choice(&[
                StepScalar::LearningRate,
                StepScalar::Optimizer(2),
                StepScalar::LossWeight,
            ]))));
        }
        if self.one_in(3) && elements(shape) > 0 {
            let kind = self.choice(&[
                RandomKind::Uniform,
                RandomKind::Normal,
                RandomKind::Mask { threshold: 3 << 30 },
            ]);
            known.push(body.push(Inst::Random { kind, stream: self.below(9) as u32 }));
        }
        for _ in 0..1 + self.below(5) {
            let (a, b) = (self.choice(&known), self.choice(&known));
            let next = self.operation(&mut body, a, b);
            known.push(next);
        }
        // Use every value.
        let first = known[0];
        let last = known.iter().skip(1).fold(first, |sum, &x| body.push(Inst::Binary(BinaryFn::Add, sum, x)));
        (body, last)
    }

    /// A function of `a` and `b`, with operands kept where it is defined and does not overflow.
    fn operation(&mut self, body: &mut Body, a: Reg, b: Reg) -> Reg {
        use {BinaryFn as B, UnaryFn as U};
        match self.below(6) {
            0 | 1 => {
                let f = self.choice(&[B::Add, B::Sub, B::Min, B::Max, B::Less, B::LessEqual, B::Equal]);
                body.push(Inst::Binary(f, a, b))
            }
            2 => {
                let factor = body.push(Inst::Unary(U::Tanh, b));
                body.push(Inst::Binary(B::Mul, a, factor))
            }
            3 => {
                let half = body.constant(0.5);
                let magnitude = body.push(Inst::Unary(U::Abs, b));
                let positive = body.push(Inst::Binary(B::Add, magnitude, half));
                let f = self.choice(&[U::Log, U::Log1p, U::Sqrt, U::Reciprocal]);
                let y = body.push(Inst::Unary(f, positive));
                if self.one_in(2) { body.push(Inst::Binary(B::Div, a, positive)) } else { y }
            }
            4 => {
                let small = body.push(Inst::Unary(U::Tanh, a));
                let f = self.choice(&[U::Exp, U::ExpM1, U::Square]);
                let y = body.push(Inst::Unary(f, small));
                let condition = body.push(Inst::Binary(B::Less, a, b));
                body.push(Inst::Select(condition, y, b))
            }
            _ => {
                let plain = [U::Neg, U::Abs, U::Sign, U::Tanh, U::Sigmoid, U::Relu];
                let f = if self.one_in(2) {
                    self.choice(&plain)
                } else {
                    self.choice(&[U::Gelu, U::Silu, U::Softplus, U::Erf])
                };
                body.push(Inst::Unary(f, a))
            }
        }
    }
}
