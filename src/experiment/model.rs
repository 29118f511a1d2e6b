//! The `[model]` table: a family with defaults, or layers in order.

use serde::{Deserialize, Serialize};

use crate::scalar::UnaryFn;

/// What is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Kind of network.
    #[serde(default)]
    pub family: Family,
    /// Units of the hidden layers.
    #[serde(default = "default_hidden")]
    pub hidden: Vec<usize>,
    /// Function after each hidden layer.
    #[serde(default)]
    pub activation: Activation,
    /// Normalisation before each activation.
    #[serde(default)]
    pub norm: Norm,
    /// Part of the hidden units dropped in training.
    #[serde(default)]
    pub dropout: f64,
    /// Elements of each category's trained vector; by default half the categories, at most 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_width: Option<usize>,
    /// Explicit hidden layers instead of `hidden`; the output layer follows by itself.
    #[serde(default, rename = "layer", skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<LayerConfig>,
}

/// Kind of network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Dense layers on table rows.
    #[default]
    Mlp,
}

/// Function after a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`
    #[default]
    Relu,
    /// `x` or `0.01 x`
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
}

impl Activation {
    /// The scalar function, where it is a single one.
    pub fn function(self) -> Option<UnaryFn> {
        Some(match self {
            Self::Relu => UnaryFn::Relu,
            Self::Gelu => UnaryFn::Gelu,
            Self::Silu => UnaryFn::Silu,
            Self::Tanh => UnaryFn::Tanh,
            Self::Sigmoid => UnaryFn::Sigmoid,
            Self::Softplus => UnaryFn::Softplus,
            Self::LeakyRelu | Self::Elu => return None,
        })
    }

    /// Name in summaries.
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
        }
    }
}

/// Normalisation before the activation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// None.
    #[default]
    None,
    /// Each row to mean 0 and variance 1.
    Layer,
    /// Each unit to mean 0 and variance 1 over the batch.
    Batch,
}

/// One explicit layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum LayerConfig {
    /// `x W^T + b`
    Dense {
        /// Outputs.
        units: usize,
        /// Whether `b` is there.
        #[serde(default = "default_true")]
        bias: bool,
    },
    /// A function of each element.
    Activation {
        /// Which.
        function: Activation,
    },
    /// Drops elements in training and scales the rest by `1 / (1 - rate)`.
    Dropout {
        /// Part dropped.
        rate: f64,
    },
    /// Layer normalisation (Ba et al. 2016, arXiv:1607.06450).
    LayerNorm {
        /// Added to the variance.
        #[serde(default = "default_eps")]
        eps: f64,
    },
    /// Batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167).
    BatchNorm {
        /// Added to the variance.
        #[serde(default = "default_eps")]
        eps: f64,
        /// Part of the running statistics renewed each step.
        #[serde(default = "default_momentum")]
        momentum: f64,
    },
}

fn default_hidden() -> Vec<usize> {
    vec![128, 64]
}

fn default_true() -> bool {
    true
}

/// PyTorch's epsilon of normalisation layers.
pub fn default_eps() -> f64 {
    1e-5
}

/// PyTorch's momentum of batch normalisation.
pub fn default_momentum() -> f64 {
    0.1
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            family: Family::Mlp,
            hidden: default_hidden(),
            activation: Activation::Relu,
            norm: Norm::None,
            dropout: 0.0,
            embedding_width: None,
            layers: vec![],
        }
    }
}

impl ModelConfig {
    /// The hidden layers in order, the family's written out.
    pub fn hidden_layers(&self) -> Vec<LayerConfig> {
        if !self.layers.is_empty() {
            return self.layers.clone();
        }
        let mut layers = vec![];
        for &units in &self.hidden {
            layers.push(LayerConfig::Dense { units, bias: true });
            match self.norm {
                Norm::None => {}
                Norm::Layer => layers.push(LayerConfig::LayerNorm { eps: default_eps() }),
                Norm::Batch => {
                    layers.push(LayerConfig::BatchNorm { eps: default_eps(), momentum: default_momentum() });
                }
            }
            layers.push(LayerConfig::Activation { function: self.activation });
            if self.dropout > 0.0 {
                layers.push(LayerConfig::Dropout { rate: self.dropout });
            }
        }
        layers
    }
}
