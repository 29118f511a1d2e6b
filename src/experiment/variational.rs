//! Keys of the `vae` family in the `[model]` table.

use serde::{Deserialize, Serialize};

use super::Experiment;
use super::model::{Family, ModelConfig};
use crate::data::config::CategoryEncoding;
use crate::nn::losses::Loss;

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

/// Largest latent code.
const MAX_LATENT: usize = 65_536;

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

    /// [`crate::scalar::StepRecord::loss_weight`] of step `step`, counted from 1: a `vae`'s beta with its warm-up.
    pub fn loss_weight(&self, step: u64, steps_per_epoch: u64) -> f64 {
        self.variational().map_or(0.0, |v| {
            let rise = v.warmup * steps_per_epoch as f64;
            if (step as f64) < rise { v.beta * step as f64 / rise } else { v.beta }
        })
    }

    /// Writes the defaults of the family into keys that were not given.
    pub(super) fn fill_in(&mut self) {
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
    fn variational_key(&self) -> Option<&'static str> {
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

/// The first value of a `vae` that is out of range, or key of it that another family was given.
pub(super) fn check(experiment: &Experiment) -> Result<(), (&'static str, String)> {
    let Experiment { data, model, train, .. } = experiment;
    let Some(settings) = model.variational() else {
        if let Some(key) = model.variational_key() {
            return Err((key, "is a key of `family = \"vae\"`; set the family or take the key out".into()));
        }
        if train.loss == Loss::Elbo {
            return Err(("train.loss", "= \"elbo\" is the loss of `model.family = \"vae\"` alone".into()));
        }
        if data.target.is_none() && data.text.is_none() {
            return Err(("data.target", "is missing; name the column to predict".into()));
        }
        return Ok(());
    };
    let in_range = |key, x: f64, least: f64| {
        if x >= least && (x as f32).is_finite() {
            return Ok(());
        }
        Err((key, format!("= {x} must be a finite number of at least {least}")))
    };
    if !(1..=MAX_LATENT).contains(&settings.latent) {
        return Err(("model.latent", format!("= {} is not in 1..={MAX_LATENT}", settings.latent)));
    }
    in_range("model.beta", settings.beta, 0.0)?;
    in_range("model.warmup", settings.warmup, 0.0)?;
    in_range("model.free_bits", settings.free_bits, 0.0)?;
    if let (Decoder::Bernoulli, Some(_)) = (settings.decoder, model.variance) {
        let reason = "is a key of `decoder = \"gaussian\"`; a Bernoulli decoder has no variance";
        return Err(("model.variance", reason.into()));
    }
    if let Variance::Fixed(variance) = settings.variance {
        in_range("model.variance", variance, 1e-30)?;
    }
    if !model.layers.is_empty() {
        let reason =
            "cannot be given for `family = \"vae\"`; use `hidden` and `channels`, which the decoder mirrors";
        return Err(("model.layer", reason.into()));
    }
    if model.channels.is_some() && model.kernel.get().iter().any(|k| k % 2 == 0) {
        let reason = "must be odd for `family = \"vae\"`, so that the decoder can give back every size";
        return Err(("model.kernel", reason.into()));
    }
    if settings.conditional && data.target.is_none() {
        let reason = "is missing; `model.conditional = true` needs the column that names the class";
        return Err(("data.target", reason.into()));
    }
    if data.transform.categories == CategoryEncoding::Embedding {
        let reason = "= \"embedding\" has nothing to reconstruct; `family = \"vae\"` needs \"one_hot\"";
        return Err(("data.transform.categories", reason.into()));
    }
    if train.loss != Loss::Elbo {
        let reason = format!(
            "= \"{}\" is not what `family = \"vae\"` minimises, which is \"elbo\", the evidence lower bound; take the key out, \
             or write \"elbo\"",
            train.loss.name()
        );
        return Err(("train.loss", reason));
    }
    Ok(())
}
