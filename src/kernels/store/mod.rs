//! Copies a step's results (loss, predictions) to the step's place in a result buffer.

pub mod native;

use super::Cost;

/// Read `i`: `widths[i]` words; write `i`: result buffer, written from word `step.slot * widths[i]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    /// Words of each result.
    pub widths: Vec<usize>,
}

impl Store {
    /// For people.
    pub fn shape(&self) -> String {
        self.widths.iter().map(|w| w.to_string()).collect::<Vec<_>>().join("+")
    }

    /// Cost.
    pub fn cost(&self) -> Cost {
        Cost { flops: 0, bytes: 8 * self.widths.iter().sum::<usize>() as u64 }
    }
}
