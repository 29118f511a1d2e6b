//! The `[train]` table.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::groups::Group;
use super::optimizer_state::OptimizerState;
use super::precision::Precision;
use super::threshold::Threshold;
use crate::base::tree::Node;
use crate::nn::losses::Loss;
use crate::nn::patterns::Patterns;
use crate::nn::perturbed::AdversarialTraining;
use crate::optim::schedule::Schedule;
use crate::optim::{Decay, Optimizer};
use crate::plan::Recompute;

/// Training settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table such as { epochs = 100, learning_rate = 0.001 }")]
pub struct TrainConfig {
    /// Passes over the training rows.
    #[serde(default = "default_epochs")]
    pub epochs: usize,
    /// Rows per step. Rows of an epoch that do not fill a batch are left out.
    #[serde(default = "default_batch_size")]
    pub batch_size: usize,
    /// Number of equal micro-batches that a step is split into: their gradients are summed, so the step needs
    /// only the memory of one of them. Batch normalisation uses the statistics of each micro-batch.
    #[serde(default = "default_accumulate")]
    pub accumulate: usize,
    /// Micro-batches that each of several processes (`mpirun`) computes of as many as these are together: with `[3, 1]`,
    /// process 0 computes three of four. By default, each computes as many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<usize>,
    /// Find `shares` in a short trial of each process at the start. Without `exact`, other shares have other bits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub measure_shares: bool,
    /// Whether to shuffle the rows each epoch.
    #[serde(default = "default_true")]
    pub shuffle: bool,
    /// The loss: a name, or a table with `type` and its settings.
    #[serde(default = "default_loss", deserialize_with = "loss")]
    pub loss: Loss,
    /// The probability of the positive one of two classes above which it is predicted: a number, or `"f1"`,
    /// `"youden"` (sensitivity + specificity - 1) or `"balanced_accuracy"` for the threshold that makes it
    /// largest on the validation rows.
    #[serde(default)]
    pub threshold: Threshold,
    /// The optimizer: a name, or a table with `type` and its settings.
    #[serde(default, deserialize_with = "optimizer")]
    pub optimizer: Optimizer,
    /// What the optimizer's `weight_decay` applies to: `"weights"` or, as in PyTorch, `"all"` parameters, biases and
    /// norms among them.
    #[serde(default)]
    pub decay: Decay,
    /// Initial learning rate.
    #[serde(default = "default_learning_rate")]
    pub learning_rate: f64,
    /// Learning-rate schedule: a name, or a table with `type` and its settings.
    #[serde(default, deserialize_with = "schedule")]
    pub schedule: Schedule,
    /// Maximum norm of the whole gradient; longer gradients are scaled down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Names of parameters that training leaves as they are, in which `*` stands for any text: `["features.*"]`. A batch norm
    /// of them normalises by its running statistics, which stay as they are too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    /// Parameters with a learning rate or weight decay of their own; the last group that a parameter is of counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<GroupConfig>,
    /// `gan`: how the discriminator is trained where that differs from the generator, which the keys above are
    /// about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discriminator: Option<DiscriminatorConfig>,
    /// Train on inputs that are changed so that the loss grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adversarial: Option<AdversarialTraining>,
    /// Whether a step computes parts of its forward pass again instead of keeping them for the backward pass: `"off"`,
    /// `"auto"` for as little memory as a third more arithmetic can buy, or the most memory for intermediate values,
    /// such as `"512 MiB"`, which costs as little arithmetic as it allows. In single precision the weights have the same bits.
    #[serde(default)]
    pub recompute: Recompute,
    /// How the values of a step are stored: `"single"`, or `"mixed"` for activations in half precision.
    #[serde(default)]
    pub precision: Precision,
    /// Where the optimizer keeps its state: on the `"device"`; `"sharded"` among several processes (`mpirun`), each of which
    /// keeps and updates one part; or on the `"host"`, whose CPU then computes the update, so that the device has room for
    /// a larger model. In exact mode the weights have the same bits.
    #[serde(default)]
    pub optimizer_state: OptimizerState,
    /// Compute the same bits on every device; takes several times as long.
    #[serde(default)]
    pub exact: bool,
    /// Maximum number of steps with a non-finite loss, gradient or weight to skip before training stops.
    #[serde(default)]
    pub skip_non_finite_steps: u64,
    /// Stop when validation no longer improves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// Steps between checkpoints. By default, without `checkpoint_every_minutes`, one every 30 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_every_steps: Option<u64>,
    /// Minutes between checkpoints; if `checkpoint_every_steps` is also set, whichever comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_every_minutes: Option<f64>,
}

/// Parameters with a learning rate or weight decay of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a table such as { parameters = \"features.*\", learning_rate = 1e-5 }"
)]
pub struct GroupConfig {
    /// Their names, in which `*` stands for any text.
    pub parameters: String,
    /// Their initial learning rate, by default `train.learning_rate`; `train.schedule` is that of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Weight decay of those among them that `train.decay` says, by default the optimizer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
}

/// How the discriminator of a `gan` is trained.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table such as { learning_rate = 0.0004 }")]
pub struct DiscriminatorConfig {
    /// Its optimizer: a name, or a table with `type` and its settings. By default the generator's.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some_optimizer")]
    pub optimizer: Option<Optimizer>,
    /// Its initial learning rate, by default the generator's; `train.schedule` is that of both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Maximum norm of its whole gradient, by default the generator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
}

/// Stop when validation no longer improves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table such as { patience = 10 }")]
pub struct EarlyStopping {
    /// Epochs without improvement after which training stops.
    #[serde(default = "default_patience")]
    pub patience: usize,
    /// Minimum improvement of the validation loss that counts.
    #[serde(default)]
    pub min_delta: f64,
}

fn default_epochs() -> usize {
    100
}

fn default_batch_size() -> usize {
    32
}

fn default_accumulate() -> usize {
    1
}

fn default_true() -> bool {
    true
}

fn default_loss() -> Loss {
    Loss::Mse {}
}

fn default_learning_rate() -> f64 {
    1e-3
}

fn default_patience() -> usize {
    10
}

impl TrainConfig {
    /// The parameters that training leaves as they are.
    pub fn frozen(&self) -> Patterns {
        // Checked when the experiment was read.
        Patterns::new(&self.freeze).unwrap_or_default()
    }

    /// The groups of parameters.
    pub fn groups(&self) -> Vec<Group> {
        let of = |group: &GroupConfig| Group {
            names: Patterns::new(std::slice::from_ref(&group.parameters)).unwrap_or_default(),
            rate: group.learning_rate.map_or(1.0, |rate| rate / self.learning_rate),
            weight_decay: group.weight_decay,
        };
        self.group.iter().map(of).collect()
    }
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: default_epochs(),
            batch_size: default_batch_size(),
            accumulate: default_accumulate(),
            shares: vec![],
            measure_shares: false,
            shuffle: true,
            loss: default_loss(),
            threshold: Threshold::default(),
            optimizer: Optimizer::default(),
            decay: Decay::Weights,
            learning_rate: default_learning_rate(),
            schedule: Schedule::default(),
            clip_norm: None,
            freeze: vec![],
            group: vec![],
            discriminator: None,
            adversarial: None,
            recompute: Recompute::Off,
            precision: Precision::Single,
            optimizer_state: OptimizerState::Device,
            exact: false,
            skip_non_finite_steps: 0,
            early_stopping: None,
            checkpoint_every_steps: None,
            checkpoint_every_minutes: None,
        }
    }
}

fn loss<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Loss, D::Error> {
    name_or_table(deserializer, Loss::named, Loss::NAMES)
}

fn optimizer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Optimizer, D::Error> {
    name_or_table(deserializer, Optimizer::named, Optimizer::NAMES)
}

fn some_optimizer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Optimizer>, D::Error> {
    optimizer(deserializer).map(Some)
}

fn schedule<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Schedule, D::Error> {
    name_or_table(deserializer, Schedule::named, Schedule::NAMES)
}

/// `"adam"` or `{ type = "adam", ... }`.
fn name_or_table<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(
    deserializer: D,
    named: impl Fn(&str) -> Option<T>,
    allowed: &[&str],
) -> Result<T, D::Error> {
    use serde::de::Error;
    let node = Node::deserialize(deserializer)?;
    match node.text() {
        Some(name) => named(name).ok_or_else(|| {
            let hint = crate::base::names::nearest(name, allowed.iter().copied());
            D::Error::custom(format!("unknown name \"{name}\"{hint}"))
        }),
        None => node.read::<T>().map_err(|e| D::Error::custom(e.message())),
    }
}
