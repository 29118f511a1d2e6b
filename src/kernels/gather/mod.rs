//! Rows of a table by index (embedding), and the gradient for the table.

pub mod native;
mod oracle;
mod sample;
mod shader;
pub mod steps;

use super::native::NativeRun;
use super::oracle::Operands;
use super::samples::Family;
use super::shader::{Shader, ShaderError};
use super::signature::{Content, Signature};
use super::{Cost, KernelDef};
use crate::base::target::Target;
use crate::oracle::Approx;

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

/// Gradients of a row that are added up on their own; a row's sum is that of the sums of its pieces, in
/// order.
pub const PIECE: usize = 1024;

/// Reads: indices `u32[count]`, row gradients `[count, width]`; write 0: `[vocabulary, width]`, each row the
/// sum of the gradients whose index names it, added in ascending position, in pieces of [`PIECE`].
///
/// The shader compares each row with every index. The planner takes it where that is less than a launch
/// costs, and [`steps`] otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatherGrad {
    /// Rows of the table.
    pub vocabulary: usize,
    /// Elements of a row.
    pub width: usize,
    /// Rows that were picked.
    pub count: usize,
}

impl GatherGrad {
    /// Comparisons that cost a GPU less than another launch.
    const FEW_COMPARISONS: usize = 1 << 18;

    /// Whether a shader may compare each row with every index.
    pub fn is_small(&self) -> bool {
        let Self { vocabulary, width, count } = *self;
        count <= PIECE && vocabulary * width * count <= Self::FEW_COMPARISONS
    }
}

impl KernelDef for GatherGrad {
    fn name(&self) -> &'static str {
        "gather_grad"
    }

    fn shape(&self) -> String {
        format!("{} into {}x{}", self.count, self.vocabulary, self.width)
    }

    /// Additions; the shader's comparisons are few where it is taken.
    fn cost(&self) -> Cost {
        let moved = self.count * self.width + self.vocabulary * self.width + self.count;
        Cost { flops: (self.count * self.width) as u64, bytes: 4 * moved as u64 }
    }

    fn signature(&self) -> Signature {
        let indices = (self.count, Content::Index { below: self.vocabulary });
        let gradients = (self.count * self.width, Content::Normal);
        Signature::new(&[indices, gradients], &[self.vocabulary * self.width])
    }

    fn iterations(&self, _target: &Target) -> usize {
        self.count
    }

    fn native(&self, exact: bool) -> Box<dyn NativeRun> {
        native::gradient(self, exact)
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
