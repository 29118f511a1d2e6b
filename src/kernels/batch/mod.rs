//! Batch assembly: the rows named by the shuffled order, copied from the data set resident on the device,
//! with Gaussian noise added to chosen columns.

pub mod native;

use super::Cost;

/// Read 0: row order `u32[..]`; read `1 + i`: column block `i`, `[rows, width]` words.
/// Write `i`: `[batch, width]`, row `r` being row `order[step.batch_start + r]` of the block.
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
    /// Words of a row.
    pub width: usize,
    /// Standard deviation of the Gaussian noise added to each element (bits of an `f32`; 0 adds none), from
    /// stream `stream`, element `r * width + c`. The block is `f32` if this is not 0, else plain words.
    pub noise: u32,
    /// Random stream of the noise.
    pub stream: u32,
}

impl Batch {
    /// For people.
    pub fn shape(&self) -> String {
        let widths: Vec<String> = self.columns.iter().map(|c| c.width.to_string()).collect();
        format!("{} rows x {}", self.batch, widths.join("+"))
    }

    /// Cost.
    pub fn cost(&self) -> Cost {
        let words: usize = self.columns.iter().map(|c| c.width).sum();
        Cost { flops: 0, bytes: 4 * (self.batch * (2 * words + 1)) as u64 }
    }
}
