//! Checks of experiments with a variational autoencoder.

use crate::data::config::CategoryEncoding;
use crate::data::image;
use crate::nn::config::variational::{Decoder, Variance};
use crate::nn::losses::Loss;
use crate::tasks::Settings;

/// Maximum dimension of a latent code.
pub(in crate::tasks) const MAX_LATENT: usize = 65_536;

/// The first value of a `vae` that is out of range, or a key of it that is set for another family.
pub(in crate::tasks) fn check(settings: Settings) -> Result<(), (&'static str, String)> {
    let Settings { data, model, train } = settings;
    let Some(settings) = model.variational() else {
        if let Some(key) = model.variational_key() {
            return Err((key, "is a key of `family = \"vae\"`; set the family or remove the key".into()));
        }
        if model.adversarial().is_some() {
            return Ok(());
        }
        let shared =
            [("model.latent", model.latent.is_some()), ("model.conditional", model.conditional.is_some())];
        if let Some((key, _)) = shared.into_iter().find(|(_, given)| *given) {
            let reason = "is a key of `family = \"vae\"` and `\"gan\"`; set the family or remove the key";
            return Err((key, reason.into()));
        }
        if matches!(train.loss, Loss::Elbo {}) {
            return Err(("train.loss", "= \"elbo\" is only for `model.family = \"vae\"`".into()));
        }
        if data.target.is_none()
            && !data.is_text()
            && !model.is_masked()
            && data.pixel_target().is_none()
            && !image::files::may_hold_images(&data.source)
        {
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
            "cannot be set for `family = \"vae\"`; use `hidden` and `channels`, which the decoder mirrors";
        return Err(("model.layer", reason.into()));
    }
    let convolves = model.channels.as_ref().is_some_and(|channels| !channels.is_empty());
    if convolves && model.kernel_size().get().iter().any(|k| k % 2 == 0) {
        let reason = "must be odd for `family = \"vae\"`, so that the decoder can restore every size";
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
    if !matches!(train.loss, Loss::Elbo {}) {
        let reason = format!(
            "= \"{}\" is not what `family = \"vae\"` minimises, which is \"elbo\", the evidence lower bound; \
             remove the key, or write \"elbo\"",
            train.loss.name()
        );
        return Err(("train.loss", reason));
    }
    Ok(())
}
