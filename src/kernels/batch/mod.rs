//! Batch assembly: the rows named by the shuffled order, copied from the data set resident on the device,
//! with Gaussian noise added to chosen columns.

pub mod native;
mod oracle;
mod sample;
mod shader;

use super::native::NativeRun;
use super::oracle::Operands;
use super::samples::Family;
use super::shader::{Shader, ShaderError};
use super::signature::{Content, OperandSpec, Signature};
use super::{Cost, Kernel, KernelDef};
use crate::base::target::Target;
use crate::oracle::Approx;
use crate::scalar::Body;

/// Read 0: row order `u32[..]`; read `1 + i`: the words of column block `i`. Write `i`: `[batch, width]`, row
/// `r` being the `width` words from `order[step.batch_start + r] * stride + offset` on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Batch {
    /// Rows of a batch.
    pub batch: usize,
    /// The blocks of columns.
    pub columns: Vec<BatchColumn>,
}

/// One block of columns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BatchColumn {
    /// Words taken.
    pub width: usize,
    /// Words between the starts of neighbouring rows: `width` for plain rows, less where rows are windows
    /// that overlap.
    pub stride: usize,
    /// Words before the first row.
    pub offset: usize,
    /// Standard deviation of the Gaussian noise added to each element (bits of an `f32`; 0 adds none), from
    /// stream `stream`, element `r * width + c`, counted over all micro-batches of the step. The block is
    /// `f32` if this is not 0, else plain words.
    pub noise: u32,
    /// Random stream of the noise.
    pub stream: u32,
}

impl BatchColumn {
    /// Rows of `width` words, one after the other, without noise.
    pub fn rows(width: usize) -> Self {
        Self { width, stride: width, offset: 0, noise: 0, stream: 0 }
    }

    /// Words that `rows` rows take up.
    pub fn words(&self, rows: usize) -> usize {
        if rows == 0 { 0 } else { self.offset + (rows - 1) * self.stride + self.width }
    }

    /// Whether all rows are whole vectors of four words.
    pub fn allows_four(&self) -> bool {
        [self.width, self.stride, self.offset].iter().all(|n| n.is_multiple_of(4))
    }
}

impl KernelDef for Batch {
    fn name(&self) -> &'static str {
        "batch"
    }

    fn shape(&self) -> String {
        let widths: Vec<String> = self.columns.iter().map(|c| c.width.to_string()).collect();
        format!("{} rows x {}", self.batch, widths.join("+"))
    }

    fn cost(&self) -> Cost {
        let words: usize = self.columns.iter().map(|c| c.width).sum();
        Cost { flops: 0, bytes: 4 * (self.batch * (2 * words + 1)) as u64 }
    }

    fn signature(&self) -> Signature {
        // Twice the rows of a batch, so that rows are left out and others come twice.
        let rows = 2 * self.batch;
        let mut signature = Signature::new(&[(self.batch, Content::Index { below: rows })], &[]);
        for column in &self.columns {
            signature.reads.push(OperandSpec::new(column.words(rows), Content::Normal));
            signature.writes.push(OperandSpec::new(self.batch * column.width, Content::Normal));
        }
        signature
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
        shader::batch(self, target)
    }

    fn samples() -> &'static [Family] {
        &[("batch", sample::batch)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::benchmarks()
    }
}
