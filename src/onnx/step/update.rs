//! The update of trained tensors: clipping, the rule of the optimizer, and trust ratios.

use super::refuse;
use crate::base::step::StepScalar;
use crate::onnx::builder::Builder;
use crate::onnx::emit::{binary, unary};
use crate::onnx::proto::element;
use crate::optim::{Adapts, descent};
use crate::scalar::{Body, Inst};
use crate::train::config::TrainConfig;
use crate::train::{TrainError, groups};

/// A tensor to update.
pub struct Tensor {
    /// Its name, which is that of the input.
    pub name: String,
    /// Its gradient.
    pub gradient: String,
    /// The names of the optimizer's state for it.
    pub slots: Vec<String>,
    /// Its weight decay.
    pub decay: f32,
    /// Its learning rate, as a multiple of the step's.
    pub rate: f32,
}

/// What an update rule reads.
struct Operands<'a> {
    gradient: &'a str,
    /// What a rule writes, as it was before: the parameter, then the state.
    previous: &'a [String],
    decay: f32,
    rate: &'a str,
    scalars: &'a [String],
}

/// Each tensor and the optimizer's state for it, after the step.
///
/// # Errors
/// If the rule reads something that has no form here.
pub fn write(
    b: &mut Builder,
    train: &TrainConfig,
    tensors: &[Tensor],
    rate: &str,
    scalars: &[String],
) -> Result<Vec<(String, Vec<String>)>, TrainError> {
    let clip = train.clip_norm.map(|most| clipping(b, tensors, most as f32));
    // Each tensor has its own weight decay, which the rule multiplies by 1.
    let body = groups::rule(&train.optimizer).body();
    let mut updated = vec![];
    for tensor in tensors {
        let gradient = match &clip {
            Some(factor) => b.two("Mul", &tensor.gradient, factor),
            None => tensor.gradient.clone(),
        };
        let rate = match tensor.rate {
            1.0 => rate.to_string(),
            factor => {
                let factor = b.number(factor);
                b.two("Mul", rate, &factor)
            }
        };
        let previous: Vec<String> = std::iter::once(&tensor.name).chain(&tensor.slots).cloned().collect();
        let (gradient, previous) = (&gradient, &previous);
        let operands = Operands { gradient, previous, decay: tensor.decay, rate: &rate, scalars };
        let mut found = apply(b, &body, &operands)?;
        if let Some(adapts) = train.optimizer.adapts() {
            let adapting = match adapts {
                Adapts::None => false,
                Adapts::Decayed => tensor.decay > 0.0,
                Adapts::All => true,
            };
            let Some(step) = found.pop() else { continue };
            let step = if adapting { trusted(b, &tensor.name, &step) } else { step };
            let operands = Operands { gradient: &step, ..operands };
            found[0] = apply(b, &descent(), &operands)?.swap_remove(0);
        }
        let parameter = found.remove(0);
        updated.push((parameter, found));
    }
    Ok(updated)
}

/// `min(1, most / (norm + 1e-6))` of the norm of all gradients.
fn clipping(b: &mut Builder, tensors: &[Tensor], most: f32) -> String {
    let squares: Vec<String> = tensors.iter().map(|tensor| squares(b, &tensor.gradient)).collect();
    let mut all = squares.iter();
    let first = all.next().cloned().unwrap_or_else(|| b.number(0.0));
    let sum = all.fold(first, |sum, square| b.two("Add", &sum, square));
    let norm = b.one("Sqrt", &sum);
    let [least, one, most] = [1e-6, 1.0, most].map(|x| b.number(x));
    let divisor = b.two("Add", &norm, &least);
    let factor = b.two("Div", &most, &divisor);
    b.two("Min", &factor, &one)
}

/// The sum of the squares of all elements, a scalar.
fn squares(b: &mut Builder, x: &str) -> String {
    let square = b.two("Mul", x, x);
    b.node("ReduceSum", &[&square], vec![super::super::builder::int("keepdims", 0)])
}

/// A step scaled to the size of the weights; as it is where one of the two is 0.
fn trusted(b: &mut Builder, weights: &str, step: &str) -> String {
    let [of_weights, of_step] = [weights, step].map(|x| {
        let sum = squares(b, x);
        b.one("Sqrt", &sum)
    });
    let [zero, one] = [0.0, 1.0].map(|x| b.number(x));
    let mut ratio = b.two("Div", &of_weights, &of_step);
    for norm in [&of_weights, &of_step] {
        let positive = b.two("Less", &zero, norm);
        ratio = b.node("Where", &[&positive, &ratio, &one], vec![]);
    }
    b.two("Mul", step, &ratio)
}

/// What a rule stores, in the order of where it stores it; what it leaves is as it was.
fn apply(b: &mut Builder, body: &Body, operands: &Operands) -> Result<Vec<String>, TrainError> {
    let mut registers: Vec<String> = vec![];
    for inst in &body.insts {
        let of = |register: &u32| registers[*register as usize].clone();
        let unknown = || refuse("reads something of its device", "`train.optimizer`");
        let name = match inst {
            Inst::Accumulator => operands.gradient.to_string(),
            Inst::Previous { output } => operands.previous.get(*output).cloned().ok_or_else(unknown)?,
            Inst::Const(bits) => b.number(f32::from_bits(*bits)),
            Inst::Step(StepScalar::LearningRate) => operands.rate.to_string(),
            Inst::Step(StepScalar::Optimizer(at)) => {
                operands.scalars.get(usize::from(*at)).cloned().ok_or_else(unknown)?
            }
            Inst::Load { operand: 1, .. } => b.number(operands.decay),
            Inst::Unary(f, x) => unary(b, *f, &of(x)),
            Inst::Binary(f, x, y) => {
                let (x, y) = (of(x), of(y));
                binary(b, *f, [&x, &y]).0
            }
            Inst::Select(condition, x, y) => {
                let truth = b.cast(&of(condition), element::BOOL);
                b.node("Where", &[&truth, &of(x), &of(y)], vec![])
            }
            Inst::Step(StepScalar::LossWeight) | Inst::Load { .. } | Inst::Random { .. } => {
                return Err(unknown());
            }
        };
        registers.push(name);
    }
    let most = body.stores.iter().map(|&(_, output)| output + 1).max().unwrap_or(0);
    let mut stored: Vec<String> = operands.previous.to_vec();
    stored.resize(most.max(stored.len()), String::new());
    for &(register, output) in &body.stores {
        stored[output].clone_from(&registers[register as usize]);
    }
    Ok(stored)
}
