//! Adam and AdamW on the CPU: one loop instead of one for each instruction of the rule's body, of which a network with
//! small batches spends a third of its time.
//!
//! The loop is taken where the body is found to be their formula, and has the bits of that body as
//! long as all numbers are normal. Subnormal ones become zero, because they take processors many times as long.

use pulp::{Simd, WithSimd};

use super::Optimizer;
use crate::base::step::{StepRecord, StepScalar};
use crate::scalar::native::maths::multiply_add_vectors;
use crate::scalar::native::vectors::vectorised;
use crate::scalar::{BinaryFn, Body, Inst, Reg, UnaryFn};

const BLOCK: usize = Optimizer::BLOCK;

/// The numbers of a rule that descends along a running mean divided by a running root mean square.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Moments {
    /// What is kept of the running mean and what is added of the gradient.
    mean: [f32; 2],
    /// The same of the running mean square.
    square: [f32; 2],
    /// Added to the denominator.
    eps: f32,
    /// Gradients below this count as zero: what their squares add is subnormal.
    least: f32,
    /// How weights decay.
    decay: Decay,
}

#[derive(Clone, Debug, PartialEq)]
enum Decay {
    None,
    /// Part of the gradient, as in Adam.
    Gradient(f32),
    /// Of the parameter itself, as in AdamW.
    Parameter(f32),
}

impl Moments {
    /// The numbers of a kernel's rule, if it is the formula of Adam or AdamW. Kernels in which a body adds up other products
    /// first are left to it: those with rates for blocks, and those with both clipping and a penalty.
    pub fn of(kernel: &Optimizer) -> Option<Self> {
        let moments = Self::of_body(&kernel.body).filter(|_| !kernel.grouped)?;
        (!kernel.clipped || !matches!(moments.decay, Decay::Gradient(_))).then_some(moments)
    }

    fn of_body(body: &Body) -> Option<Self> {
        let find = |output| body.stores.iter().find(|store| store.1 == output).map(|store| store.0);
        let b = Reader(body);
        let [parameter, mean, square] = [find(0)?, find(1)?, find(2)?];
        if body.stores.len() != 3 {
            return None;
        }
        let (before, change) = b.binary(BinaryFn::Sub, parameter)?;
        let (rate, update) = b.binary(BinaryFn::Mul, change)?;
        b.is(rate, &Inst::Step(StepScalar::LearningRate))?;
        let (corrected, denominator) = b.binary(BinaryFn::Div, update)?;
        let (numerator, correction) = b.binary(BinaryFn::Mul, corrected)?;
        b.is(correction, &Inst::Step(StepScalar::Optimizer(0)))?;
        let (root, eps) = b.binary(BinaryFn::Add, denominator)?;
        let (root, correction) = b.binary(BinaryFn::Mul, root)?;
        b.is(correction, &Inst::Step(StepScalar::Optimizer(1)))?;
        if numerator != mean || b.unary(UnaryFn::Sqrt, root)? != square {
            return None;
        }
        let (gradient, mean) = b.running(1, mean)?;
        let (squared, square) = b.running(2, square)?;
        if b.unary(UnaryFn::Square, squared)? != gradient {
            return None;
        }
        let parameter = Inst::Previous { output: 0 };
        let decay = if let Some((accumulator, penalty)) = b.binary(BinaryFn::Add, gradient) {
            b.is(accumulator, &Inst::Accumulator)?;
            b.is(before, &parameter)?;
            let (amount, of) = b.binary(BinaryFn::Mul, penalty)?;
            b.is(of, &parameter)?;
            Decay::Gradient(b.masked(amount)?)
        } else {
            b.is(gradient, &Inst::Accumulator)?;
            match b.binary(BinaryFn::Sub, before) {
                Some((whole, part)) => {
                    b.is(whole, &parameter)?;
                    let (shrink, of) = b.binary(BinaryFn::Mul, part)?;
                    b.is(of, &parameter)?;
                    let (rate, amount) = b.binary(BinaryFn::Mul, shrink)?;
                    b.is(rate, &Inst::Step(StepScalar::LearningRate))?;
                    Decay::Parameter(b.masked(amount)?)
                }
                None => b.is(before, &parameter).map(|()| Decay::None)?,
            }
        };
        let least = (f32::MIN_POSITIVE / square[1]).sqrt();
        Some(Self { mean, square, eps: b.constant(eps)?, least, decay })
    }

    /// Updates whole blocks of `[parameters, means, squares]`: `mask` has a number for each block, and every gradient is
    /// multiplied by `factor`, if there is one.
    pub fn run(
        &self,
        step: &StepRecord,
        gradients: &[f32],
        mask: &[f32],
        factor: Option<f32>,
        regions: [&mut [f32]; 3],
    ) {
        vectorised(Update { rule: self, step, gradients, mask, factor, regions });
    }
}

/// Takes a body apart.
struct Reader<'a>(&'a Body);

impl Reader<'_> {
    fn inst(&self, register: Reg) -> &Inst {
        &self.0.insts[register as usize]
    }

    fn is(&self, register: Reg, inst: &Inst) -> Option<()> {
        (self.inst(register) == inst).then_some(())
    }

    fn constant(&self, register: Reg) -> Option<f32> {
        match self.inst(register) {
            Inst::Const(bits) => Some(f32::from_bits(*bits)),
            _ => None,
        }
    }

    fn unary(&self, f: UnaryFn, register: Reg) -> Option<Reg> {
        match self.inst(register) {
            Inst::Unary(found, x) if *found == f => Some(*x),
            _ => None,
        }
    }

    fn binary(&self, f: BinaryFn, register: Reg) -> Option<(Reg, Reg)> {
        match self.inst(register) {
            Inst::Binary(found, a, b) if *found == f => Some((*a, *b)),
            _ => None,
        }
    }

    /// `x` and the two factors of `state * kept + x * added`.
    fn running(&self, slot: usize, register: Reg) -> Option<(Reg, [f32; 2])> {
        let (kept, new) = self.binary(BinaryFn::Add, register)?;
        let (old, kept) = self.binary(BinaryFn::Mul, kept)?;
        self.is(old, &Inst::Previous { output: slot })?;
        let (x, added) = self.binary(BinaryFn::Mul, new)?;
        Some((x, [self.constant(kept)?, self.constant(added)?]))
    }

    /// The amount where decay applies.
    fn masked(&self, register: Reg) -> Option<f32> {
        let (mask, amount) = self.binary(BinaryFn::Mul, register)?;
        matches!(self.inst(mask), Inst::Load { operand: 1, .. }).then(|| self.constant(amount))?
    }
}

struct Update<'a> {
    rule: &'a Moments,
    step: &'a StepRecord,
    gradients: &'a [f32],
    mask: &'a [f32],
    factor: Option<f32>,
    regions: [&'a mut [f32]; 3],
}

impl WithSimd for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.rule.decay {
            Decay::None => self.blocks(simd, |_| 0.0, |p, g, _| (p, g)),
            Decay::Gradient(amount) => {
                self.blocks(
                    simd,
                    |mask| mask * amount,
                    |p, g, part| (p, multiply_add_vectors(simd, part, p, g)),
                );
            }
            Decay::Parameter(amount) => {
                let rate = self.step.scalar(StepScalar::LearningRate);
                let shrink = |mask: f32| -(rate * (mask * amount));
                self.blocks(simd, shrink, |p, g, part| (multiply_add_vectors(simd, part, p, p), g));
            }
        }
    }
}

impl Update<'_> {
    /// All blocks: `decayed` gets a parameter, its gradient, and the number that `decay` makes of the block's mask.
    #[inline(always)]
    fn blocks<S: Simd>(
        self,
        simd: S,
        decay: impl Fn(f32) -> f32,
        decayed: impl Fn(S::f32s, S::f32s, S::f32s) -> (S::f32s, S::f32s),
    ) {
        let Self { rule, step, gradients, mask, factor, regions: [parameters, means, squares] } = self;
        let all = |x: f32| simd.splat_f32s(x);
        let smallest = all(f32::MIN_POSITIVE);
        // `x`, or zero if it is less than `least`: what is subnormal, as means of gradients that have become zero would be
        // for good.
        let or_zero = |x: S::f32s, least: S::f32s| {
            simd.select_f32s(simd.less_than_f32s(simd.abs_f32s(x), least), all(0.0), x)
        };
        let (least, eps, factor) = (all(rule.least), all(rule.eps), all(factor.unwrap_or(1.0)));
        let ([kept, added], [kept_square, added_square]) = (rule.mean.map(all), rule.square.map(all));
        let [of_mean, of_root] = [0, 1].map(|i| all(step.scalar(StepScalar::Optimizer(i))));
        let rate = all(-step.scalar(StepScalar::LearningRate));
        let blocks = parameters.chunks_exact_mut(BLOCK).zip(means.chunks_exact_mut(BLOCK));
        let blocks = blocks.zip(squares.chunks_exact_mut(BLOCK)).zip(gradients.chunks_exact(BLOCK));
        for ((((parameters, means), squares), gradients), mask) in blocks.zip(mask) {
            let part = all(decay(*mask));
            let states = S::as_mut_simd_f32s(means).0.iter_mut().zip(S::as_mut_simd_f32s(squares).0);
            let values = S::as_mut_simd_f32s(parameters).0.iter_mut().zip(S::as_simd_f32s(gradients).0);
            for ((parameter, gradient), (mean, square)) in values.zip(states) {
                let gradient = simd.mul_f32s(*gradient, factor);
                let (before, gradient) = decayed(*parameter, gradient, part);
                let g = or_zero(gradient, least);
                let new = simd.mul_f32s(g, added);
                *mean = or_zero(multiply_add_vectors(simd, *mean, kept, new), smallest);
                let new = simd.mul_f32s(simd.mul_f32s(g, g), added_square);
                *square = or_zero(multiply_add_vectors(simd, *square, kept_square, new), smallest);
                let denominator = multiply_add_vectors(simd, simd.sqrt_f32s(*square), of_root, eps);
                let update = simd.div_f32s(simd.mul_f32s(*mean, of_mean), denominator);
                *parameter = multiply_add_vectors(simd, rate, update, before);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::{Adam, AdamW, Optimizer as Rule, RmsProp, Sgd};
    use crate::scalar::native::{Inputs, NativeBody, Scratch};

    #[test]
    fn only_adam_and_adamw_are_taken_for_what_they_are() {
        let found = |rule: Rule| Moments::of_body(&rule.body()).map(|moments| moments.decay);
        assert_eq!(found(Adam::default().into()), Some(Decay::None));
        let penalty = Adam { weight_decay: 0.25, ..Adam::default() };
        assert_eq!(found(penalty.into()), Some(Decay::Gradient(0.25)));
        // One constant for two purposes.
        let betas = [0.9, 0.99];
        let shared = AdamW { weight_decay: f64::from((1.0 - betas[0]) as f32), betas, ..AdamW::default() };
        assert_eq!(found(shared.into()), Some(Decay::Parameter(0.1)));
        assert_eq!(found(Sgd { momentum: 0.9, ..Sgd::default() }.into()), None);
        assert_eq!(found(RmsProp::default().into()), None);
        for name in Rule::NAMES {
            let rule = Rule::named(name).unwrap();
            assert_eq!(found(rule).is_some(), ["adam", "adamw"].contains(name), "{name}");
        }
    }

    #[test]
    fn the_loop_has_the_bits_of_the_body() {
        let step =
            StepRecord { learning_rate: 0.01, optimizer: [1.7, 1.3, 0.0, 0.0], ..StepRecord::default() };
        let values =
            |seed: u32| (0..5 * BLOCK as u32).map(move |i| ((i * 97 + seed) % 1009) as f32 / 400.0 - 1.2);
        let adam = |weight_decay| Rule::from(Adam { weight_decay, ..Adam::default() });
        for rule in [adam(0.0), adam(0.3), AdamW { weight_decay: 0.2, ..AdamW::default() }.into()] {
            for factor in [None, Some(0.3)] {
                let (body, slots, clipped) = (rule.body(), 2, factor.is_some());
                let kernel = Optimizer { len: 5 * BLOCK, slots, clipped, grouped: false, body, cuts: vec![] };
                let Some(moments) = Moments::of(&kernel) else {
                    assert!(clipped && matches!(&rule, Rule::Adam(Adam { weight_decay: 0.3, .. })));
                    continue;
                };
                let gradients: Vec<f32> = values(3).collect();
                let mask = [1.0, 0.0, 1.0, 1.0, 0.0];
                let begin = [values(1).collect(), values(2).collect(), values(4).map(|x| x * x).collect()];
                let mut one: [Vec<f32>; 3] = begin.clone();
                moments.run(&step, &gradients, &mask, factor, one.each_mut().map(|v| &mut v[..]));
                let mut other = begin.clone();
                let body = NativeBody::new(&kernel.whole_body(), &[5, BLOCK]);
                let factors = [1.0, factor.unwrap_or(1.0)];
                let inputs =
                    Inputs { reads: &[&gradients, &mask, &factors], step: &step, accumulator: &gradients };
                let mut outputs = other.each_mut().map(|v| &mut v[..]);
                body.run(&inputs, 0, kernel.len, &mut outputs, &mut Scratch::default());
                let bits = |all: &[Vec<f32>; 3]| {
                    all.each_ref().map(|v| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
                };
                assert_eq!(bits(&one), bits(&other), "{rule:?}, {factor:?}");
                assert_ne!(bits(&one), bits(&begin));
            }
        }
    }
}
