//! Builder methods of variational autoencoders (Kingma and Welling 2014, arXiv:1312.6114): elementwise formulas whose
//! gradients come from their parts. Fusion makes one kernel of each with its sums; random numbers are regenerated.

use super::build::Built;
use super::{Graph, ValueId};
use crate::scalar::UnaryFn;

impl Graph {
    /// `KL(N(mean, e^log_variance) || N(0, 1))` of each element: `(mean^2 + e^log_variance - 1 - log_variance) / 2`.
    /// `e^v - 1` keeps its digits near 0, where a posterior equals the prior.
    pub fn gaussian_kl(&mut self, mean: ValueId, log_variance: ValueId) -> Built {
        let square = self.unary(UnaryFn::Square, mean)?;
        let growth = self.unary(UnaryFn::ExpM1, log_variance)?;
        let spread = self.sub(growth, log_variance)?;
        let sum = self.add(square, spread)?;
        self.mul_scalar(sum, 0.5)
    }

    /// The reparameterisation `mean + noise e^(log_variance / 2)`.
    pub fn reparameterise(&mut self, mean: ValueId, log_variance: ValueId, noise: ValueId) -> Built {
        let half = self.mul_scalar(log_variance, 0.5)?;
        let deviation = self.exp(half)?;
        let change = self.mul(noise, deviation)?;
        self.add(mean, change)
    }

    /// `-ln N(x; mean, e^log_variance)` of each element:
    /// `(log_variance + (x - mean)^2 e^-log_variance + ln 2 pi) / 2`.
    pub fn gaussian_nll(&mut self, x: ValueId, mean: ValueId, log_variance: ValueId) -> Built {
        let error = self.sub(x, mean)?;
        let square = self.unary(UnaryFn::Square, error)?;
        let negative = self.neg(log_variance)?;
        let precision = self.exp(negative)?;
        let weighted = self.mul(square, precision)?;
        let sum = self.add(log_variance, weighted)?;
        let all = self.add_scalar(sum, (2.0 * std::f64::consts::PI).ln())?;
        self.mul_scalar(all, 0.5)
    }

    /// `-ln Bernoulli(x; sigmoid(logit))` of each element, also the cross-entropy for `x` between 0 and 1:
    /// `ln(1 + e^logit) - logit x`, which no logit makes overflow.
    pub fn bernoulli_nll(&mut self, logits: ValueId, x: ValueId) -> Built {
        let soft = self.unary(UnaryFn::Softplus, logits)?;
        let product = self.mul(logits, x)?;
        self.sub(soft, product)
    }
}
