//! Softmax and log-softmax over the last axis: `[rows, columns] -> [rows, columns]`.

pub mod native;

use super::Cost;

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

impl Softmax {
    /// For people.
    pub fn shape(&self) -> String {
        format!("{}x{}{}", self.rows, self.columns, if self.log { " log" } else { "" })
    }

    /// Cost.
    pub fn cost(&self) -> Cost {
        let n = (self.rows * self.columns) as u64;
        Cost { flops: 5 * n, bytes: 8 * n }
    }
}
