//! Fused elementwise body over one iteration shape.

pub mod native;
pub(in crate::kernels) mod oracle;
mod sample;
mod shader;

use super::native::NativeRun;
use super::oracle::Operands;
use super::samples::Family;
use super::shader::{Shader, ShaderError};
use super::signature::Signature;
use super::{Cost, KernelDef};
use crate::base::target::Target;
use crate::base::tensor::{Shape, elements};
use crate::oracle::Approx;
use crate::scalar::Body;

/// Computes `body` for every index of `shape`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pointwise {
    /// Iteration shape.
    pub shape: Shape,
    /// Loads, arithmetic, stores.
    pub body: Body,
}

impl KernelDef for Pointwise {
    fn name(&self) -> &'static str {
        "pointwise"
    }

    fn shape(&self) -> String {
        format!("{:?} {} ops", self.shape, self.body.flops())
    }

    fn cost(&self) -> Cost {
        let n = elements(&self.shape) as u64;
        Cost { flops: n * self.body.flops(), bytes: super::body_bytes(&self.body, &self.shape) }
    }

    fn signature(&self) -> Signature {
        let mut signature = Signature::default();
        signature.add_body(&self.body, &self.shape);
        signature
    }

    fn bodies(&self) -> Vec<&Body> {
        vec![&self.body]
    }

    fn iterations(&self, _target: &Target) -> usize {
        0
    }

    fn native(&self, exact: bool) -> Box<dyn NativeRun> {
        Box::new(native::NativePointwise::new(self, exact))
    }

    fn oracle(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        self.evaluate(operands, writes);
    }

    fn shader(&self, target: &Target) -> Result<Shader, ShaderError> {
        shader::pointwise(self, target)
    }

    fn samples() -> &'static [Family] {
        &[("pointwise", sample::pointwise)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::benchmarks()
    }
}
