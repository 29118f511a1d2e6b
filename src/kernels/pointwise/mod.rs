//! Fused elementwise body over one iteration shape.

pub mod native;

use super::Cost;
use crate::base::tensor::{Shape, elements};
use crate::scalar::Body;

/// Computes `body` for every index of `shape`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pointwise {
    /// Iteration shape.
    pub shape: Shape,
    /// Loads, arithmetic, stores.
    pub body: Body,
}

impl Pointwise {
    /// For people.
    pub fn shape(&self) -> String {
        format!("{:?} {} ops", self.shape, self.body.flops())
    }

    /// Cost.
    pub fn cost(&self) -> Cost {
        let n = elements(&self.shape) as u64;
        Cost { flops: n * self.body.flops(), bytes: super::body_bytes(&self.body, &self.shape) }
    }
}
