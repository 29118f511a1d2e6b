//! Layers, one per file: its keys in `[[model.layer]]`, their valid values, and its mathematics. Parameters
//! have the names and shapes of PyTorch's modules, numbered as in `nn.Sequential`.
//!
//! A new layer is a file beside these, and three lines here: `mod`, `pub use`, and an entry in the list at
//! the end. Inside the graph, rows of numbers are `[B, F]`, images `[B, H, W, C]` and sequences
//! `[B, T, 1, F]`; the nodes of a graph are rows `[N, F]`, or `[B, N, 1, F]` for several windows at a time and for
//! a batch of graphs.

mod activation;
mod adaptive_pool;
mod append;
mod attention;
mod avg_pool;
mod batch_norm;
mod conv1d;
mod conv2d;
mod conv_transpose2d;
mod convolution;
mod dense;
mod dropout;
mod flatten;
mod global_pool;
mod graph_attention;
mod graph_conv;
mod graph_sage;
mod group_norm;
pub(crate) mod keys;
mod layer_norm;
mod local_response_norm;
mod max_pool;
mod position;
pub mod recurrent;
mod residual;
mod rms_norm;
mod temporal_block;
#[cfg(test)]
mod tests;
pub(crate) mod tokens;
mod transformer;
mod unet;
mod unflatten;
mod upsample;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::network::Network;
use crate::graph::{GraphError, ValueId};
pub(crate) use activation::NO_FUNCTION;
pub use activation::{Activate, Activation, activation};
pub use adaptive_pool::AdaptivePool;
pub use attention::Attention;
pub use avg_pool::AvgPool;
pub use batch_norm::BatchNorm;
pub use conv_transpose2d::ConvTranspose2d;
pub use conv1d::Conv1d;
pub use conv2d::Conv2d;
pub use convolution::KernelInit;
pub use dense::Dense;
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use global_pool::{GlobalPool, Pooling};
pub use graph_attention::GraphAttention;
pub use graph_conv::GraphConv;
pub use graph_sage::GraphSage;
pub use group_norm::GroupNorm;
pub use keys::{NamedPadding, Padding, Pair, default_eps};
pub use layer_norm::LayerNorm;
pub use local_response_norm::LocalResponseNorm;
pub use max_pool::MaxPool;
pub use position::{Position, Positions};
pub use recurrent::Recurrent;
pub use residual::{Block, Residual};
pub use rms_norm::RmsNorm;
pub use temporal_block::TemporalBlock;
pub use tokens::Tokens;
pub use transformer::Transformer;
pub use unet::Unet;
pub use unflatten::Unflatten;
pub use upsample::{Interpolation, Upsample};

/// A layer, as configured in an experiment.
pub trait Layer {
    /// Name shown in messages and summaries.
    fn name(&self) -> &'static str;

    /// Checks its keys; the error is the end of a sentence about them.
    ///
    /// # Errors
    /// The first value out of range: what was found and what is allowed.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Whether its training form computes statistics over the rows of a batch, which a single row does not
    /// have.
    fn normalises_batch(&self) -> bool {
        false
    }

    /// Whether what its training form gives for a row depends on the other rows of a batch, even if a single row, whose
    /// pixels are many, has statistics of its own.
    fn mixes_batch(&self) -> bool {
        self.normalises_batch()
    }

    /// Whether it takes a window of a series step by step, instead of as one row of numbers.
    fn reads_steps(&self) -> bool {
        false
    }

    /// The features that it gives each node, if it reads the neighbours of nodes in a graph.
    fn mixes_nodes(&self) -> Option<usize> {
        None
    }

    /// Appends the layer to `x`.
    ///
    /// # Errors
    /// If it does not accept the shape of `x`.
    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError>;
}

/// The position of a layer in its network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub number: usize,
    /// The number with its prefix in parameter names: `0`, or `encoder.0`.
    pub name: String,
}

/// Defines an enum of layers by name, from their configurations.
macro_rules! layers {
    ($($name:ident($config:ident),)*) => {
        /// A layer of `[[model.layer]]`; `type` is its name in snake case.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(
            tag = "type", rename_all = "snake_case",
            expecting = "a table such as { type = \"dense\", units = 64 }"
        )]
        pub enum LayerConfig {
            $(#[doc = concat!("[`", stringify!($config), "`]")] $name($config),)*
        }

        impl LayerConfig {
            /// The layer.
            pub fn layer(&self) -> &dyn Layer {
                match self {
                    $(Self::$name(layer) => layer,)*
                }
            }
        }

        $(impl From<$config> for LayerConfig {
            fn from(layer: $config) -> Self {
                Self::$name(layer)
            }
        })*
    };
}

layers! {
    Dense(Dense),
    Activation(Activate),
    Dropout(Dropout),
    LayerNorm(LayerNorm),
    BatchNorm(BatchNorm),
    GroupNorm(GroupNorm),
    Conv2d(Conv2d),
    Conv1d(Conv1d),
    ConvTranspose2d(ConvTranspose2d),
    MaxPool(MaxPool),
    AvgPool(AvgPool),
    GlobalPool(GlobalPool),
    Flatten(Flatten),
    Unflatten(Unflatten),
    Upsample(Upsample),
    Recurrent(Recurrent),
    Residual(Residual),
    RmsNorm(RmsNorm),
    Attention(Attention),
    Transformer(Transformer),
    Position(Position),
    Tokens(Tokens),
    GraphConv(GraphConv),
    GraphSage(GraphSage),
    GraphAttention(GraphAttention),
    AdaptivePool(AdaptivePool),
    LocalResponseNorm(LocalResponseNorm),
    TemporalBlock(TemporalBlock),
    Unet(Unet),
}
