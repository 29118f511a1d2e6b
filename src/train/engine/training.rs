//! What training phases need, besides the model.

use crate::base::rng::streams;
use crate::data::Dataset;
use crate::nn::inputs;
use crate::optim::{Decay, Optimizer};
use crate::plan::{Augmentation, Entry, ImageChanges, Part, Recompute, UpdateSpec};
use crate::train::groups::Group;
use crate::train::optimizer_state::OptimizerState;
use crate::train::precision::Precision;

/// The name of the only set of parameters that are trained.
pub(super) const ALL: &str = "all";
/// The data set of the training rows.
pub(super) const TRAINING: &str = "training";
/// Steps whose losses are stored on the device before the host reads them.
pub(super) const LOSS_SLOTS: usize = 4096;

/// What the training phase needs, besides the model.
#[derive(Clone)]
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
    /// Where the optimizer keeps its state.
    pub optimizer_state: OptimizerState,
    /// The part of the parameters that this process updates of those that share its steps, if each updates its own.
    pub part: Part,
}

impl<'a> Training<'a> {
    /// Training on `batch` rows of `data` a step, in single precision and with nothing else than the update.
    pub fn new(data: &'a Dataset, batch: usize, optimizer: Optimizer) -> Self {
        Self {
            data,
            batch,
            accumulate: 1,
            noise: 0.0,
            images: None,
            optimizer,
            decay: Decay::Weights,
            clip_norm: None,
            groups: vec![],
            recompute: Recompute::Off,
            precision: Precision::Single,
            optimizer_state: OptimizerState::Device,
            part: Part::default(),
        }
    }

    /// Rows per micro-batch.
    pub(crate) fn rows(&self) -> usize {
        self.batch / self.accumulate.max(1)
    }

    /// Whether the device computes the update, rather than the host.
    pub(super) fn updates(&self) -> bool {
        self.optimizer_state != OptimizerState::Host
    }

    /// The update of all parameters.
    pub(super) fn update(&self) -> UpdateSpec {
        UpdateSpec { set: ALL.into(), max_norm: self.clip_norm.map(|norm| norm as f32) }
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
