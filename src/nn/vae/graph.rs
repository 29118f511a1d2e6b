//! The mathematics of an autoencoder: `q(z|x)`, `p(x|z)` and the evidence lower bound, row by row.

use super::{KL, LOG_VARIANCE_BOUND, LOG_WEIGHT, MIN_VARIANCE, RECONSTRUCTION, Vae};
use crate::base::rng::RandomKind;
use crate::base::rng::streams;
use crate::base::step::StepScalar;
use crate::base::tensor::DType;
use crate::graph::{Graph, GraphError, Source, ValueId};
use crate::nn::config::variational::{Decoder, TrainedVariance, Variance};
use crate::nn::init::Init;
use crate::nn::inputs::{X, Y};
use crate::nn::losses::Losses;
use crate::nn::network::Network;
use crate::scalar::UnaryFn;

/// Appends the autoencoder for `batch` rows. The predictions are the means of `q(z|x)`, `[B, latent]`; for
/// the decoder alone, they are the expected features of its input codes, `[B, features]`.
///
/// # Errors
/// If layer sizes do not match.
pub(in crate::nn) fn build(net: &mut Network, vae: &Vae, batch: usize) -> Result<Losses, GraphError> {
    net.graph.set_layer("input");
    let width = if vae.decoder_only { vae.settings.latent } else { vae.features };
    let x = net.graph.source(Source::Batch(X.into()), &[batch, width], DType::F32)?;
    let class = class_of_rows(net.graph, vae, batch)?;
    if vae.decoder_only {
        return decoder_only(net, vae, x, class);
    }
    let [mean, log_variance] = encode(net, vae, x, class)?;
    let noise = net.graph.random(RandomKind::Normal, streams::LATENT, &[batch, vae.settings.latent])?;
    let z = net.graph.reparameterise(mean, log_variance, noise)?;
    let likelihood = decode(net, vae, z, class)?;
    net.graph.set_layer("loss");
    let elements = likelihood.nll(net.graph, x)?;
    let reconstruction = net.graph.sum(elements, &[1], false)?;
    let kl_elements = net.graph.gaussian_kl(mean, log_variance)?;
    let kl = net.graph.sum(kl_elements, &[1], false)?;
    if net.training {
        let [rows, mean_loss] = objective(net.graph, vae, reconstruction, kl, kl_elements)?;
        return Ok(Losses { predictions: mean, rows, mean: mean_loss, parts: vec![] });
    }
    let beta = net.graph.mul_scalar(kl, vae.settings.beta)?;
    let rows = net.graph.add(reconstruction, beta)?;
    let mean_loss = net.graph.mean(rows, &[0], false)?;
    let log_weight = log_weight(net.graph, [z, noise, log_variance, reconstruction])?;
    let parts = vec![(RECONSTRUCTION, reconstruction), (KL, kl), (LOG_WEIGHT, log_weight)];
    Ok(Losses { predictions: mean, rows, mean: mean_loss, parts })
}

/// Maps codes to expected features. The loss of a code is that under the prior, `-ln N(z; 0, 1)`.
fn decoder_only(
    net: &mut Network,
    vae: &Vae,
    codes: ValueId,
    class: Option<ValueId>,
) -> Result<Losses, GraphError> {
    let likelihood = decode(net, vae, codes, class)?;
    let predictions = likelihood.expected(net.graph)?;
    let zero = net.graph.scalar(0.0)?;
    let elements = net.graph.gaussian_nll(codes, zero, zero)?;
    let rows = net.graph.sum(elements, &[1], false)?;
    let mean = net.graph.mean(rows, &[0], false)?;
    Ok(Losses { predictions, rows, mean, parts: vec![] })
}

/// The class of each row, one-hot encoded, `[B, classes]`.
fn class_of_rows(g: &mut Graph, vae: &Vae, batch: usize) -> Result<Option<ValueId>, GraphError> {
    let count = vae.classes;
    if count == 0 {
        return Ok(None);
    }
    let labels = g.source(Source::Batch(Y.into()), &[batch], DType::U32)?;
    g.one_hot(labels, count).map(Some)
}

fn beside(g: &mut Graph, x: ValueId, class: Option<ValueId>) -> Result<ValueId, GraphError> {
    match class {
        Some(class) => g.concat(&[x, class], 1),
        None => Ok(x),
    }
}

/// Mean and log-variance of `q(z|x)`, `[B, latent]`.
fn encode(
    net: &mut Network,
    vae: &Vae,
    x: ValueId,
    class: Option<ValueId>,
) -> Result<[ValueId; 2], GraphError> {
    net.begin("encoder.", streams::LAYERS);
    let mut h = x;
    if let (Some(image), false) = (vae.image, vae.encoder[0].is_empty()) {
        h = net.images(h, image.into())?;
        h = net.layers(&vae.encoder[0], 0, h)?;
    }
    h = beside(net.graph, h, class)?;
    h = net.layers(&vae.encoder[1], vae.encoder[0].len(), h)?;
    net.begin("", streams::LAYERS);
    net.graph.set_layer("latent");
    let latent = vae.settings.latent;
    let both = net.dense("latent", 2 * latent, true, h)?;
    let batch = net.graph.shape(both)[0];
    let mean = net.graph.slice(both, &[0, 0], &[batch, latent])?;
    let raw = net.graph.slice(both, &[0, latent], &[batch, latent])?;
    Ok([mean, bounded(net.graph, raw)?])
}

/// Clamps a log-variance to the bound.
fn bounded(g: &mut Graph, log_variance: ValueId) -> Result<ValueId, GraphError> {
    let [least, most] = [g.scalar(-LOG_VARIANCE_BOUND)?, g.scalar(LOG_VARIANCE_BOUND)?];
    let above = g.maximum(log_variance, least)?;
    g.minimum(above, most)
}

/// The parameters of `p(x|z)`, each `[B, features]` or broadcast to it.
enum Likelihood {
    Bernoulli { logits: ValueId },
    Gaussian { mean: ValueId, log_variance: ValueId },
}

impl Likelihood {
    /// `-ln p(x|z)` of each feature.
    fn nll(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, GraphError> {
        match *self {
            Self::Bernoulli { logits } => g.bernoulli_nll(logits, x),
            Self::Gaussian { mean, log_variance } => g.gaussian_nll(x, mean, log_variance),
        }
    }

    /// The expectation of each feature.
    fn expected(&self, g: &mut Graph) -> Result<ValueId, GraphError> {
        match *self {
            Self::Bernoulli { logits } => g.unary(UnaryFn::Sigmoid, logits),
            Self::Gaussian { mean, .. } => Ok(mean),
        }
    }
}

fn decode(
    net: &mut Network,
    vae: &Vae,
    z: ValueId,
    class: Option<ValueId>,
) -> Result<Likelihood, GraphError> {
    // Separate random streams for dropout.
    net.begin("decoder.", streams::LAYERS + 0x8000);
    let mut h = beside(net.graph, z, class)?;
    h = net.layers(&vae.decoder[0], 0, h)?;
    let batch = net.graph.shape(h)[0];
    if let Some(folded) = vae.folded {
        h = net.images(h, folded.into())?;
        h = net.layers(&vae.decoder[1], vae.decoder[0].len(), h)?;
        let planes = net.graph.channels_first(h)?;
        let values = net.graph.shape(planes)[1..].iter().product();
        h = net.graph.reshape(planes, &[batch, values])?;
    }
    net.begin("", streams::LAYERS);
    net.graph.set_layer("likelihood");
    let features = vae.features;
    if vae.settings.decoder == Decoder::Bernoulli {
        return Ok(Likelihood::Bernoulli { logits: h });
    }
    let mean = net.graph.slice(h, &[0, 0], &[batch, features])?;
    let log_variance = match vae.settings.variance {
        Variance::Fixed(variance) => net.graph.scalar(variance.ln())?,
        Variance::Trained(TrainedVariance::PerFeature) => {
            let name = "decoder.log_variance".to_string();
            let raw = net.parameter(name, &[features], Init::Constant(0.0), false)?;
            at_least_the_least_variance(net.graph, raw)?
        }
        Variance::Trained(TrainedVariance::Learned) => {
            let raw = net.graph.slice(h, &[0, features], &[batch, features])?;
            at_least_the_least_variance(net.graph, raw)?
        }
    };
    Ok(Likelihood::Gaussian { mean, log_variance })
}

/// `ln(MIN_VARIANCE + e^raw)`: smooth, so that a variance that has become small can grow again.
fn at_least_the_least_variance(g: &mut Graph, raw: ValueId) -> Result<ValueId, GraphError> {
    let bounded = bounded(g, raw)?;
    let variance = g.exp(bounded)?;
    let variance = g.add_scalar(variance, MIN_VARIANCE)?;
    g.unary(UnaryFn::Log, variance)
}

/// The training objective of each row and its mean: reconstruction plus KL, with the weight of the warm-up
/// and the free bits, which apply to the batch's mean KL per latent dimension.
fn objective(
    g: &mut Graph,
    vae: &Vae,
    reconstruction: ValueId,
    kl: ValueId,
    kl_elements: ValueId,
) -> Result<[ValueId; 2], GraphError> {
    let settings = &vae.settings;
    let weight = match settings.warmup {
        0.0 => g.scalar(settings.beta)?,
        _ => g.step_scalar(StepScalar::LossWeight)?,
    };
    let weighted = g.mul(kl, weight)?;
    let rows = g.add(reconstruction, weighted)?;
    if settings.free_bits == 0.0 {
        return Ok([rows, g.mean(rows, &[0], false)?]);
    }
    let of_dimensions = g.mean(kl_elements, &[0], false)?;
    let free = g.scalar(settings.free_bits)?;
    let counted = g.maximum(of_dimensions, free)?;
    let counted = g.sum(counted, &[0], false)?;
    let weighted = g.mul(counted, weight)?;
    let mean = g.mean(reconstruction, &[0], false)?;
    Ok([rows, g.add(mean, weighted)?])
}

/// `ln p(x|z) + ln p(z) - ln q(z|x)` per row; the constants of the densities cancel.
fn log_weight(
    g: &mut Graph,
    [z, noise, log_variance, reconstruction]: [ValueId; 4],
) -> Result<ValueId, GraphError> {
    // noise^2 - z^2 + log-variance. As three terms, a GPU's compiler could reorder the additions.
    let (difference, sum) = (g.sub(noise, z)?, g.add(noise, z)?);
    let squares = g.mul(difference, sum)?;
    let doubled = g.add(squares, log_variance)?;
    let doubled = g.sum(doubled, &[1], false)?;
    let densities = g.mul_scalar(doubled, 0.5)?;
    g.sub(densities, reconstruction)
}
