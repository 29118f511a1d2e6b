//! Softmax cross-entropy of integer labels: loss of each row and its gradient, in one kernel.
//!
//! With class weights `w`, smoothing `s` and `C` classes, PyTorch's `CrossEntropyLoss(reduction="none")`:
//! `loss = (1-s) * w[t] * -logp[t] + s/C * sum_c w[c] * -logp[c]`, and
//! `delta[c] = dloss/dlogits[c] = p[c] * W - q[c]` with `q[c] = w[c] * ((1-s)*[c==t] + s/C)`,
//! `W = sum_c q[c]`. A label outside `0..C` gives loss NaN and delta NaN.

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
use super::{Cost, Kernel, KernelDef};
use crate::base::target::Target;
use crate::oracle::Approx;

/// Reads: logits `[rows, classes]`, labels `u32[rows]`, weights `[classes]`. Writes (each optional, see
/// [`CrossEntropy::loss`] and [`CrossEntropy::delta`]): loss `[rows]`, delta `[rows, classes]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CrossEntropy {
    /// Rows.
    pub rows: usize,
    /// Classes.
    pub classes: usize,
    /// Label smoothing in `[0, 1)`, by bits.
    pub smoothing: u32,
    /// Position in `writes` of the loss, if wanted.
    pub loss: Option<usize>,
    /// Position in `writes` of the gradient, if wanted.
    pub delta: Option<usize>,
}

impl KernelDef for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn shape(&self) -> String {
        let gradient = if self.delta.is_some() { " +gradient" } else { "" };
        format!("{}x{}{gradient}", self.rows, self.classes)
    }

    fn cost(&self) -> Cost {
        let n = (self.rows * self.classes) as u64;
        let delta = if self.delta.is_some() { 2 } else { 1 };
        Cost { flops: 6 * n, bytes: 4 * (delta * n + 2 * self.rows as u64) }
    }

    fn signature(&self) -> Signature {
        let logits = self.rows * self.classes;
        let labels = Content::Index { below: self.classes };
        let reads = [(logits, Content::Normal), (self.rows, labels), (self.classes, Content::Positive)];
        let mut signature = Signature::new(&reads, &[]);
        signature.add_outputs(&[self.loss, self.delta], &[self.rows, logits]);
        signature
    }

    fn keep_outputs(&self, outputs: &[usize]) -> Option<Kernel> {
        let at = |output: usize| outputs.iter().position(|&o| o == output);
        Some(Kernel::new(Self { loss: at(0), delta: at(1), ..self.clone() }))
    }

    fn iterations(&self, target: &Target) -> usize {
        4 * self.classes.div_ceil(row_lanes(self.classes, target)) + 512
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
        shader::cross_entropy(self, target)
    }

    fn samples() -> &'static [Family] {
        &[("cross_entropy", sample::cross_entropy)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::benchmarks()
    }
}
