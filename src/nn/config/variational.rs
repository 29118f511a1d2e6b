//! Keys of the `vae` family in the `[model]` table.

use serde::{Deserialize, Serialize};

use super::{Family, ModelConfig};

/// Distribution of the features, given a latent code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decoder {
    /// Each feature is 1 with a probability; for values between 0 and 1 the cross-entropy.
    Bernoulli,
    /// Each feature is normal around a mean.
    #[default]
    Gaussian,
}

/// Variance of a Gaussian decoder, in units of the scaled features.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Variance {
    /// This number.
    Fixed(f64),
    /// Trained.
    Trained(TrainedVariance),
}

/// Variances that are trained; none falls below [`crate::nn::vae::MIN_VARIANCE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainedVariance {
    /// One for each feature.
    PerFeature,
    /// One for each feature of each row: the decoder gives it beside the mean.
    Learned,
}

/// The settings of a `vae`, defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variational {
    /// Elements of the latent code.
    pub latent: usize,
    /// Distribution of the features.
    pub decoder: Decoder,
    /// Its variance, if it is Gaussian.
    pub variance: Variance,
    /// Weight of the KL term (Higgins et al. 2017, beta-VAE).
    pub beta: f64,
    /// Epochs over which `beta` rises linearly from 0.
    pub warmup: f64,
    /// Nats of each latent dimension's mean KL over a batch that cost nothing more to use (Kingma et al. 2016,
    /// arXiv:1606.04934, their lambda).
    pub free_bits: f64,
    /// Whether encoder and decoder also read the class that `data.target` names.
    pub conditional: bool,
}

impl ModelConfig {
    /// The settings of a `vae`, if that is the family.
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

    /// [`crate::base::step::StepRecord::loss_weight`] of step `step`, counted from 1: a `vae`'s beta with its warm-up.
    pub fn loss_weight(&self, step: u64, steps_per_epoch: u64) -> f64 {
        self.variational().map_or(0.0, |v| {
            let rise = v.warmup * steps_per_epoch as f64;
            if (step as f64) < rise { v.beta * step as f64 / rise } else { v.beta }
        })
    }

    /// Writes the defaults of the family into keys that were not given.
    pub(crate) fn fill_in(&mut self) {
        let Some(v) = self.variational() else { return };
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

    /// The first key of this family that is given.
    pub(crate) fn variational_key(&self) -> Option<&'static str> {
        let given = [
            ("model.latent", self.latent.is_some()),
            ("model.decoder", self.decoder.is_some()),
            ("model.variance", self.variance.is_some()),
            ("model.beta", self.beta.is_some()),
            ("model.warmup", self.warmup.is_some()),
            ("model.free_bits", self.free_bits.is_some()),
            ("model.conditional", self.conditional.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(key, _)| key)
    }
}
