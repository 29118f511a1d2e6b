//! Tokens: what transformers attend to, made from any input.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::{Pair, check_units};
use super::{Layer, Place};
use crate::graph::{GraphError, ValueId};
use crate::nn::init::Init;
use crate::nn::network::Network;

/// Turns inputs into sequences of tokens of equal width: each step of a series by one dense layer, each patch of
/// an image by another (Dosovitskiy et al. 2020, arXiv:2010.11929), each number of a row by a vector of its own
/// (Gorishniy et al. 2021, arXiv:2106.11959).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// Features of a token.
    pub width: usize,
    /// Of images: height and width of a patch, in pixels.
    #[serde(default = "four")]
    pub patch: Pair,
}

pub(crate) fn four() -> Pair {
    Pair::Both(4)
}

impl Layer for Tokens {
    fn name(&self) -> &'static str {
        "tokens"
    }

    fn check(&self) -> Result<(), String> {
        check_units(self.width)?;
        match self.patch.get() {
            [0, _] | [_, 0] => Err("has patches of no pixels; `patch` must be at least 1".into()),
            _ => Ok(()),
        }
    }

    fn reads_steps(&self) -> bool {
        true
    }

    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let width = self.width;
        match net.graph.shape(x)[..] {
            [batch, features] => {
                // Uniform, as the features of a dense layer with one input for each.
                let init = Init::Uniform { bound: 1.0 / (width as f32).sqrt() };
                let mut vectors = |kind: &str| {
                    net.parameter(
                        format!("{}.{kind}", place.name),
                        &[features, width],
                        init,
                        kind == "weight",
                    )
                };
                let (weight, bias) = (vectors("weight")?, vectors("bias")?);
                let numbers = net.graph.reshape(x, &[batch, features, 1])?;
                let scaled = net.graph.mul(numbers, weight)?;
                let tokens = net.graph.add(scaled, bias)?;
                net.graph.reshape(tokens, &[batch, features, 1, width])
            }
            [batch, steps, 1, features] => {
                let rows = net.graph.reshape(x, &[batch * steps, features])?;
                let tokens = net.dense(&place.name, width, true, rows)?;
                net.graph.reshape(tokens, &[batch, steps, 1, width])
            }
            [_, height, across, _] => {
                let [rows, columns] = self.patch.get();
                if !height.is_multiple_of(rows) || !across.is_multiple_of(columns) {
                    let reason = format!(
                        "patches of {rows} x {columns} pixels do not divide an image of {height} x {across}; change \
                         `patch`, or the image's shape"
                    );
                    return Err(net.graph.error("tokens", &[x], reason));
                }
                net.patches(&place.name, width, [rows, columns], x)
            }
            _ => Err(net.graph.error("tokens", &[x], "expected rows, sequences or images".into())),
        }
    }
}

impl Network<'_> {
    /// A dense layer over the patches of images `[B, H, W, C]`, with the weights of a convolution,
    /// `[units, C, h, w]`: `[B, patches, 1, units]`.
    fn patches(
        &mut self,
        name: &str,
        units: usize,
        [rows, columns]: [usize; 2],
        x: ValueId,
    ) -> Result<ValueId, GraphError> {
        let [batch, height, across, channels] = self.extents("tokens", x)?;
        let (down, along) = (height / rows, across / columns);
        let cut = self.graph.reshape(x, &[batch, down, rows, along, columns, channels])?;
        let cut = self.graph.permute(cut, &[0, 1, 3, 5, 2, 4])?;
        let inputs = channels * rows * columns;
        let flat = self.graph.reshape(cut, &[batch * down * along, inputs])?;
        let init = Init::Uniform { bound: 1.0 / (inputs as f32).sqrt() };
        let shape = [units, channels, rows, columns];
        let weight = self.parameter(format!("{name}.weight"), &shape, init, true)?;
        let weight = self.graph.reshape(weight, &[units, inputs])?;
        let bias = self.parameter(format!("{name}.bias"), &[units], init, false)?;
        let tokens = self.graph.matmul_with(flat, weight, false, true)?;
        let tokens = self.graph.add(tokens, bias)?;
        self.graph.reshape(tokens, &[batch, down * along, 1, units])
    }
}
