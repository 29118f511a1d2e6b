//! Groups of parameters that are trained otherwise than the rest: with a learning rate or a weight decay of their own.

use crate::nn::patterns::Patterns;
use crate::optim::Optimizer;

/// Parameters that are trained otherwise; the last group that a parameter is of counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Their names.
    pub names: Patterns,
    /// Their learning rate, as a multiple of the step's.
    pub rate: f64,
    /// Their weight decay, if it is not the optimizer's.
    pub weight_decay: Option<f64>,
}

/// The group that a parameter is of.
fn of<'g>(groups: &'g [Group], name: &str) -> Option<&'g Group> {
    groups.iter().rev().find(|group| group.names.matches(name))
}

/// The learning rate of a parameter, as a multiple of the step's.
pub fn rate(groups: &[Group], name: &str) -> f32 {
    of(groups, name).map_or(1.0, |group| group.rate as f32)
}

/// Whether parameters have weight decays of their own, so that the update rule is [`rule`].
pub fn have_decays(groups: &[Group]) -> bool {
    groups.iter().any(|group| group.weight_decay.is_some())
}

/// The weight decay of a parameter to which weight decay applies.
pub fn weight_decay(groups: &[Group], optimizer: &Optimizer, name: &str) -> f32 {
    of(groups, name).and_then(|group| group.weight_decay).unwrap_or(optimizer.weight_decay()) as f32
}

/// The optimizer whose rule multiplies weight decays of parameters by 1.
pub fn rule(optimizer: &Optimizer) -> Optimizer {
    optimizer.with_weight_decay(1.0)
}
