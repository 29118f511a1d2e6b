//! Batch normalisation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::{check_eps, default_eps};
use super::{Layer, Place};
use crate::graph::normalisation::Normalised;
use crate::graph::{GraphError, ValueId};
use crate::nn::network::Network;
use crate::scalar::UnaryFn;

/// Batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167). The statistics of the nodes of graphs are of all nodes
/// of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchNorm {
    /// Added to the variance.
    #[serde(default = "default_eps")]
    pub eps: f64,
    /// Weight of the current batch in the running statistics.
    #[serde(default = "default_momentum")]
    pub momentum: f64,
}

/// PyTorch's default momentum for batch normalisation.
pub fn default_momentum() -> f64 {
    0.1
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self { eps: default_eps(), momentum: default_momentum() }
    }
}

impl Layer for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn check(&self) -> Result<(), String> {
        check_eps(self.eps)?;
        let momentum = self.momentum;
        if (0.0..=1.0).contains(&momentum) {
            return Ok(());
        }
        Err(format!("has momentum = {momentum}, which is not in 0..=1"))
    }

    fn normalises_batch(&self) -> bool {
        true
    }

    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        net.batch_norm(&place.name, self, x)
    }
}

impl Network<'_> {
    /// Training uses the batch's mean and variance and updates the running statistics (with the unbiased
    /// variance, as in PyTorch); evaluation uses the running statistics.
    pub(super) fn batch_norm(
        &mut self,
        name: &str,
        &BatchNorm { eps, momentum }: &BatchNorm,
        x: ValueId,
    ) -> Result<ValueId, GraphError> {
        // Every position of an image counts as a row of its channels.
        let shape = self.graph.shape(x).clone();
        let last = shape.len() - 1;
        let (units, axes) = (shape[last], (0..last).collect::<Vec<_>>());
        let rows: usize = shape[..last].iter().product();
        let mut along = vec![1; last];
        along.push(units);
        let names = [format!("{name}.running_mean"), format!("{name}.running_var")];
        let running_mean = self.state(names[0].clone(), &[units], 0.0)?;
        let running_var = self.state(names[1].clone(), &[units], 1.0)?;
        let [weight, bias] = self.scale_and_shift(name, &along)?;
        let frozen = names.iter().any(|name| self.is_frozen(name));
        if self.training && !frozen {
            // Of graphs, only what is there counts.
            let lengths = self.lengths.filter(|_| self.graphs.is_some() && shape.len() == 4);
            let (Normalised { y, mean, .. }, unbiased) = match lengths {
                None => {
                    let found = self.graph.normalise(x, &axes, eps, weight, bias)?;
                    let unbiased = rows as f64 / (rows as f64 - 1.0).max(1.0);
                    let unbiased = self.graph.mul_scalar(found.variance, unbiased)?;
                    (found, unbiased)
                }
                Some(lengths) => {
                    let valid = self.graph.reshape(lengths.valid, &[shape[0], shape[1], 1, 1])?;
                    let count = self.graph.sum(valid, &axes, true)?;
                    let found = self.graph.normalise_valid(x, (valid, count), &axes, eps, [weight, bias])?;
                    let unbiased = self.graph.formula([found.variance, count], |[variance, count]| {
                        variance * count.clone() / (count - 1.0).maximum(1.0)
                    })?;
                    (found, unbiased)
                }
            };
            let [mean_name, var_name] = names;
            for (name, old, new) in [(mean_name, running_mean, mean), (var_name, running_var, unbiased)] {
                let new = self.graph.reshape(new, &[units])?;
                let kept = self.graph.mul_scalar(old, 1.0 - momentum)?;
                let part = self.graph.mul_scalar(new, momentum)?;
                let renewed = self.graph.add(kept, part)?;
                self.updates.push((name, renewed));
            }
            return Ok(y);
        }
        let centred = self.graph.sub(x, running_mean)?;
        let spread = self.graph.add_scalar(running_var, eps)?;
        let deviation = self.graph.unary(UnaryFn::Sqrt, spread)?;
        let normal = self.graph.div(centred, deviation)?;
        let scaled = self.graph.mul(normal, weight)?;
        self.graph.add(scaled, bias)
    }
}
