//! Rows of a table by index (embedding), and the gradient for the table.

pub mod native;
mod oracle;
mod sample;
mod shader;

use super::native::NativeRun;
use super::oracle::Operands;
use super::samples::Family;
use super::shader::{Shader, ShaderError};
use super::signature::{Content, Signature};
use super::{Cost, Kernel, KernelDef};
use crate::base::target::Target;
use crate::oracle::Approx;
use crate::scalar::Body;

/// Reads: table `[vocabulary, width]`, indices `u32[count]`; write 0: `[count, width]`.
/// An index outside the table gives NaN.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gather {
    /// Rows of the table.
    pub vocabulary: usize,
    /// Elements of a row.
    pub width: usize,
    /// Rows picked.
    pub count: usize,
}

impl KernelDef for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn shape(&self) -> String {
        format!("{} of {}x{}", self.count, self.vocabulary, self.width)
    }

    fn cost(&self) -> Cost {
        Cost { flops: 0, bytes: 4 * (2 * self.count * self.width + self.count) as u64 }
    }

    fn signature(&self) -> Signature {
        let table = (self.vocabulary * self.width, Content::Normal);
        let indices = (self.count, Content::Index { below: self.vocabulary });
        Signature::new(&[table, indices], &[self.count * self.width])
    }

    fn bodies(&self) -> Vec<&Body> {
        vec![]
    }

    fn keep_outputs(&self, _outputs: &[usize]) -> Kernel {
        Kernel::new(self.clone())
    }

    fn iterations(&self, _target: &Target) -> usize {
        0
    }

    fn native(&self, _exact: bool) -> Box<dyn NativeRun> {
        Box::new(self.clone())
    }

    fn oracle(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        self.evaluate(operands, writes);
    }

    fn shader(&self, _target: &Target) -> Result<Shader, ShaderError> {
        shader::gather(self)
    }

    fn samples() -> &'static [Family] {
        &[("gather", sample::gather)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::benchmarks()
    }
}

/// Reads: indices `u32[count]`, row gradients `[count, width]`; write 0: `[vocabulary, width]`, each row the
/// sum of the gradients whose index names it, added in ascending position.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatherGrad {
    /// Rows of the table.
    pub vocabulary: usize,
    /// Elements of a row.
    pub width: usize,
    /// Rows that were picked.
    pub count: usize,
}

impl KernelDef for GatherGrad {
    fn name(&self) -> &'static str {
        "gather_grad"
    }

    fn shape(&self) -> String {
        format!("{} into {}x{}", self.count, self.vocabulary, self.width)
    }

    fn cost(&self) -> Cost {
        let moved = self.count * self.width + self.vocabulary * self.width + self.count;
        Cost { flops: (self.count * self.width) as u64, bytes: 4 * moved as u64 }
    }

    fn signature(&self) -> Signature {
        let indices = (self.count, Content::Index { below: self.vocabulary });
        let gradients = (self.count * self.width, Content::Normal);
        Signature::new(&[indices, gradients], &[self.vocabulary * self.width])
    }

    fn bodies(&self) -> Vec<&Body> {
        vec![]
    }

    fn keep_outputs(&self, _outputs: &[usize]) -> Kernel {
        Kernel::new(self.clone())
    }

    fn iterations(&self, _target: &Target) -> usize {
        self.count
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
        shader::gather_grad(self)
    }

    fn samples() -> &'static [Family] {
        &[("gather_grad", sample::gather_grad)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::gradient_benchmarks()
    }
}
