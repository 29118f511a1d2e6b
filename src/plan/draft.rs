//! A dispatch before memory is planned.

use super::Slice;
use crate::kernels::Kernel;

/// Where an operand is: in a buffer of its own class, or in memory shared over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Fixed(Slice),
    Temporary(usize),
}

/// A dispatch before memory is planned.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub kernel: Kernel,
    pub reads: Vec<Place>,
    pub writes: Vec<Place>,
    pub label: String,
}

/// A result to store: name, place, words.
pub(super) type StoredResult = (String, Place, usize);
