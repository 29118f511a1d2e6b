//! Batch assembly: the rows named by the shuffled order, copied from the data set resident on the device,
//! with Gaussian noise added to chosen columns. Bytes become numbers here.

pub mod native;
mod oracle;
mod sample;
mod shader;

use std::ops::Range;

use super::native::NativeRun;
use super::oracle::Operands;
use super::samples::Family;
use super::shader::{Shader, ShaderError};
use super::signature::{Content, OperandSpec, Signature};
use super::storage::Storage;
use super::{Cost, KernelDef};
use crate::base::target::Target;
use crate::oracle::Approx;

/// Read 0: row order `u32[..]`; read `1 + i`: the words of column block `i`; then the tables of the blocks of
/// bytes. Write `i`: `[batch, width]`, row `r` being the values from word
/// `order[step.batch_start + r] * stride + offset` on.
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
    /// Values taken.
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
    /// How the values are stored.
    pub storage: Storage,
    /// The rows that the operand holds, if it is a part of the block: counted from the first of these, and
    /// other rows of the batch are left as they are.
    pub only: Option<Range<usize>>,
}

impl BatchColumn {
    /// Rows of `width` words, one after the other, without noise.
    pub fn rows(width: usize) -> Self {
        let (storage, only) = (Storage::Words, None);
        Self { width, stride: width, offset: 0, noise: 0, stream: 0, storage, only }
    }

    /// Rows of `width` bytes, each beginning at a whole word, `plane` of them with the same values.
    pub fn bytes(width: usize, plane: usize) -> Self {
        let storage = Storage::Bytes { plane };
        Self { stride: storage.words(width), storage, ..Self::rows(width) }
    }

    /// Words of a row.
    pub fn row_words(&self) -> usize {
        self.storage.words(self.width)
    }

    /// Words that `rows` rows take up.
    pub fn words(&self, rows: usize) -> usize {
        if rows == 0 { 0 } else { self.offset + (rows - 1) * self.stride + self.row_words() }
    }

    /// Whether all rows are whole vectors of four values.
    pub fn allows_four(&self) -> bool {
        match self.storage {
            Storage::Words => [self.width, self.stride, self.offset].iter().all(|n| n.is_multiple_of(4)),
            // A word is a vector.
            Storage::Bytes { .. } => self.width.is_multiple_of(4),
        }
    }
}

impl Batch {
    /// The read operand with the table of block `block`, if that is of bytes.
    pub fn table(&self, block: usize) -> Option<usize> {
        let is_bytes = |column: &BatchColumn| matches!(column.storage, Storage::Bytes { .. });
        let before = self.columns[..block].iter().filter(|column| is_bytes(column)).count();
        is_bytes(&self.columns[block]).then_some(1 + self.columns.len() + before)
    }
}

impl KernelDef for Batch {
    fn name(&self) -> &'static str {
        "batch"
    }

    fn shape(&self) -> String {
        let width = |column: &BatchColumn| {
            let bytes = if column.storage == Storage::Words { "" } else { " bytes" };
            let part = column.only.as_ref().map(|rows| format!(" of rows {}..{}", rows.start, rows.end));
            format!("{}{bytes}{}", column.width, part.unwrap_or_default())
        };
        let widths: Vec<String> = self.columns.iter().map(width).collect();
        format!("{} rows x {}", self.batch, widths.join("+"))
    }

    fn cost(&self) -> Cost {
        let row = |c: &BatchColumn| 4 * (c.row_words() + c.width);
        let bytes = self.batch * (4 + self.columns.iter().map(row).sum::<usize>());
        Cost { flops: 0, bytes: bytes as u64 }
    }

    fn signature(&self) -> Signature {
        // Twice the rows of a batch, so that rows are left out and others come twice; where an operand holds
        // only some, all up to these.
        let parts = self.columns.iter().filter_map(|column| column.only.as_ref());
        let rows = parts.map(|rows| rows.end).max().unwrap_or(2 * self.batch);
        let mut signature = Signature::new(&[(self.batch, Content::Index { below: rows })], &[]);
        let mut tables = vec![];
        for column in &self.columns {
            let content = match column.storage {
                Storage::Words => Content::Normal,
                Storage::Bytes { .. } => Content::Index { below: u32::MAX as usize },
            };
            let held = column.only.as_ref().map_or(rows, Range::len);
            signature.reads.push(OperandSpec::new(column.words(held), content));
            let written = OperandSpec::new(self.batch * column.width, Content::Normal);
            signature.writes.push(OperandSpec { updated: column.only.is_some(), ..written });
            tables.push(OperandSpec::new(column.storage.entries(column.width), Content::Normal));
        }
        signature.reads.extend(tables.into_iter().filter(|table| table.words > 0));
        signature
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
