//! Keys that several layers have, and what they may be.

use serde::{Deserialize, Serialize};

use crate::base::number::is_positive;

/// One number for both axes, or one for up and down and one for left and right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Pair {
    /// For both.
    Both(usize),
    /// Up and down, left and right.
    Each([usize; 2]),
}

impl Pair {
    /// The two numbers.
    pub fn get(self) -> [usize; 2] {
        match self {
            Self::Both(n) => [n, n],
            Self::Each(pair) => pair,
        }
    }
}

/// Zeros around an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Padding {
    /// By name.
    Named(NamedPadding),
    /// So many on each side.
    Zeros(Pair),
}

/// Padding that follows from the sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NamedPadding {
    /// As many as it takes for `ceil(size / stride)` positions.
    Same,
    /// None.
    Valid,
}

/// Largest layer.
const MAX_UNITS: usize = 1_000_000;

/// PyTorch's epsilon of normalisation layers.
pub fn default_eps() -> f64 {
    1e-5
}

/// Whether so many units can be.
pub(crate) fn check_units(units: usize) -> Result<(), String> {
    if (1..=MAX_UNITS).contains(&units) {
        return Ok(());
    }
    Err(format!("has a layer of {units} units; allowed are 1 to {MAX_UNITS}"))
}

/// Whether `eps` can be added to a variance.
pub(super) fn check_eps(eps: f64) -> Result<(), String> {
    if is_positive(eps) {
        return Ok(());
    }
    Err(format!("has eps = {eps}, which is not a finite number above 0"))
}

pub(super) fn yes() -> bool {
    true
}

pub(super) fn once() -> usize {
    1
}

pub(super) fn zero() -> Pair {
    Pair::Both(0)
}

pub(super) fn one() -> Pair {
    Pair::Both(1)
}

pub(crate) fn two() -> Pair {
    Pair::Both(2)
}

pub(crate) fn three() -> Pair {
    Pair::Both(3)
}
