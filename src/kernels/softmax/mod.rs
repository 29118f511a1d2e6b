//! Softmax and log-softmax over the last axis: `[rows, columns] -> [rows, columns]`.

pub mod native;
mod oracle;
mod sample;
mod shader;

use super::native::NativeRun;
use super::oracle::Operands;
use super::samples::Family;
use super::shader::rows::row_lanes;
use super::shader::{Shader, ShaderError};
use super::signature::{Content, Signature};
use super::{Cost, KernelDef};
use crate::base::target::Target;
use crate::oracle::Approx;

/// Read 0: logits `[rows, columns]`; write 0: the result, same shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Softmax {
    /// Independent rows.
    pub rows: usize,
    /// Elements normalised together.
    pub columns: usize,
    /// Give `x - logsumexp(x)` instead of its exponential.
    pub log: bool,
}

impl KernelDef for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn shape(&self) -> String {
        format!("{}x{}{}", self.rows, self.columns, if self.log { " log" } else { "" })
    }

    fn cost(&self) -> Cost {
        let n = (self.rows * self.columns) as u64;
        Cost { flops: 5 * n, bytes: 8 * n }
    }

    fn signature(&self) -> Signature {
        let words = self.rows * self.columns;
        Signature::new(&[(words, Content::Normal)], &[words])
    }

    fn iterations(&self, target: &Target) -> usize {
        3 * self.columns.div_ceil(row_lanes(self.columns, target)) + 256
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

    fn shader(&self, target: &Target) -> Result<Shader, ShaderError> {
        shader::softmax(self, target)
    }

    fn samples() -> &'static [Family] {
        &[("softmax", sample::softmax)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::benchmarks()
    }
}
