//! The gradient of gathered rows in steps, for devices that would otherwise compare every row with every
//! index: the positions are put in the order of the rows that they name, and then each row adds up its own.

pub mod native;
mod oracle;
mod sample;
mod shader;

use super::PIECE;
use crate::base::target::Target;
use crate::kernels::native::NativeRun;
use crate::kernels::oracle::Operands;
use crate::kernels::samples::Family;
use crate::kernels::shader::{Shader, ShaderError};
use crate::kernels::signature::{Content, OperandSpec, Signature};
use crate::kernels::{Cost, KernelDef};
use crate::oracle::Approx;

/// What a step computes. All integers are `u32`; an index outside the table names the row after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Merges runs of `run` positions, each in the order of the rows, into runs of [`Step::merged`]. Reads:
    /// indices `[count]` and, if `run` is not 1, the positions; write 0: positions `[count]`.
    Order {
        /// Positions per run.
        run: usize,
    },
    /// Reads: indices `[count]`, positions in order `[count]`; write 0: `[vocabulary + 1]`, for each row how
    /// many positions come before its first.
    Starts,
    /// Reads: positions in order, starts, row gradients `[count, width]`; write 0: `[count / PIECE, width]`,
    /// the sums of the pieces of [`PIECE`] positions into which each row is cut from its start, each where
    /// the position at which it starts is in the positions cut into such pieces; 0 where no piece starts.
    Pieces,
    /// Reads: positions in order, starts, row gradients and, if there are any, sums of pieces; write 0:
    /// `[vocabulary, width]`.
    Sums,
}

/// Positions that one invocation compares with its own in the first step.
const FIRST_FAN: usize = 256;
/// Runs merged by a later step.
const FAN: usize = 16;

impl Step {
    /// Runs that [`Step::Order`] merges.
    fn fan(run: usize) -> usize {
        if run == 1 { FIRST_FAN } else { FAN }
    }

    /// Positions in the runs that merging runs of `run` gives.
    pub fn merged(run: usize) -> usize {
        run * Self::fan(run)
    }
}

/// A step of [`GatherGrad`](super::GatherGrad).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GradientStep {
    /// Rows of the table.
    pub vocabulary: usize,
    /// Elements of a row.
    pub width: usize,
    /// Rows that were picked.
    pub count: usize,
    /// Which step.
    pub step: Step,
}

/// Steps of a binary search among `count` elements.
fn search(count: usize) -> usize {
    (usize::BITS - count.leading_zeros()) as usize
}

impl GradientStep {
    /// Whole pieces that rows may have.
    pub fn pieces(&self) -> usize {
        self.count / PIECE
    }

    /// Words of the result.
    pub fn words(&self) -> usize {
        match self.step {
            Step::Order { .. } => self.count,
            Step::Starts => self.vocabulary + 1,
            Step::Pieces => self.pieces() * self.width,
            Step::Sums => self.vocabulary * self.width,
        }
    }

    /// The words that are read.
    fn read_words(&self) -> Vec<usize> {
        let (count, gradients) = (self.count, self.count * self.width);
        match self.step {
            Step::Order { run: 1 } => vec![count],
            Step::Order { .. } | Step::Starts => vec![count, count],
            Step::Pieces => vec![count, self.vocabulary + 1, gradients],
            Step::Sums if self.pieces() == 0 => vec![count, self.vocabulary + 1, gradients],
            Step::Sums => vec![count, self.vocabulary + 1, gradients, self.pieces() * self.width],
        }
    }
}

impl KernelDef for GradientStep {
    fn name(&self) -> &'static str {
        match self.step {
            Step::Order { .. } => "gather_grad_order",
            Step::Starts => "gather_grad_starts",
            Step::Pieces => "gather_grad_pieces",
            Step::Sums => "gather_grad_sums",
        }
    }

    fn shape(&self) -> String {
        let shape = format!("{} into {}x{}", self.count, self.vocabulary, self.width);
        match self.step {
            Step::Order { run } => format!("{shape} in runs of {run}"),
            _ => shape,
        }
    }

    /// Comparisons count as operations.
    fn cost(&self) -> Cost {
        let operations = match self.step {
            Step::Order { run } => self.count * Step::fan(run).min(self.count.div_ceil(run)) * search(run),
            Step::Starts => (self.vocabulary + 1) * search(self.count),
            // Every element is added in one of the two.
            Step::Pieces => self.count * self.width,
            Step::Sums => self.count * self.width + self.pieces() * self.width,
        };
        let words = self.read_words().iter().sum::<usize>() + self.words();
        Cost { flops: operations as u64, bytes: 4 * words as u64 }
    }

    fn signature(&self) -> Signature {
        let (vocabulary, by) = (self.vocabulary, 0);
        let (any, starts) = (Content::Index { below: self.count }, Content::Ascending { to: self.count });
        let indices = Content::Index { below: vocabulary };
        let contents = match self.step {
            Step::Order { run } => vec![indices, Content::Ordered { by, below: vocabulary, run }],
            Step::Starts => vec![indices, Content::Ordered { by, below: vocabulary, run: self.count }],
            Step::Pieces | Step::Sums => vec![any, starts, Content::Normal, Content::Normal],
        };
        let written = match self.step {
            Step::Order { .. } | Step::Starts => any,
            Step::Pieces | Step::Sums => Content::Normal,
        };
        let reads: Vec<_> = self.read_words().into_iter().zip(contents).collect();
        let writes = vec![OperandSpec::new(self.words(), written)];
        Signature { writes, ..Signature::new(&reads, &[]) }
    }

    fn iterations(&self, _target: &Target) -> usize {
        match self.step {
            Step::Order { run } => Step::fan(run) * (search(run) + 1),
            Step::Starts => search(self.count),
            Step::Pieces => search(self.vocabulary + 1) + PIECE,
            Step::Sums => self.pieces() + PIECE.min(self.count),
        }
    }

    fn native(&self, exact: bool) -> Box<dyn NativeRun> {
        native::step(self, exact)
    }

    fn oracle(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        self.evaluate(operands, writes);
    }

    fn shader(&self, target: &Target) -> Result<Shader, ShaderError> {
        shader::step(self, target)
    }

    fn samples() -> &'static [Family] {
        &[
            ("gather_grad_order", sample::order),
            ("gather_grad_starts", sample::starts),
            ("gather_grad_pieces", sample::pieces),
            ("gather_grad_sums", sample::sums),
        ]
    }

    fn benchmarks() -> Vec<Self> {
        sample::benchmarks()
    }
}
