//! The `[data.image]` table of an experiment file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::image::ImageShape;

/// Rows that are images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table such as { shape = [1, 28, 28] }")]
pub struct ImageConfig {
    /// `[channels, height, width]`. In a table, the shape of the image whose pixels are the feature columns
    /// in this order. For image files, the required shape (by default whatever they have); pictures in a
    /// folder are resized to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<ImageShape>,
    /// How pictures become `shape` if theirs is wider or taller.
    #[serde(default)]
    pub fit: ImageFit,
    /// What to do about pictures of a folder that cannot be read, in training and evaluation.
    #[serde(default)]
    pub on_error: OnError,
    /// Names of the labels 0, 1, ... of IDX, NPY and NPZ files; with `target`, of the values 0, 1, ... of masks.
    #[serde(default)]
    pub classes: Vec<String>,
    /// What is predicted of each pixel instead of a label of the whole image: a folder of pictures called as those of
    /// the source (masks, each value or colour of which is a class, or with `train.loss = "mse"` values), or an array of
    /// as many; or `"self"`, the image itself, which a model that reads it with `data.augment.noise` learns to restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// The target that is the image itself.
pub const ITSELF: &str = "self";

/// How a picture of another aspect ratio becomes an image's shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImageFit {
    /// Stretched in one direction.
    #[default]
    Squash,
    /// Whole, in the middle of white.
    Pad,
    /// Its middle, without what reaches beyond.
    Crop,
}

impl ImageFit {
    /// Whether it is the default, which is not written out.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What to do about a file that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// Stop, naming it.
    #[default]
    Fail,
    /// Leave it out, and say so.
    Skip,
}

impl OnError {
    /// Whether it is the default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
