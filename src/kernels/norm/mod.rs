//! Global gradient norm: partial sums of squares, then the clipping factor.

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
use crate::base::target::Target;
use crate::oracle::Approx;

/// Two dispatches share this description, told apart by `partials`.
///
/// Partial stage (`stage == 0`): read 0 the gradient region (`len` words); write 0: `ceil(len / CHUNK)` sums
/// of squares, one per `CHUNK` words. Final stage (`stage == 1`): read 0 those sums; write 0: two words, the
/// norm and `min(1, max_norm / (norm + 1e-6))` (PyTorch's `clip_grad_norm_`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GradientNorm {
    /// Words of the gradient region.
    pub len: usize,
    /// 0: partial sums; 1: norm and factor.
    pub stage: u32,
    /// Largest norm, by bits.
    pub max_norm: u32,
}

impl GradientNorm {
    /// Words summed by one partial.
    pub const CHUNK: usize = 1024;

    /// Number of partial sums.
    pub fn partials(&self) -> usize {
        self.len.div_ceil(Self::CHUNK).max(1)
    }
}

impl KernelDef for GradientNorm {
    fn name(&self) -> &'static str {
        "gradient_norm"
    }

    fn shape(&self) -> String {
        let stage = if self.stage == 0 { "squares" } else { "factor" };
        format!("{} {stage}", self.len)
    }

    fn cost(&self) -> Cost {
        let n = if self.stage == 0 { self.len } else { self.partials() } as u64;
        Cost { flops: 2 * n, bytes: 4 * n }
    }

    fn signature(&self) -> Signature {
        match self.stage {
            0 => Signature::new(&[(self.len, Content::Normal)], &[self.partials()]),
            _ => Signature::new(&[(self.partials(), Content::Positive)], &[2]),
        }
    }

    fn iterations(&self, _target: &Target) -> usize {
        if self.stage == 1 { self.partials() } else { Self::CHUNK }
    }

    fn native(&self, exact: bool) -> Box<dyn NativeRun> {
        match exact {
            true => Box::new(native::Exact(self.clone())),
            false => Box::new(self.clone()),
        }
    }

    fn oracle(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        self.evaluate(operands, writes);
    }

    fn shader(&self, _target: &Target) -> Result<Shader, ShaderError> {
        shader::gradient_norm(self)
    }

    fn samples() -> &'static [Family] {
        &[("gradient_norm", sample::gradient_norm)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::benchmarks()
    }
}
