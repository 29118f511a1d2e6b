//! Where the optimizer keeps what it remembers of each parameter.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the optimizer keeps its state, such as Adam's two moments, which are twice as large as the weights. Weights and their
/// gradients are on the device always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerState {
    /// All of it on the device, or on that of each process.
    #[default]
    Device,
    /// Each of several processes keeps that of one part of the weights and updates this part, as stage 1 of ZeRO does
    /// ([Rajbhandari et al. 2020](https://arxiv.org/abs/1910.02054)).
    Sharded,
    /// In the host's memory, where the CPU computes the update from gradients that it reads in every step
    /// ([Ren et al. 2021](https://arxiv.org/abs/2101.06840)); each of several processes keeps that of one part of the weights.
    Host,
}
