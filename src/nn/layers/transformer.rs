//! Transformer blocks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::activation::{Activation, activation};
use super::attention::{Attention, check_heads, check_positions, check_rate};
use super::keys::{check_eps, check_units, default_eps};
use super::{Layer, Place};
use crate::graph::{GraphError, ValueId};
use crate::nn::network::Network;

/// A transformer block over the steps of sequences: self-attention and two dense layers, each added to its input,
/// with the parameters and defaults of PyTorch's `nn.TransformerEncoderLayer`; with `causal`, the block of a
/// decoder such as GPT's. With `activation = "swiglu"`, the dense layers are `linear2(silu(linear1(x)) linear3(x))`, as
/// in LLaMA (Touvron et al. 2023, arXiv:2302.13971), where these are `w1`, `w2` and `w3`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Transformer {
    /// Heads of the attention; they divide the number of features.
    pub heads: usize,
    /// Units between the two dense layers; four times the number of features by default, of `swiglu` two thirds of that,
    /// rounded up to a multiple of 8, so that blocks have about as many parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<usize>,
    /// Dropout rate of the attention weights, of the hidden units and of what is added.
    #[serde(default = "tenth")]
    pub dropout: f64,
    /// Activation of the hidden units; with `"swiglu"`, a third dense layer, without bias as the first two then are, is
    /// multiplied in.
    #[serde(default)]
    pub activation: Activation,
    /// Whether inputs are normalised before attention and dense layers instead of sums after them. Such blocks end
    /// with a `layer_norm` layer.
    #[serde(default)]
    pub norm_first: bool,
    /// Whether a step attends to itself and earlier steps only.
    #[serde(default)]
    pub causal: bool,
    /// Whether queries and keys are rotated by their position (arXiv:2104.09864).
    #[serde(default)]
    pub rotary: bool,
    /// Whether scores fall with how far apart steps are (arXiv:2108.12409).
    #[serde(default)]
    pub alibi: bool,
    /// Added to the variance of the normalisations.
    #[serde(default = "default_eps")]
    pub eps: f64,
}

fn tenth() -> f64 {
    0.1
}

impl Layer for Transformer {
    fn name(&self) -> &'static str {
        "transformer"
    }

    fn check(&self) -> Result<(), String> {
        check_heads(self.heads)?;
        check_positions(self.rotary, self.alibi)?;
        check_rate(self.dropout)?;
        check_eps(self.eps)?;
        self.hidden.map_or(Ok(()), check_units)
    }

    fn reads_steps(&self) -> bool {
        true
    }

    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let shape = net.graph.shape(x).clone();
        let [batch, steps, width] = net.steps("transformer", x)?;
        let keys = Attention {
            heads: self.heads,
            causal: self.causal,
            dropout: self.dropout,
            bias: true,
            rotary: self.rotary,
            alibi: self.alibi,
        };
        let name = &place.name;
        let stream = [0, 1, 2, 3].map(|number| net.stream_of(place, number));
        let attend = |net: &mut Network, x| {
            let y = net.self_attention(&format!("{name}.self_attn"), &keys, [batch, steps], stream[0], x)?;
            net.drop(stream[1], self.dropout, y)
        };
        let dense = |net: &mut Network, x| {
            let gated = self.activation == Activation::Swiglu;
            let hidden = self.hidden.unwrap_or(if gated { (8 * width).div_ceil(24) * 8 } else { 4 * width });
            let h = net.dense(&format!("{name}.linear1"), hidden, !gated, x)?;
            let h = match gated {
                false => activation(net.graph, self.activation, h)?,
                true => {
                    let gate = activation(net.graph, Activation::Silu, h)?;
                    let h = net.dense(&format!("{name}.linear3"), hidden, false, x)?;
                    net.graph.mul(gate, h)?
                }
            };
            let h = net.drop(stream[2], self.dropout, h)?;
            let y = net.dense(&format!("{name}.linear2"), width, !gated, h)?;
            net.drop(stream[3], self.dropout, y)
        };
        let norm = |net: &mut Network, number: usize, x| {
            let [weight, bias] = net.scale_and_shift(&format!("{name}.norm{number}"), &[1, width])?;
            Ok::<_, GraphError>(net.graph.normalise(x, &[1], self.eps, weight, bias)?.y)
        };
        let mut h = net.graph.reshape(x, &[batch * steps, width])?;
        if self.norm_first {
            let normal = norm(net, 1, h)?;
            let y = attend(net, normal)?;
            h = net.graph.add(h, y)?;
            let normal = norm(net, 2, h)?;
            let y = dense(net, normal)?;
            h = net.graph.add(h, y)?;
        } else {
            let y = attend(net, h)?;
            let sum = net.graph.add(h, y)?;
            h = norm(net, 1, sum)?;
            let y = dense(net, h)?;
            let sum = net.graph.add(h, y)?;
            h = norm(net, 2, sum)?;
        }
        net.graph.reshape(h, &shape)
    }
}
