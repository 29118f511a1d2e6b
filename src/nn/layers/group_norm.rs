//! Group normalisation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::{check_eps, default_eps};
use super::{Layer, Place};
use crate::graph::{GraphError, ValueId};
use crate::nn::network::Network;

/// Normalisation over groups of channels, separately for each image (Wu and He 2018, arXiv:1803.08494).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupNorm {
    /// Number of groups; must divide the number of channels.
    pub groups: usize,
    /// Added to the variance.
    #[serde(default = "default_eps")]
    pub eps: f64,
}

impl Layer for GroupNorm {
    fn name(&self) -> &'static str {
        "group_norm"
    }

    fn check(&self) -> Result<(), String> {
        check_eps(self.eps)
    }

    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let groups = self.groups;
        let [batch, height, width, channels] = net.extents("group_norm", x)?;
        if groups == 0 || !channels.is_multiple_of(groups) {
            let reason = format!("groups = {groups} must divide the {channels} channels");
            return Err(net.graph.error("group_norm", &[x], reason));
        }
        let split = net.graph.reshape(x, &[batch, height * width, groups, channels / groups])?;
        let [weight, bias] = net.scale_and_shift(&place.name, &[1, 1, groups, channels / groups])?;
        let y = net.graph.normalise(split, &[1, 3], self.eps, weight, bias)?.y;
        net.graph.reshape(y, &[batch, height, width, channels])
    }
}
