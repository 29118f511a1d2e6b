//! Building blocks of update rules, and checks of their hyper-parameters.

use crate::base::step::StepScalar;
use crate::scalar::{BinaryFn, Body, Inst, Reg, UnaryFn, View};

/// The body of an update rule under construction.
pub(super) struct Builder {
    pub body: Body,
    /// The gradient, after clipping.
    pub gradient: Reg,
    /// The parameter before the step.
    pub parameter: Reg,
    /// Learning rate of the step.
    pub rate: Reg,
}

impl Builder {
    pub fn new() -> Self {
        let mut body = Body::default();
        let gradient = body.push(Inst::Accumulator);
        let parameter = body.push(Inst::Previous { output: 0 });
        let rate = body.push(Inst::Step(StepScalar::LearningRate));
        Self { body, gradient, parameter, rate }
    }

    /// `f(x)`
    pub fn unary(&mut self, f: UnaryFn, x: Reg) -> Reg {
        self.body.push(Inst::Unary(f, x))
    }

    /// `f(a, b)`
    pub fn binary(&mut self, f: BinaryFn, a: Reg, b: Reg) -> Reg {
        self.body.push(Inst::Binary(f, a, b))
    }

    /// A scalar of the step.
    pub fn step(&mut self, scalar: StepScalar) -> Reg {
        self.body.push(Inst::Step(scalar))
    }

    /// `factor * x`
    pub fn scale(&mut self, x: Reg, factor: f64) -> Reg {
        let factor = self.body.constant(factor as f32);
        self.binary(BinaryFn::Mul, x, factor)
    }

    /// `amount` where weight decay applies, else 0.
    pub fn masked(&mut self, amount: f64) -> Reg {
        let view = View { offset: 0, strides: vec![1], guards: vec![] };
        let mask = self.body.push(Inst::Load { operand: 1, view });
        self.scale(mask, amount)
    }

    /// The gradient of the loss plus the L2 penalty.
    pub fn with_decay(&mut self, weight_decay: f64) -> Reg {
        if weight_decay == 0.0 {
            return self.gradient;
        }
        let decay = self.masked(weight_decay);
        let penalty = self.binary(BinaryFn::Mul, decay, self.parameter);
        self.binary(BinaryFn::Add, self.gradient, penalty)
    }

    /// The parameter, less `rate * weight_decay` of itself where decay applies.
    pub fn shrunk(&mut self, weight_decay: f64) -> Reg {
        let decay = self.masked(weight_decay);
        let shrink = self.binary(BinaryFn::Mul, self.rate, decay);
        let part = self.binary(BinaryFn::Mul, shrink, self.parameter);
        self.binary(BinaryFn::Sub, self.parameter, part)
    }

    /// State slot `slot` before the step.
    pub fn state(&mut self, slot: usize) -> Reg {
        self.body.push(Inst::Previous { output: slot })
    }

    /// Stores `value` in state slot `slot`.
    pub fn keep(&mut self, value: Reg, slot: usize) {
        self.body.stores.push((value, slot));
    }

    /// `state = decay * state + (1 - decay) * x`, in slot `slot`.
    pub fn running(&mut self, slot: usize, x: Reg, decay: f64) -> Reg {
        let old = self.body.push(Inst::Previous { output: slot });
        let kept = self.scale(old, decay);
        let new = self.scale(x, 1.0 - decay);
        let state = self.binary(BinaryFn::Add, kept, new);
        self.body.stores.push((state, slot));
        state
    }

    /// The rule that subtracts `learning rate * update` from `parameter`.
    pub fn descend(mut self, parameter: Reg, update: Reg) -> Body {
        let change = self.binary(BinaryFn::Mul, self.rate, update);
        let new = self.binary(BinaryFn::Sub, parameter, change);
        self.body.stores.push((new, 0));
        self.body
    }
}

/// The rule that subtracts `learning rate * gradient`.
pub(crate) fn descent() -> Body {
    let b = Builder::new();
    let (parameter, gradient) = (b.parameter, b.gradient);
    b.descend(parameter, gradient)
}

/// A hyper-parameter and what is wrong with it.
pub type Problem = (&'static str, String);

/// What is wrong with a number that must be in `0..1`.
pub(super) fn part(key: &'static str, x: f64) -> Option<Problem> {
    (!(0.0..1.0).contains(&x)).then(|| (key, format!("{x} must be at least 0 and below 1")))
}

/// What is wrong with a number that must be above 0.
pub(super) fn positive(key: &'static str, x: f64) -> Option<Problem> {
    (!(x > 0.0 && x.is_finite())).then(|| (key, format!("{x} is not above 0")))
}

/// What is wrong with a number that must not be below 0.
pub(super) fn at_least_0(key: &'static str, x: f64) -> Option<Problem> {
    (!(x >= 0.0 && x.is_finite())).then(|| (key, format!("{x} is below 0")))
}

/// `1 - beta^step`: the weight missing from a running mean that started at 0, after `step` steps.
pub(super) fn correction(beta: f64, step: u64) -> f64 {
    1.0 - beta.powi(i32::try_from(step).unwrap_or(i32::MAX))
}
