//! The tensors that training changes: parameters and states.

use super::arrangement::Arrangement;
use super::init::Init;
use crate::base::tensor::Shape;

/// A trained tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// `state_dict` name.
    pub name: String,
    /// Shape.
    pub shape: Shape,
    /// Initialisation.
    pub init: Init,
    /// Whether weight decay applies.
    pub decay: bool,
    /// The order of its elements in memory.
    pub arrangement: Arrangement,
}

/// A tensor that training updates without a gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// `state_dict` name.
    pub name: String,
    /// Shape.
    pub shape: Shape,
    /// Initial value.
    pub initial: f32,
    /// The order of its elements in memory.
    pub arrangement: Arrangement,
}
