//! Elementwise functions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Layer, Place};
use crate::graph::{Graph, GraphError, ValueId};
use crate::nn::network::Network;
use crate::scalar::UnaryFn;

/// An elementwise function.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Activate {
    /// The function.
    pub function: Activation,
    /// Of `leaky_relu`: the factor of negative numbers (default 0.01).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slope: Option<f64>,
}

impl Layer for Activate {
    fn name(&self) -> &'static str {
        self.function.name()
    }

    fn check(&self) -> Result<(), String> {
        let function = self.function.name();
        match self.slope {
            _ if self.function == Activation::Swiglu => Err(format!("has `swiglu`, which {NO_FUNCTION}")),
            Some(slope) if self.function != Activation::LeakyRelu => {
                Err(format!("has slope = {slope}, which `{function}` does not have; `leaky_relu` does"))
            }
            Some(slope) if !(0.0..1.0).contains(&slope) => {
                Err(format!("has slope = {slope}, which is not at least 0 and below 1"))
            }
            _ => Ok(()),
        }
    }

    fn build(&self, net: &mut Network, _place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        match self.slope {
            Some(slope) => net.graph.leaky_relu(x, slope),
            None => activation(net.graph, self.function, x),
        }
    }
}

impl From<Activation> for Activate {
    fn from(function: Activation) -> Self {
        Self { function, slope: None }
    }
}

/// Activation function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`
    #[default]
    Relu,
    /// `x` or `0.01 x`, or another multiple where a layer says so
    LeakyRelu,
    /// `x` or `e^x - 1`
    Elu,
    /// `x Phi(x)`
    Gelu,
    /// `x sigmoid(x)`
    Silu,
    /// hyperbolic tangent
    Tanh,
    /// logistic function
    Sigmoid,
    /// `ln(1 + e^x)`
    Softplus,
    /// Of transformers: `silu(x W)` times `x V` (Shazeer 2020, arXiv:2002.05202)
    Swiglu,
}

impl Activation {
    /// The equivalent scalar function, if there is one.
    pub fn function(self) -> Option<UnaryFn> {
        Some(match self {
            Self::Relu => UnaryFn::Relu,
            Self::Gelu => UnaryFn::Gelu,
            Self::Silu => UnaryFn::Silu,
            Self::Tanh => UnaryFn::Tanh,
            Self::Sigmoid => UnaryFn::Sigmoid,
            Self::Softplus => UnaryFn::Softplus,
            Self::LeakyRelu | Self::Elu | Self::Swiglu => return None,
        })
    }

    /// Name shown in summaries.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::LeakyRelu => "leaky_relu",
            Self::Elu => "elu",
            Self::Gelu => "gelu",
            Self::Silu => "silu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Softplus => "softplus",
            Self::Swiglu => "swiglu",
        }
    }
}

/// Why `swiglu` stands nowhere but in transformers.
pub(crate) const NO_FUNCTION: &str =
    "is a product of two dense layers, which transformers have; choose `silu`";

/// Applies an activation function.
pub fn activation(g: &mut Graph, function: Activation, x: ValueId) -> Result<ValueId, GraphError> {
    match (function.function(), function) {
        (Some(f), _) => g.unary(f, x),
        (None, Activation::Elu) => g.elu(x, 1.0),
        (None, Activation::Swiglu) => Err(g.error("swiglu", &[x], NO_FUNCTION.into())),
        (None, _) => g.leaky_relu(x, 0.01),
    }
}
