//! Root-mean-square normalisation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::check_eps;
use super::{Layer, Place};
use crate::graph::{GraphError, ValueId};
use crate::nn::init::Init;
use crate::nn::network::Network;
use crate::scalar::UnaryFn;

/// `x / sqrt(mean(x^2) + eps) * w` for each row, or each step of a sequence (Zhang and Sennrich 2019, arXiv:1910.07467; PyTorch's
/// `RMSNorm`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RmsNorm {
    /// Added to the mean square; the machine epsilon by default, as in PyTorch.
    #[serde(default = "precision")]
    pub eps: f64,
}

fn precision() -> f64 {
    f64::from(f32::EPSILON)
}

impl Layer for RmsNorm {
    fn name(&self) -> &'static str {
        "rms_norm"
    }

    fn check(&self) -> Result<(), String> {
        check_eps(self.eps)
    }

    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        net.of_each(x, |net, x| {
            let [_, units] = net.rows("rms_norm", x)?;
            let weight =
                net.parameter(format!("{}.weight", place.name), &[units], Init::Constant(1.0), false)?;
            let g = &mut *net.graph;
            let square = g.unary(UnaryFn::Square, x)?;
            let mean = g.mean(square, &[1], true)?;
            let spread = g.add_scalar(mean, self.eps)?;
            let root = g.unary(UnaryFn::Sqrt, spread)?;
            let normal = g.div(x, root)?;
            g.mul(normal, weight)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_near, numbers, run};
    use super::*;
    use crate::base::tensor::Tensor;

    #[test]
    fn each_row_is_divided_by_its_root_mean_square() {
        let (batch, units, eps) = (3, 5, 0.01);
        let (x, weight) = (numbers(batch * units, 0.2), numbers(units, 1.3));
        let mut expected = vec![];
        for row in x.chunks(units) {
            let root = (row.iter().map(|x| x * x).sum::<f64>() / units as f64 + eps).sqrt();
            expected.extend(row.iter().zip(&weight).map(|(x, w)| x / root * w));
        }
        let found = run(&RmsNorm { eps }, Tensor::new([batch, units], x), &[weight]);
        assert_near(&found.data, &expected);
    }

    #[test]
    fn its_epsilon_is_checked_and_its_default_is_pytorch_s() {
        assert!(RmsNorm { eps: -1.0 }.check().is_err());
        let layer: RmsNorm = toml::from_str("").unwrap();
        assert_eq!(layer.eps, 1.1920928955078125e-7);
        assert!(toml::from_str::<RmsNorm>("epsilon = 1e-5").is_err());
    }
}
