//! The `[model]` table: a family with defaults, or an explicit list of layers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub mod adversarial;
pub mod classic;
mod kinds;
mod list;
pub mod lora;
mod mirrored;
mod named;
pub mod recurrent;
pub mod temporal;
pub mod transformer;
pub mod unet;
pub mod unread;
pub mod variational;

use crate::nn::imported::Imported;
use crate::nn::inputs::embedding_width;
use crate::nn::layers::keys::{three, two};
use crate::nn::layers::recurrent::Cell;
use crate::nn::layers::{
    Activate, Activation, BatchNorm, Conv2d, Dense, Dropout, Flatten, GroupNorm, LayerConfig, LayerNorm,
    MaxPool, NamedPadding, Padding, Pair, default_eps,
};
use adversarial::{GanLoss, OutputRange};
use classic::Stem;
pub use kinds::{Family, Head, Norm, Objective};
use lora::LoraConfig;
pub(crate) use named::Listed;
use named::Named;
use transformer::{Order, TokensOf};
use variational::{Decoder, Variance};

/// The model to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table such as { family = \"mlp\", hidden = [128, 64] }")]
pub struct ModelConfig {
    /// Kind of network.
    #[serde(default)]
    pub family: Family,
    /// Channels of the convolutions, each followed by normalisation and activation. `cnn`: 32 and 64 by
    /// default, each with pooling. `vae`, `gan`: none by default; each halves the image in the encoder or
    /// discriminator and doubles it in the decoder or generator. `tcn`: features of its blocks' steps, `[64, 64, 64]` by
    /// default. `unet`: channels at each size, the image being halved between them, `[32, 64, 128, 256]` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<usize>>,
    /// `cnn`, `vae`, `gan`: kernel size of the convolutions (default 3, of a `gan` 4); padding keeps the size of
    /// the image, or half of it where a convolution halves. `tcn`: steps that a convolution reads (default 3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Pair>,
    /// `resnet`: number of layers with weights, 18, 34, 50, 101 or 152 as for ImageNet, or 20, 32, 44, 56 or 110 as for
    /// CIFAR (default 18).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    /// `resnet` as for ImageNet, `alexnet`: the first layers, `"imagenet"` (a large kernel with a stride, and pooling) or
    /// `"cifar"` (3 x 3, which keeps the size); by default the latter if a side of the images has fewer than 64 pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stem: Option<Stem>,
    /// `cnn`: window size of the pooling after each convolution (default 2); 1 for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pair>,
    /// Units of the hidden layers. `vae`, `gan`: of the encoder or discriminator; decoder or generator have
    /// them in the opposite order.
    #[serde(default = "default_hidden")]
    pub hidden: Vec<usize>,
    /// Activation after each hidden layer; of a `transformer` also `"swiglu"`. `gan`: of the generator; the discriminator has `leaky_relu` with
    /// slope 0.2.
    #[serde(default)]
    pub activation: Activation,
    /// Normalisation before each activation. `gan`: of the generator; the discriminator has none.
    #[serde(default)]
    pub norm: Norm,
    /// Dropout rate of the hidden units. `gan`: of the discriminator. `alexnet`: 0.5 by default.
    #[serde(default)]
    pub dropout: f64,
    /// Embedding width of a category; by default half the number of categories, at most 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_width: Option<usize>,
    /// `rnn`: the cell, `"tanh"`, `"relu"`, `"lstm"` (default) or `"gru"`; `hidden` lists the recurrent
    /// layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<Cell>,
    /// `rnn`: whether each layer also reads the sequence backwards (default false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bidirectional: Option<bool>,
    /// `rnn`: units of the dense layers after the recurrent ones (default none).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dense: Option<Vec<usize>>,
    /// `transformer`: features of a token (default 64).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// `transformer`: heads of the attention, which divide `width` (default 4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heads: Option<usize>,
    /// `transformer`: number of blocks (default 2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<usize>,
    /// `transformer`: units between the two dense layers of a block (default four times `width`, of `swiglu` two thirds of
    /// that).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed_forward: Option<usize>,
    /// `transformer` on images: height and width of a patch in pixels (default 4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<Pair>,
    /// `transformer` of a text: whether the output layer has the weights of the embedding, transposed, and no bias
    /// (default false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tied: Option<bool>,
    /// `transformer` of a text: what is learned, `"next"` (default), the next symbol from those before it, or `"masked"`,
    /// hidden symbols from those on both sides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<Objective>,
    /// `transformer`: how it knows where a token is, `"learned"` (default), `"sinusoidal"`, `"rotary"`,
    /// `"alibi"` or `"none"`; the numbers of a table's row have no order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positions: Option<Order>,
    /// `vae`, `gan`: dimension of the latent code (default 16, of a `gan` 64).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latent: Option<usize>,
    /// `vae`: distribution of the features, `"gaussian"` (default) or `"bernoulli"` for values in 0..1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder: Option<Decoder>,
    /// `vae` with a Gaussian decoder: the variance, a number, `"per_feature"` (default) or `"learned"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variance: Option<Variance>,
    /// `vae`: weight of the KL term (default 1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta: Option<f64>,
    /// `vae`: epochs over which `beta` rises from 0 (default 0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup: Option<f64>,
    /// `vae`: free nats per latent dimension (default 0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_bits: Option<f64>,
    /// `vae`, `gan`: whether both parts read the class in `data.target`, so that samples can be of a class
    /// (default false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditional: Option<bool>,
    /// `gan`: what generator and discriminator minimise, `"original"` (default), `"least_squares"`,
    /// `"wasserstein"` or `"wasserstein_gp"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gan_loss: Option<GanLoss>,
    /// `gan` with `gan_loss = "wasserstein"`: bound of every weight of the discriminator (default 0.01).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// `gan` with `gan_loss = "wasserstein_gp"`: factor of the gradient penalty (default 10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub penalty: Option<f64>,
    /// `gan`: steps of the discriminator, each on a batch of its own, before each step of the generator
    /// (default 1, of Wasserstein losses 5). All of them are one training step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critic_steps: Option<usize>,
    /// `gan`: whether every dense layer and convolution of the discriminator has spectral normalisation, so that its
    /// scores change no faster than the rows (default false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spectral_norm: Option<bool>,
    /// `gan`: decay of the running average of the generator's weights, which is evaluated, sampled and
    /// exported (default 0.999; 0 for the weights themselves). In the first steps it is smaller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<f64>,
    /// `gan` of images: the run of a classifier of such images. Its last hidden features judge the samples of every
    /// epoch, and the epoch with the least Frechet distance is the best one, instead of the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<String>,
    /// `gan`: the range of what the generator draws, `"sigmoid"` for 0..1 (default with
    /// `data.transform.numbers = "min_max"`) or `"linear"` for any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputRange>,
    /// `gan`: layers of the generator instead of those that `hidden` and `channels` say. It reads rows; an output
    /// layer is added unless the last one gives images of the right shape.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list::generator")]
    pub generator: Vec<LayerConfig>,
    /// `gan`: layers of the discriminator instead of those that `hidden` and `channels` say; the output layer is
    /// added.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list::discriminator")]
    pub discriminator: Vec<LayerConfig>,
    /// A network that others made, an `.onnx` file, instead of layers: it reads the features of a row, in the shape of its
    /// input, and its weights are those that training starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// With `from`: the output of the file that predicts; by default the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_output: Option<String>,
    /// With `from`: the SHA-256 of the file, which runs note so that they notice another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_sha256: Option<String>,
    /// With `from`: whether the last dense layer is kept as it is (`"keep"`, default), or a new one with an output for
    /// each of the target's takes the place of it and of what follows it (`"new"`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// Low-rank adapters, which alone are trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraConfig>,
    /// The network of `from`.
    #[serde(skip)]
    pub network: Option<Imported>,
    /// Explicit hidden layers instead of `hidden`; the output layer is added automatically.
    #[serde(
        default,
        rename = "layer",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "list::layers"
    )]
    pub layers: Vec<LayerConfig>,
}

/// Default channels of a `cnn`.
const CHANNELS: [usize; 2] = [32, 64];

fn default_hidden() -> Vec<usize> {
    vec![128, 64]
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            family: Family::Mlp,
            channels: None,
            kernel: None,
            depth: None,
            stem: None,
            pool: None,
            hidden: default_hidden(),
            activation: Activation::Relu,
            norm: Norm::None,
            dropout: 0.0,
            embedding_width: None,
            cell: None,
            bidirectional: None,
            dense: None,
            width: None,
            heads: None,
            blocks: None,
            feed_forward: None,
            patch: None,
            tied: None,
            objective: None,
            positions: None,
            latent: None,
            decoder: None,
            variance: None,
            beta: None,
            warmup: None,
            free_bits: None,
            conditional: None,
            gan_loss: None,
            clip: None,
            penalty: None,
            critic_steps: None,
            spectral_norm: None,
            average: None,
            features: None,
            output: None,
            generator: vec![],
            discriminator: vec![],
            from: None,
            from_output: None,
            from_sha256: None,
            head: None,
            lora: None,
            network: None,
            layers: vec![],
        }
    }
}

impl ModelConfig {
    /// The hidden layers in order, with the family's layers expanded.
    pub fn hidden_layers(&self) -> Vec<LayerConfig> {
        if !self.layers.is_empty() {
            return self.layers.clone();
        }
        match self.family {
            Family::Rnn => return self.recurrent_layers(),
            Family::Transformer => return self.layers_of(TokensOf::Steps),
            Family::Resnet | Family::Alexnet | Family::Tcn | Family::Unet => {
                return self.listed(TokensOf::Steps, None).layers;
            }
            _ => {}
        }
        let mut layers = if self.family == Family::Cnn { self.convolutions() } else { vec![] };
        layers.extend(self.dense_layers(&self.hidden));
        layers
    }

    /// Dense layers of these sizes, each followed by normalisation, activation and dropout.
    pub fn dense_layers(&self, sizes: &[usize]) -> Vec<LayerConfig> {
        let eps = default_eps();
        let mut layers = vec![];
        for &units in sizes {
            layers.push(Dense { units, bias: true }.into());
            match self.norm {
                Norm::None => {}
                Norm::Layer => layers.push(LayerNorm { eps }.into()),
                Norm::Batch => layers.push(BatchNorm::default().into()),
            }
            layers.push(Activate::from(self.activation).into());
            if self.dropout > 0.0 {
                layers.push(Dropout { rate: self.dropout }.into());
            }
        }
        layers
    }

    /// Whether hidden symbols of texts are predicted.
    pub fn is_masked(&self) -> bool {
        self.objective == Some(Objective::Masked)
    }

    /// Features of an embedded symbol of a text, of so many symbols.
    pub(crate) fn symbol_width(&self, vocabulary: usize) -> usize {
        self.embedding_width.unwrap_or_else(|| match self.family {
            Family::Transformer => self.token_width(),
            _ => embedding_width(vocabulary),
        })
    }

    /// Kernel size of the convolutions.
    pub fn kernel_size(&self) -> Pair {
        self.kernel.unwrap_or(three())
    }

    /// Fills in the family's defaults for missing keys; `is_given` says which keys of the table are not. With explicit layers there are none but a `vae`'s.
    pub(crate) fn fill_in(&mut self, is_given: &dyn Fn(&str) -> bool) {
        let is_cnn = self.family == Family::Cnn && self.layers.is_empty();
        // Defaults of other families say nothing; runs of earlier versions do not have them either.
        if !is_cnn {
            let named = matches!(self.family, Family::Resnet | Family::Alexnet | Family::Unet);
            if !named && !matches!(self.family, Family::Gan | Family::Tcn) {
                self.kernel.take_if(|kernel| *kernel == three());
            }
            if !named && self.family != Family::Tcn {
                self.pool.take_if(|pool| *pool == two());
            }
        }
        match self.family {
            Family::Vae => self.fill_in_variational(),
            Family::Gan => self.fill_in_adversarial(),
            Family::Transformer if self.layers.is_empty() => self.fill_in_transformer(),
            Family::Cnn if is_cnn => {
                self.channels.get_or_insert(CHANNELS.to_vec());
                self.kernel.get_or_insert(three());
                self.pool.get_or_insert(two());
            }
            Family::Resnet | Family::Alexnet if self.layers.is_empty() => self.fill_in_classic(is_given),
            Family::Tcn if self.layers.is_empty() => self.fill_in_temporal(),
            Family::Unet if self.layers.is_empty() => self.fill_in_u_shaped(),
            Family::Rnn if self.layers.is_empty() => {
                self.cell.get_or_insert_default();
                self.bidirectional.get_or_insert_default();
                self.dense.get_or_insert_default();
            }
            _ => {}
        }
    }

    /// The layers of a `cnn` before the dense layers.
    fn convolutions(&self) -> Vec<LayerConfig> {
        let eps = default_eps();
        let pool = self.pool.unwrap_or(two());
        let mut layers = vec![];
        for &channels in self.channels.as_deref().unwrap_or(&CHANNELS) {
            let convolution = Conv2d {
                padding: Padding::Named(NamedPadding::Same),
                bias: self.norm == Norm::None,
                ..Conv2d::new(channels, self.kernel_size())
            };
            layers.push(convolution.into());
            match self.norm {
                Norm::None => {}
                Norm::Layer => layers.push(GroupNorm { groups: 1, eps }.into()),
                Norm::Batch => layers.push(BatchNorm::default().into()),
            }
            layers.push(Activate::from(self.activation).into());
            if pool.get() != [1, 1] {
                layers.push(MaxPool::new(pool).into());
            }
        }
        layers.push(Flatten {}.into());
        layers
    }
}
