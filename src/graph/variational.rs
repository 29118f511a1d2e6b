//! Builder methods of variational autoencoders (Kingma and Welling 2014, arXiv:1312.6114): elementwise
//! formulas whose gradients follow from their parts. Fusion merges each with its sums into one kernel; random
//! numbers are regenerated rather than stored.

use super::{Built, Graph, ValueId};

impl Graph {
    /// `KL(N(mean, e^log_variance) || N(0, 1))`, elementwise:
    /// `(mean^2 + e^log_variance - 1 - log_variance) / 2`. `e^v - 1` keeps its digits near 0, where the
    /// posterior equals the prior.
    pub fn gaussian_kl(&mut self, mean: ValueId, log_variance: ValueId) -> Built {
        self.formula([mean, log_variance], |[mean, v]| (mean.square() + (v.exp_m1() - &v)) * 0.5)
    }

    /// The reparameterisation `mean + noise e^(log_variance / 2)`.
    pub fn reparameterise(&mut self, mean: ValueId, log_variance: ValueId, noise: ValueId) -> Built {
        self.formula([mean, log_variance, noise], |[mean, v, noise]| {
            let deviation = (v * 0.5).exp();
            mean + noise * deviation
        })
    }

    /// `-ln N(x; mean, e^log_variance)`, elementwise:
    /// `(log_variance + (x - mean)^2 e^-log_variance + ln 2 pi) / 2`.
    pub fn gaussian_nll(&mut self, x: ValueId, mean: ValueId, log_variance: ValueId) -> Built {
        self.formula([x, mean, log_variance], |[x, mean, v]| {
            let weighted = (x - mean).square() * (-&v).exp();
            (v + weighted + (2.0 * std::f64::consts::PI).ln()) * 0.5
        })
    }

    /// `-ln Bernoulli(x; sigmoid(logit))`, elementwise; also the cross-entropy for `x` between 0 and 1:
    /// `ln(1 + e^logit) - logit x`, which cannot overflow.
    pub fn bernoulli_nll(&mut self, logits: ValueId, x: ValueId) -> Built {
        self.formula([logits, x], |[logits, x]| logits.softplus() - &logits * x)
    }
}
