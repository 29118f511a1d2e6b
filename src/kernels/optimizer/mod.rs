//! One dispatch that updates every parameter: a scalar body over the contiguous parameter region.

pub mod native;

use super::Cost;
use crate::scalar::Body;

/// Reads: 0 the gradient region (`len` words); 1 the decay mask: one `f32` (0 or 1) per 64-word block of the
/// region; 2 (only if `clipped`) the two words of `GradientNorm`'s final stage, whose second word multiplies
/// each gradient. Writes: 0 the parameter region, `1 + s` the region of state slot `s`, all `len` words.
///
/// The body runs once per word, over the iteration shape `[len]`: `Accumulator` is the (clipped) gradient,
/// `Previous{0}` the parameter, `Previous{1 + s}` state slot `s`, `Load{1}` the word's decay mask (its view is
/// not used), and the stores are the new values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Optimizer {
    /// Words of the parameter region; a multiple of [`Optimizer::BLOCK`].
    pub len: usize,
    /// State slots per parameter.
    pub slots: usize,
    /// Whether the gradient is multiplied by the clipping factor.
    pub clipped: bool,
    /// The update rule.
    pub body: Body,
}

impl Optimizer {
    /// Parameters start at multiples of this many words, so that a block has one owner.
    pub const BLOCK: usize = 64;

    /// For people.
    pub fn shape(&self) -> String {
        format!("{} words, {} slots{}", self.len, self.slots, if self.clipped { ", clipped" } else { "" })
    }

    /// Cost.
    pub fn cost(&self) -> Cost {
        let n = self.len as u64;
        Cost { flops: n * self.body.flops(), bytes: 4 * n * (3 + 2 * self.slots as u64) }
    }
}
