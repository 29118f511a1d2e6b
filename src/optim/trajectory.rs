//! Follows an update rule for tests: its body, evaluated in `f64`, against the definition of the optimizer.

use super::Optimizer;
use crate::base::step::StepScalar;
use crate::scalar::{Body, Inst};

/// The values that a rule stores for one parameter, in `f64`: the parameter, then its state slots.
fn apply(body: &Body, values: &[f64], gradient: f64, rate: f64, scalars: [f32; 4]) -> Vec<f64> {
    let mut registers: Vec<f64> = vec![];
    for inst in &body.insts {
        let of = |register: &u32| registers[*register as usize];
        registers.push(match inst {
            Inst::Accumulator => gradient,
            Inst::Previous { output } => values[*output],
            // The mask: decay applies.
            Inst::Load { .. } => 1.0,
            Inst::Const(bits) => f64::from(f32::from_bits(*bits)),
            Inst::Step(StepScalar::LearningRate) => rate,
            Inst::Step(StepScalar::Optimizer(at)) => f64::from(scalars[usize::from(*at)]),
            Inst::Unary(f, a) => f.eval(of(a)),
            Inst::Binary(f, a, c) => f.eval(of(a), of(c)),
            other => panic!("{other:?} in an update rule"),
        });
    }
    let mut after = values.to_vec();
    for &(register, output) in &body.stores {
        after[output] = registers[register as usize];
    }
    after
}

/// Asserts that 200 steps of a rule on a slope follow `definition`, which is given the step (from 1), the
/// parameter, and the gradient there, and returns the parameter after the step. The rate is `rate`.
pub(super) fn follow(
    optimizer: impl Into<Optimizer>,
    rate: f64,
    mut definition: impl FnMut(u64, f64, f64) -> f64,
) {
    let optimizer = optimizer.into();
    assert_eq!(optimizer.problem(), None);
    let body = optimizer.body();
    let mut values = vec![0.7; 1];
    values.resize(1 + optimizer.slots(), 0.0);
    let mut p = 0.7;
    for step in 1..=200 {
        let slope = |p: f64| 2.0 * (p - 0.2) + (step as f64).sin();
        values = apply(&body, &values, slope(values[0]), rate, optimizer.scalars(step));
        p = definition(step, p, slope(p));
        // The rule's constants and scalars are in single precision.
        assert!((values[0] - p).abs() < 2e-6, "step {step}: {} and {p}", values[0]);
    }
    assert!((p - 0.7).abs() > 1e-3, "the parameter did not move");
}
