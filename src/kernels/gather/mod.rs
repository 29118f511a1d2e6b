//! Rows of a table by index (embedding), and the gradient for the table.

pub mod native;

use super::Cost;

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

impl Gather {
    /// For people.
    pub fn shape(&self) -> String {
        format!("{} of {}x{}", self.count, self.vocabulary, self.width)
    }

    /// Cost.
    pub fn cost(&self) -> Cost {
        Cost { flops: 0, bytes: 4 * (2 * self.count * self.width + self.count) as u64 }
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

impl GatherGrad {
    /// For people.
    pub fn shape(&self) -> String {
        format!("{} into {}x{}", self.count, self.vocabulary, self.width)
    }

    /// Cost.
    pub fn cost(&self) -> Cost {
        let moved = self.count * self.width + self.vocabulary * self.width + self.count;
        Cost { flops: (self.count * self.width) as u64, bytes: 4 * moved as u64 }
    }
}
