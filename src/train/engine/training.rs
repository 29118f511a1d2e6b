//! What training phases need, besides the model.

use crate::base::rng::streams;
use crate::data::Dataset;
use crate::nn::inputs;
use crate::optim::{Decay, Optimizer};
use crate::plan::{Augmentation, Entry, ImageChanges, Recompute};
use crate::train::groups::Group;
use crate::train::precision::Precision;

/// The data set of the training rows.
pub(super) const TRAINING: &str = "training";
/// Steps whose losses are stored on the device before the host reads them.
pub(super) const LOSS_SLOTS: usize = 4096;

/// What the training phase needs, besides the model.
pub struct Training<'a> {
    /// Training rows.
    pub data: &'a Dataset,
    /// Rows per step.
    pub batch: usize,
    /// Number of equal micro-batches per step; a divisor of `batch`.
    pub accumulate: usize,
    /// Standard deviation of the noise on features.
    pub noise: f64,
    /// Random augmentation of images.
    pub images: Option<&'a ImageChanges>,
    /// Update rule.
    pub optimizer: Optimizer,
    /// Which parameters weight decay applies to.
    pub decay: Decay,
    /// Maximum gradient norm.
    pub clip_norm: Option<f64>,
    /// Parameters with a learning rate or weight decay of their own.
    pub groups: Vec<Group>,
    /// Whether parts of the forward pass are computed again instead of kept.
    pub recompute: Recompute,
    /// How the values of a step are stored.
    pub precision: Precision,
}

impl Training<'_> {
    /// Rows per micro-batch.
    pub(crate) fn rows(&self) -> usize {
        self.batch / self.accumulate.max(1)
    }

    /// The random changes of its batches.
    pub(super) fn augment(&self) -> Vec<Augmentation> {
        let changed = (self.noise > 0.0 || self.images.is_some()) && !self.data.features.is_empty();
        let change = Augmentation {
            column: inputs::X.into(),
            deviation: self.noise as f32,
            stream: streams::NOISE,
            images: self.images.cloned(),
        };
        if changed { vec![change] } else { vec![] }
    }
}

/// A tensor of a region.
pub(super) fn entry(name: &str, shape: &[usize], decay: bool) -> Entry {
    Entry { name: name.into(), words: shape.iter().product(), decay }
}
