//! Keys of the `vae` family in the `[model]` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Family, ModelConfig};
use crate::nn::layers::keys::three;

/// Distribution of the features given a latent code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decoder {
    /// Each feature is 1 with some probability; values between 0 and 1 use the cross-entropy.
    Bernoulli,
    /// Each feature is normally distributed around a mean.
    #[default]
    Gaussian,
}

/// Variance of a Gaussian decoder, in units of the scaled features.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number such as 1.0, \"per_feature\" or \"learned\"")]
pub enum Variance {
    /// A fixed value.
    Fixed(f64),
    /// Trained.
    Trained(TrainedVariance),
}

/// Trained variances; none falls below [`crate::nn::vae::MIN_VARIANCE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrainedVariance {
    /// One per feature.
    PerFeature,
    /// One per feature and row: an output of the decoder, like the mean.
    Learned,
}

/// The settings of a `vae`, with defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variational {
    /// Dimension of the latent code.
    pub latent: usize,
    /// Distribution of the features.
    pub decoder: Decoder,
    /// Variance of a Gaussian decoder.
    pub variance: Variance,
    /// Weight of the KL term (Higgins et al. 2017, beta-VAE).
    pub beta: f64,
    /// Epochs over which `beta` rises linearly from 0.
    pub warmup: f64,
    /// Free nats of each latent dimension's mean KL over a batch: up to this value, the KL adds nothing to
    /// the loss (Kingma et al. 2016, arXiv:1606.04934, their lambda).
    pub free_bits: f64,
    /// Whether encoder and decoder are conditioned on the class in `data.target`.
    pub conditional: bool,
}

impl ModelConfig {
    /// The settings of a `vae`; `None` for other families.
    pub fn variational(&self) -> Option<Variational> {
        (self.family == Family::Vae).then(|| Variational {
            latent: self.latent.unwrap_or(16),
            decoder: self.decoder.unwrap_or_default(),
            variance: self.variance.unwrap_or(Variance::Trained(TrainedVariance::PerFeature)),
            beta: self.beta.unwrap_or(1.0),
            warmup: self.warmup.unwrap_or(0.0),
            free_bits: self.free_bits.unwrap_or(0.0),
            conditional: self.conditional.unwrap_or(false),
        })
    }

    /// [`crate::base::step::StepRecord::loss_weight`] at step `step`, counted from 1: a `vae`'s beta with its
    /// warm-up, or the decay of a `gan`'s running average.
    pub fn loss_weight(&self, step: u64, steps_per_epoch: u64) -> f64 {
        if let Some(gan) = self.adversarial() {
            return gan.decay(step);
        }
        self.variational().map_or(0.0, |v| {
            let rise = v.warmup * steps_per_epoch as f64;
            if (step as f64) < rise { v.beta * step as f64 / rise } else { v.beta }
        })
    }

    /// Fills in the defaults of a `vae` for missing keys.
    pub(super) fn fill_in_variational(&mut self) {
        let Some(v) = self.variational() else { return };
        let channels = self.channels.get_or_insert_default();
        if !channels.is_empty() {
            self.kernel.get_or_insert(three());
        }
        self.latent = Some(v.latent);
        self.decoder = Some(v.decoder);
        if v.decoder == Decoder::Gaussian {
            self.variance = Some(v.variance);
        }
        self.beta = Some(v.beta);
        self.warmup = Some(v.warmup);
        self.free_bits = Some(v.free_bits);
        self.conditional = Some(v.conditional);
    }

    /// The first key of this family that is set; those that it shares with others are not looked at.
    pub(crate) fn variational_key(&self) -> Option<&'static str> {
        let given = [
            ("model.decoder", self.decoder.is_some()),
            ("model.variance", self.variance.is_some()),
            ("model.beta", self.beta.is_some()),
            ("model.warmup", self.warmup.is_some()),
            ("model.free_bits", self.free_bits.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(key, _)| key)
    }
}
