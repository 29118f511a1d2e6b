//! The variational autoencoder (Kingma and Welling 2014, arXiv:1312.6114): which layers encoder and decoder
//! have. `graph` makes the mathematics of them.
//!
//! Parameters are named like those of a PyTorch module with `encoder` and `decoder` of type `nn.Sequential`
//! and a linear layer `latent`. The first half of its outputs are the means, the second half the
//! log-variances of `q(z|x)`.

mod graph;

use crate::base::image::ImageShape;
use crate::graph::GraphError;
use crate::nn::config::ModelConfig;
use crate::nn::config::variational::{Decoder, TrainedVariance, Variance, Variational};
use crate::nn::layers::{Dense, Flatten, LayerConfig};
use crate::nn::losses::Losses;
use crate::nn::model::Model;
use crate::nn::network::Network;

/// Minimum trained variance of a Gaussian decoder (a standard deviation of 0.01 of the scaled feature).
/// Without it, the likelihood of a constant feature would grow without bound.
pub const MIN_VARIANCE: f64 = 1e-4;
/// Log-variances are clamped to `-LOG_VARIANCE_BOUND..=LOG_VARIANCE_BOUND`, where every term of the loss and
/// its gradient is finite in single precision. Outside, the gradient is 0, as with `torch.clamp`.
pub const LOG_VARIANCE_BOUND: f64 = 50.0;

/// Name of the part of a row's loss that is `-ln p(x|z)`, in nats.
pub const RECONSTRUCTION: &str = "reconstruction";
/// Name of the part that is `KL(q(z|x) || p(z))`, in nats.
pub const KL: &str = "kl";
/// Name of the log importance weight `ln p(x|z) + ln p(z) - ln q(z|x)` of each row; the mean of its
/// exponential over draws of `z` is `p(x)` (Burda et al. 2016, arXiv:1509.00519).
pub const LOG_WEIGHT: &str = "log_weight";

/// Name of the importance-weighted estimate of `ln p(x)` of each row: a lower bound that more draws tighten.
pub const LOG_LIKELIHOOD: &str = "log_likelihood";

/// The configuration of a variational autoencoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Vae {
    /// Settings.
    pub settings: Variational,
    /// Number of reconstructed features per row.
    pub features: usize,
    /// Number of classes that encoder and decoder are conditioned on; 0 for none.
    pub classes: usize,
    /// Whether to build only the decoder, which reads codes.
    pub decoder_only: bool,
    /// The shape of the features, if convolutions read them as images.
    image: Option<ImageShape>,
    /// Image layers of the encoder, ending with `flatten`; then its dense layers.
    encoder: [Vec<LayerConfig>; 2],
    /// Dense layers of the decoder, then its image layers.
    decoder: [Vec<LayerConfig>; 2],
    /// Input shape of the decoder's image layers.
    folded: Option<ImageShape>,
}

impl Vae {
    /// The autoencoder of a configuration for rows of `features` numbers; `None` for other families.
    /// `classes` is the number of classes of the target.
    pub fn new(
        config: &ModelConfig,
        features: usize,
        image: Option<ImageShape>,
        classes: usize,
    ) -> Option<Self> {
        let settings = config.variational()?;
        let learned = settings.decoder == Decoder::Gaussian
            && settings.variance == Variance::Trained(TrainedVariance::Learned);
        let per_feature = if learned { 2 } else { 1 };
        let mirrored: Vec<usize> = config.hidden.iter().rev().copied().collect();
        let mut vae = Self {
            settings,
            features,
            classes: if settings.conditional { classes } else { 0 },
            decoder_only: false,
            image,
            encoder: [vec![], config.dense_layers(&config.hidden)],
            decoder: [config.dense_layers(&mirrored), vec![]],
            folded: None,
        };
        match (config.channels.as_deref().unwrap_or_default(), image) {
            ([.., last], Some(image)) => vae.add_convolutions(config, image, *last, per_feature),
            _ => vae.decoder[0].push(Dense { units: per_feature * features, bias: true }.into()),
        }
        Some(vae)
    }

    /// The decoder alone, which maps codes to features.
    pub fn decoder(self) -> Self {
        Self { decoder_only: true, ..self }
    }

    /// Convolutions that halve the image before the dense layers, and transposed convolutions that restore
    /// its size.
    fn add_convolutions(&mut self, config: &ModelConfig, image: ImageShape, last: usize, per_feature: usize) {
        let channels = config.channels.as_deref().unwrap_or_default();
        let mut sizes = vec![[image.height, image.width]];
        for &channels in channels {
            self.encoder[0].push(config.narrowing(channels));
            self.encoder[0].extend(config.norm_and_activation());
            sizes.push(config.narrowed(sizes[sizes.len() - 1]));
        }
        self.encoder[0].push(Flatten {}.into());
        let [height, width] = sizes[channels.len()];
        let folded = ImageShape { channels: last, height, width };
        self.decoder[0].extend(config.dense_layers(&[folded.values()]));
        self.folded = Some(folded);
        for at in (0..channels.len()).rev() {
            let outputs = if at > 0 { channels[at - 1] } else { per_feature * image.channels };
            self.decoder[1].push(config.widening(outputs, sizes[at]));
            if at > 0 {
                self.decoder[1].extend(config.norm_and_activation());
            }
        }
    }
}

impl Model for Vae {
    fn build(&self, net: &mut Network, batch: usize) -> Result<Losses, GraphError> {
        graph::build(net, self, batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::config::Family;
    use crate::nn::layers::Pair;

    #[test]
    fn a_decoder_of_convolutions_gives_back_every_size() {
        for (height, width) in [(8, 8), (7, 5), (9, 6), (1, 1), (28, 3)] {
            for kernel in [1, 3, 5] {
                for variance in [None, Some(Variance::Trained(TrainedVariance::Learned))] {
                    let config = ModelConfig {
                        family: Family::Vae,
                        channels: Some(vec![3, 4, 5]),
                        kernel: Some(Pair::Both(kernel)),
                        hidden: vec![6],
                        variance,
                        ..ModelConfig::default()
                    };
                    let image = ImageShape { channels: 2, height, width };
                    let vae = Vae::new(&config, image.values(), Some(image), 0).unwrap();
                    vae.graph(2, true).unwrap();
                    let decoder = vae.decoder().graph(2, false).unwrap();
                    assert_eq!(decoder.graph.shape(decoder.predictions), &[2, image.values()]);
                }
            }
        }
    }
}
