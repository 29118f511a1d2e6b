//! Normalisation across channels.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Layer, Place};
use crate::base::number::is_positive;
use crate::graph::pooling::PoolSpec;
use crate::graph::{GraphError, ValueId};
use crate::nn::network::Network;
use crate::scalar::UnaryFn;

/// Divides each pixel by a power of the mean square of the channels beside it (Krizhevsky et al. 2012, section 3.3):
/// `x / (k + alpha mean(x^2))^beta`, as PyTorch's `LocalResponseNorm`, whose means count zeros beyond the first and
/// the last channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalResponseNorm {
    /// Number of channels in a mean.
    pub size: usize,
    /// Factor of the mean square.
    #[serde(default = "default_alpha")]
    pub alpha: f64,
    /// The power.
    #[serde(default = "default_beta")]
    pub beta: f64,
    /// Added to the mean square.
    #[serde(default = "default_k")]
    pub k: f64,
}

fn default_alpha() -> f64 {
    1e-4
}

fn default_beta() -> f64 {
    0.75
}

fn default_k() -> f64 {
    1.0
}

/// Maximum channels in a mean.
const MAX_SIZE: usize = 4096;

impl Layer for LocalResponseNorm {
    fn name(&self) -> &'static str {
        "local_response_norm"
    }

    fn check(&self) -> Result<(), String> {
        let Self { size, alpha, beta, k } = *self;
        if !(1..=MAX_SIZE).contains(&size) {
            return Err(format!("has size = {size}; allowed are 1 to {MAX_SIZE} channels"));
        }
        if let Some((key, value)) = [("alpha", alpha), ("k", k)].into_iter().find(|(_, v)| !is_positive(*v)) {
            return Err(format!("has {key} = {value}, which is not a finite number above 0"));
        }
        if !(beta.is_finite() && (beta == 0.0 || is_positive(beta.abs()))) {
            return Err(format!("has beta = {beta}, which is not a finite number"));
        }
        Ok(())
    }

    fn build(&self, net: &mut Network, _place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let [batch, height, width, channels] = net.extents("local_response_norm", x)?;
        let Self { size, alpha, beta, k } = *self;
        // Channels as pixels beside each other.
        let lines = net.graph.reshape(x, &[batch, height * width, channels, 1])?;
        let squares = net.graph.unary(UnaryFn::Square, lines)?;
        let padding = [[0, 0], [size / 2, (size - 1) / 2]];
        let spec = PoolSpec { padding, ..PoolSpec::new([1, size]).every([1, 1]) };
        let means = net.graph.avg_pool(squares, &spec)?;
        let y =
            net.graph.formula([lines, means], |[x, means]| x * ((means * alpha + k).ln() * -beta).exp())?;
        net.graph.reshape(y, &[batch, height, width, channels])
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_near, numbers, run};
    use super::*;
    use crate::base::tensor::Tensor;

    #[test]
    fn it_is_the_formula_with_an_odd_and_an_even_number_of_channels() {
        let (pixels, channels) = (4, 6);
        let x = numbers(pixels * channels, 0.7);
        for (size, alpha, beta, k) in
            [(5, 0.3, 0.75, 2.0), (4, 1e-4, 0.5, 1.0), (1, 1.0, 0.75, 1.0), (13, 2.0, 1.0, 0.5)]
        {
            let mut expected = vec![];
            for pixel in x.chunks(channels) {
                for c in 0..channels {
                    // PyTorch pads `size / 2` channels before.
                    let from = c as isize - (size / 2) as isize;
                    let sum: f64 = (from..from + size as isize)
                        .filter(|&at| (0..channels as isize).contains(&at))
                        .map(|at| pixel[at as usize].powi(2))
                        .sum();
                    expected.push(pixel[c] / (k + alpha * sum / size as f64).powf(beta));
                }
            }
            let layer = LocalResponseNorm { size, alpha, beta, k };
            let found = run(&layer, Tensor::new([1, 2, 2, channels], x.clone()), &[]);
            assert_near(&found.data, &expected);
        }
    }
}
