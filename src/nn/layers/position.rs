//! Positions: what tells attention where a step is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Layer, Place};
use crate::graph::{GraphError, ValueId};
use crate::nn::init::Init;
use crate::nn::network::Network;

/// Adds a vector for each step of a sequence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// How the vectors are made.
    #[serde(default)]
    pub kind: Positions,
}

/// How attention learns where a step is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// A trained vector for each step, initially small.
    #[default]
    Learned,
    /// Sines and cosines of wavelengths from 2 pi to 20,000 pi (Vaswani et al. 2017, section 3.5).
    Sinusoidal,
}

/// Standard deviation of trained vectors at first, that of GPT-2 and of vision transformers.
const DEVIATION: f32 = 0.02;

impl Layer for Position {
    fn name(&self) -> &'static str {
        "position"
    }

    fn reads_steps(&self) -> bool {
        true
    }

    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let shape = net.graph.shape(x).clone();
        let [_, read, width] = net.steps("position", x)?;
        let steps = net.cache.map_or(read, |cache| cache.length);
        let vectors = match self.kind {
            Positions::Learned => {
                let init = Init::SmallNormal { deviation: DEVIATION };
                net.parameter(format!("{}.weight", place.name), &[steps, width], init, false)?
            }
            Positions::Sinusoidal => net.graph.constant(&[steps, width], &waves(steps, width))?,
        };
        let vectors = match net.cache {
            Some(cache) => net.row_of(cache, vectors)?,
            None => vectors,
        };
        let vectors = net.graph.reshape(vectors, &shape[1..])?;
        net.graph.add(x, vectors)
    }
}

/// `sin(t / 10000^(2i / width))` at feature `2i` of step `t`, the cosine at `2i + 1`.
fn waves(steps: usize, width: usize) -> Vec<f32> {
    let wave = |t: usize, d: usize| {
        let angle = t as f64 / 10_000f64.powf((d / 2 * 2) as f64 / width as f64);
        (if d.is_multiple_of(2) { angle.sin() } else { angle.cos() }) as f32
    };
    (0..steps).flat_map(|t| (0..width).map(move |d| wave(t, d))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_are_those_of_the_paper() {
        let waves = waves(3, 4);
        let expected = [0.0, 1.0, 0.0, 1.0, 1f32.sin(), 1f32.cos(), 0.01f32.sin(), 0.01f32.cos()];
        for (wave, expected) in waves.iter().zip(expected) {
            assert!((wave - expected).abs() < 1e-7, "{wave} {expected}");
        }
    }
}
