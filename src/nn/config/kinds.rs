//! Kinds of networks, and choices within them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kind of network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Dense layers on table rows.
    #[default]
    Mlp,
    /// Convolutions and pooling on images, then dense layers.
    Cnn,
    /// Residual network on images (He et al. 2016), with torchvision's names of parameters.
    Resnet,
    /// Convolutions, then two dense layers of 4096 units, on images (Krizhevsky 2014), with torchvision's names of
    /// parameters.
    Alexnet,
    /// Recurrent layers on windows of a series or the rows of images, then dense layers.
    Rnn,
    /// Temporal convolutional network on windows of a series, the rows of images or a text (Bai et al. 2018): residual
    /// blocks of causal convolutions, each with twice the dilation of the one before.
    Tcn,
    /// Attention among the characters of a text, the steps of a series, the patches of images or the numbers of
    /// a row.
    Transformer,
    /// Convolutions on images that are halved several times and enlarged again (Ronneberger et al. 2015), for something
    /// of each pixel (`data.image.target`): segmentation, restoration.
    Unet,
    /// Variational autoencoder: learns the distribution of the features, draws samples, and scores anomalies.
    Vae,
    /// Adversarial pair: a generator learns to draw rows or images that a discriminator cannot tell from real
    /// ones.
    Gan,
}

/// What a model of a text learns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// The next symbol from those before it.
    #[default]
    Next,
    /// Hidden symbols from those on both sides.
    Masked,
}

/// What becomes of the last dense layer of an imported network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// It stays as it is.
    #[default]
    Keep,
    /// A new one takes its place.
    New,
}

/// Normalisation before the activation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// None.
    #[default]
    None,
    /// Each row to mean 0 and variance 1.
    Layer,
    /// Each unit to mean 0 and variance 1 over the batch.
    Batch,
}
