//! Upsampling of images.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::{Pair, two};
use super::{Layer, Place};
use crate::graph::upsampling::{ResampleSpec, Resampling};
use crate::graph::{GraphError, ValueId};
use crate::nn::network::Network;

/// Upsampling of images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upsample {
    /// Scale factor of height and width.
    #[serde(default = "two")]
    pub factor: Pair,
    /// Interpolation.
    #[serde(default)]
    pub mode: Interpolation,
}

/// How an upsampled image is interpolated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Nearest neighbour.
    #[default]
    Nearest,
    /// Bilinear interpolation between the four nearest pixels.
    Bilinear,
}

impl Layer for Upsample {
    fn name(&self) -> &'static str {
        "upsample"
    }

    fn build(&self, net: &mut Network, _place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let [_, height, width, _] = net.extents("upsample", x)?;
        let [down, along] = self.factor.get();
        let size = |extent: usize, factor: usize| {
            let fits = (1..=1024).contains(&factor);
            let reason = || format!("factor = {factor} is not in 1..=1024");
            fits.then_some(extent * factor).ok_or_else(|| net.graph.error("upsample", &[x], reason()))
        };
        let size = [size(height, down)?, size(width, along)?];
        let kind = match self.mode {
            Interpolation::Nearest => Resampling::Nearest,
            Interpolation::Bilinear => Resampling::Linear { align_corners: false },
        };
        net.graph.resample(x, &ResampleSpec::new(size, kind))
    }
}
