//! Keys shared by several layers, and their valid values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::number::is_positive;

/// One number for both axes, or one per axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a whole number such as 3, or two such as [3, 5]")]
pub enum Pair {
    /// The same for both axes.
    Both(usize),
    /// Vertical, horizontal.
    Each([usize; 2]),
}

impl Pair {
    /// The vertical and the horizontal number.
    pub fn get(self) -> [usize; 2] {
        match self {
            Self::Both(n) => [n, n],
            Self::Each(pair) => pair,
        }
    }
}

/// Zero padding of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a whole number such as 1, two such as [1, 2], \"same\" or \"valid\"")]
pub enum Padding {
    /// By name.
    Named(NamedPadding),
    /// Zero padding on each side.
    Zeros(Pair),
}

/// Padding computed from the sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NamedPadding {
    /// As much as `ceil(size / stride)` positions need.
    Same,
    /// None.
    Valid,
}

/// Maximum units of a layer.
const MAX_UNITS: usize = 1_000_000;

/// PyTorch's default epsilon for normalisation layers.
pub fn default_eps() -> f64 {
    1e-5
}

/// Checks the number of units of a layer.
pub(crate) fn check_units(units: usize) -> Result<(), String> {
    if (1..=MAX_UNITS).contains(&units) {
        return Ok(());
    }
    Err(format!("has a layer of {units} units; allowed are 1 to {MAX_UNITS}"))
}

/// Checks an `eps` that is added to a variance.
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

pub(super) fn three_steps() -> usize {
    3
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
