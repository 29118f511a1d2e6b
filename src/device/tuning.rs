//! Choosing the layout of shaders by measuring the device: what may be measured, and what was.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::target::Geometry;

/// What a device may do to find the fastest layout of each launch. Results are the same bits whatever it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tuning {
    /// Nothing: every launch has its usual layout.
    #[default]
    Off,
    /// Use what was measured before on this machine.
    Known,
    /// Measure what is not known, for about this long in all.
    Measure(Duration),
    /// Measure everything, known or not, for about this long in all.
    Again(Duration),
}

/// A layout that was timed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tried {
    /// The layout.
    pub geometry: Geometry,
    /// Seconds per run.
    pub seconds: f64,
    /// Seconds of the first run, in which software drivers compile.
    pub first_seconds: f64,
}

/// What was measured of one launch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuned {
    /// Its kernels and their shapes.
    pub launch: String,
    /// The fastest layout, or the usual one where none is clearly faster.
    pub chosen: Geometry,
    /// All that were timed, the usual one first.
    pub tried: Vec<Tried>,
}
