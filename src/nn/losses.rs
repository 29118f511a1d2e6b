//! Losses: one number per row, and their mean.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

pub use super::class_weights::{ClassWeights, PosWeight, WeightRule};
use super::focal::{self, Alpha};
use crate::graph::{Graph, GraphError, ValueId};
use crate::scalar::UnaryFn;

/// A loss. Definitions and defaults follow PyTorch; the loss of a row is the mean over its outputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "type",
    rename_all = "snake_case",
    deny_unknown_fields,
    expecting = "a name such as \"mse\", or a table such as { type = \"huber\", delta = 1.0 }"
)]
pub enum Loss {
    /// `(p - y)^2`
    Mse {},
    /// `|p - y|`
    Mae {},
    /// `d^2 / 2` where `|d| < delta`, else `delta (|d| - delta / 2)` (Huber 1964).
    Huber {
        /// Where the loss becomes linear.
        #[serde(default = "default_delta")]
        delta: f64,
    },
    /// Pinball loss `max(q (y - p), (q - 1) (y - p))`: the prediction is the quantile `q` of the target, which a
    /// fraction `q` of the rows does not exceed (Koenker and Bassett 1978). The model has one output for each
    /// quantile of each target; the loss is the mean over them.
    Quantile {
        /// The quantiles, ascending, each in `(0, 1)`; one half is the median. `q = 0.9` is the same as
        /// `quantiles = [0.9]`.
        #[serde(default = "default_quantiles", alias = "q", deserialize_with = "one_or_several")]
        quantiles: Vec<f64>,
    },
    /// Binary cross-entropy of a logit: `max(p, 0) - p y + ln(1 + e^-|p|)`; the loss of positive rows is multiplied
    /// by `pos_weight`.
    BceWithLogits {
        /// Weight of positive rows: a number, or `"balanced"` for the negative rows per positive one in training.
        #[serde(default)]
        pos_weight: PosWeight,
    },
    /// Focal loss of class labels, `-alpha (1 - p)^gamma ln p` with the softmax probability `p` of the true
    /// class: rows that are already right count less (Lin et al. 2017, arXiv:1708.02002). With gamma = 0 it
    /// is the cross-entropy.
    Focal {
        /// How much less rows count that are right, from 0 up.
        #[serde(default = "default_gamma")]
        gamma: f64,
        /// Weight of the positive one of two classes, in `(0, 1)`, the other one having the rest; or a list
        /// with the weight of each class. All 1 by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        alpha: Option<Alpha>,
    },
    /// Poisson negative log-likelihood of counts, `e^p - p y`, as PyTorch's `PoissonNLLLoss`: the model
    /// predicts the logarithm of the mean. Targets are numbers from 0 up, as they are; predictions are `e^p`.
    Poisson {
        /// Added to the model's output: by default the logarithm of the target's mean in training, from which
        /// training starts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset: Option<f64>,
    },
    /// Tweedie negative log-likelihood of amounts of which some are 0, `e^((2 - power) p) / (2 - power) - y
    /// e^((1 - power) p) / (1 - power)`: the model predicts the logarithm of the mean (Yang, Qian and Zou
    /// 2018, arXiv:1508.06378). Targets are numbers from 0 up, as they are; predictions are `e^p`.
    Tweedie {
        /// The variance is proportional to the mean to this power, in `(1, 2)`: near 1 as of counts, near 2
        /// as of amounts.
        #[serde(default = "default_power")]
        power: f64,
        /// As in `poisson`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset: Option<f64>,
    },
    /// The negative evidence lower bound of a variational autoencoder, in nats: the only loss of the `vae`
    /// family, which builds it itself.
    Elbo {},
    /// The losses of generator and discriminator, which `model.gan_loss` chooses: the only loss of the `gan`
    /// family, which builds them itself. That of the generator is reported as the loss.
    Adversarial {},
    /// Softmax cross-entropy of class labels.
    CrossEntropy {
        /// Label smoothing: the fraction of the target spread over all classes, in `[0, 1)`.
        #[serde(default)]
        label_smoothing: f64,
        /// Weight of each class; all 1 if empty. As in PyTorch, the mean is divided by the sum of the labels'
        /// weights. `"balanced"` gives each class the same sum of weights in training.
        #[serde(default)]
        class_weights: ClassWeights,
    },
}

fn default_delta() -> f64 {
    1.0
}

fn default_quantiles() -> Vec<f64> {
    vec![0.1, 0.5, 0.9]
}

/// A number or a list of numbers.
fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a list of quantiles such as [0.1, 0.5, 0.9]")]
    enum Given {
        One(f64),
        Several(Vec<f64>),
    }
    Ok(match Given::deserialize(deserializer)? {
        Given::One(quantile) => vec![quantile],
        Given::Several(quantiles) => quantiles,
    })
}

fn default_gamma() -> f64 {
    2.0
}

fn default_power() -> f64 {
    1.5
}

/// What a model makes of a batch: predictions, the loss of each row, and the loss to minimise.
pub struct Losses {
    /// `[B, outputs]`, in the target's scaled units.
    pub predictions: ValueId,
    /// `[B]`
    pub rows: ValueId,
    /// A scalar.
    pub mean: ValueId,
    /// Named parts of the loss, `[B]`.
    pub parts: Vec<(&'static str, ValueId)>,
}

impl Loss {
    /// The names that [`Loss::named`] knows.
    pub const NAMES: &[&str] = &[
        "mse",
        "mae",
        "huber",
        "quantile",
        "bce_with_logits",
        "cross_entropy",
        "focal",
        "poisson",
        "tweedie",
        "elbo",
        "adversarial",
    ];

    /// The loss of this name with default settings.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "mse" => Loss::Mse {},
            "mae" => Loss::Mae {},
            "huber" => Loss::Huber { delta: default_delta() },
            "quantile" => Loss::Quantile { quantiles: default_quantiles() },
            "bce_with_logits" => Loss::BceWithLogits { pos_weight: PosWeight::default() },
            "elbo" => Loss::Elbo {},
            "adversarial" => Loss::Adversarial {},
            "focal" => Loss::Focal { gamma: default_gamma(), alpha: None },
            "poisson" => Loss::Poisson { offset: None },
            "tweedie" => Loss::Tweedie { power: default_power(), offset: None },
            "cross_entropy" => {
                Loss::CrossEntropy { label_smoothing: 0.0, class_weights: ClassWeights::default() }
            }
            _ => return None,
        })
    }

    /// The name in an experiment, as accepted by [`Loss::named`].
    pub fn name(&self) -> &'static str {
        match self {
            Loss::Mse {} => "mse",
            Loss::Mae {} => "mae",
            Loss::Huber { .. } => "huber",
            Loss::Quantile { .. } => "quantile",
            Loss::BceWithLogits { .. } => "bce_with_logits",
            Loss::Elbo {} => "elbo",
            Loss::Adversarial {} => "adversarial",
            Loss::Focal { .. } => "focal",
            Loss::Poisson { .. } => "poisson",
            Loss::Tweedie { .. } => "tweedie",
            Loss::CrossEntropy { .. } => "cross_entropy",
        }
    }

    /// Replaces weights that follow from the training rows; `rows` are the numbers of those of each class, or the
    /// sums of their weights.
    pub fn balance(&mut self, rows: &[f64]) {
        let all: f64 = rows.iter().sum();
        // A class without rows has any weight.
        let some = |count: f64| if count > 0.0 { count } else { 1.0 };
        let weight = |&count: &f64| all / (rows.len() as f64 * some(count));
        match self {
            Self::CrossEntropy { class_weights, .. } if matches!(class_weights, ClassWeights::Rule(_)) => {
                *class_weights = ClassWeights::Each(rows.iter().map(weight).collect());
            }
            Self::BceWithLogits { pos_weight } if matches!(pos_weight, PosWeight::Rule(_)) => {
                if let [negative, positive] = rows[..] {
                    *pos_weight = PosWeight::Factor(negative / some(positive));
                }
            }
            _ => {}
        }
    }

    /// The quantiles that each target has an output for, ascending; empty for other losses.
    pub fn quantiles(&self) -> &[f64] {
        match self {
            Loss::Quantile { quantiles } => quantiles,
            _ => &[],
        }
    }

    /// Sets the offset of a loss that has one and was given none, from the mean of the training targets.
    pub fn start_from(&mut self, mean: f64) {
        if let Loss::Poisson { offset } | Loss::Tweedie { offset, .. } = self {
            offset.get_or_insert(if mean > 0.0 { mean.ln() } else { 0.0 });
        }
    }

    /// What is added to the model's output.
    pub fn offset(&self) -> Option<f64> {
        match self {
            Loss::Poisson { offset } | Loss::Tweedie { offset, .. } => *offset,
            _ => None,
        }
    }

    /// Whether the model predicts the logarithm of a mean.
    pub fn has_log_link(&self) -> bool {
        matches!(self, Loss::Poisson { .. } | Loss::Tweedie { .. })
    }

    /// Whether targets are class labels.
    pub fn wants_labels(&self) -> bool {
        matches!(self, Loss::CrossEntropy { .. } | Loss::Focal { .. })
    }

    /// Builds the loss of each row `[B]` and the mean that is minimised, from predictions `[B, outputs]` and
    /// targets (`[B, outputs]`, or labels `u32[B]`). With several quantiles, predictions are
    /// `[B, outputs * quantiles]`, the quantiles of each target next to each other.
    ///
    /// # Errors
    /// If the shapes do not match.
    pub fn build(
        &self,
        g: &mut Graph,
        predictions: ValueId,
        target: ValueId,
    ) -> Result<(ValueId, ValueId), GraphError> {
        if let Loss::CrossEntropy { label_smoothing, class_weights } = self {
            let rows = cross_entropy(g, predictions, target, *label_smoothing as f32, class_weights.each())?;
            if class_weights.is_empty() {
                // As weights of the classes, parts of the mean cost nothing: neither the sum nor the gradient is divided.
                let &[count, classes] = &g.shape(predictions)[..] else {
                    return Ok((rows, g.mean(rows, &[0], false)?));
                };
                let parts = vec![1.0 / count.max(1) as f64; classes];
                let parts = cross_entropy(g, predictions, target, *label_smoothing as f32, &parts)?;
                return Ok((rows, g.sum(parts, &[0], false)?));
            }
            let total = g.sum(rows, &[0], false)?;
            let weights = of_labels(g, target, class_weights.each())?;
            let weight = g.sum(weights, &[0, 1], false)?;
            return Ok((rows, g.div(total, weight)?));
        }
        if let Loss::Focal { gamma, alpha } = self {
            let rows = focal::build(g, predictions, target, *gamma, alpha.as_ref())?;
            return Ok((rows, g.mean(rows, &[0], false)?));
        }
        let elements = self.elements(g, predictions, target)?;
        let rows = g.mean(elements, &[1], false)?;
        let mean = g.mean(elements, &[0, 1], false)?;
        Ok((rows, mean))
    }

    /// As [`Loss::build`], with the mean weighted by `weights` `[B]`, which are not negative: the sum of the weighted
    /// losses over the sum of the weights (in a cross-entropy with class weights, of the products of both), and 0 if
    /// that is 0. The losses of the rows are as without weights.
    ///
    /// # Errors
    /// If the shapes do not match.
    pub fn build_weighted(
        &self,
        g: &mut Graph,
        predictions: ValueId,
        target: ValueId,
        weights: ValueId,
    ) -> Result<(ValueId, ValueId), GraphError> {
        /// Added up, weights whose mean is 1 over all rows are 0 or more than this.
        const LEAST: f64 = 1e-30;
        let rows = self.build(g, predictions, target)?.0;
        let weighted = g.mul(rows, weights)?;
        let total = g.sum(weighted, &[0], false)?;
        let divisors = match self {
            Loss::CrossEntropy { class_weights, .. } if !class_weights.is_empty() => {
                let of_labels = of_labels(g, target, class_weights.each())?;
                let shape = g.shape(weights).to_vec();
                let of_labels = g.reshape(of_labels, &shape)?;
                g.mul(of_labels, weights)?
            }
            _ => weights,
        };
        let divisor = g.sum(divisors, &[0], false)?;
        let mean = g.formula([total, divisor], |[total, weight]| total / weight.maximum(LEAST))?;
        Ok((rows, mean))
    }

    /// The loss of each output, `[B, outputs]`, for targets that are no labels.
    fn elements(&self, g: &mut Graph, predictions: ValueId, target: ValueId) -> Result<ValueId, GraphError> {
        Ok(match self {
            Loss::Poisson { .. } => g.formula([predictions, target], |[p, y]| p.exp() - y * p)?,
            Loss::Tweedie { power, .. } => g.formula([predictions, target], |[p, y]| {
                let (a, b) = (1.0 - power, 2.0 - power);
                (&p * b).exp() * (1.0 / b) - y * (&p * a).exp() * (1.0 / a)
            })?,
            Loss::BceWithLogits { pos_weight } if pos_weight.is_default() => {
                g.bernoulli_nll(predictions, target)?
            }
            Loss::BceWithLogits { pos_weight } => {
                let extra = pos_weight.factor() - 1.0;
                g.formula([predictions, target], |[p, y]| {
                    (1.0 - &y) * &p + (1.0 + extra * &y) * (-&p).softplus()
                })?
            }
            Loss::Quantile { quantiles } => match quantiles[..] {
                [q] => g.formula([predictions, target], |[p, y]| {
                    let below = y - p;
                    below.less(0.0).select(&below * (q - 1.0), &below * q)
                })?,
                _ => pinball(g, predictions, target, quantiles)?,
            },
            _ => {
                let error = g.sub(predictions, target)?;
                match self {
                    Loss::Mae {} => g.unary(UnaryFn::Abs, error)?,
                    Loss::Huber { delta } => huber(g, error, *delta)?,
                    _ => g.unary(UnaryFn::Square, error)?,
                }
            }
        })
    }
}

/// The pinball loss of each target `[B, outputs]`, the mean over its quantiles.
fn pinball(
    g: &mut Graph,
    predictions: ValueId,
    target: ValueId,
    quantiles: &[f64],
) -> Result<ValueId, GraphError> {
    let shape = g.shape(target).to_vec();
    let (batch, outputs) = (shape[0], shape[1]);
    let each = g.reshape(predictions, &[batch, outputs, quantiles.len()])?;
    let target = g.reshape(target, &[batch, outputs, 1])?;
    let levels: Vec<f32> = quantiles.iter().map(|&q| q as f32).collect();
    let levels = g.constant(&[levels.len()], &levels)?;
    let losses = g.formula([each, target, levels], |[p, y, q]| {
        let below = y - p;
        below.less(0.0).select(&below * (&q - 1.0), &below * &q)
    })?;
    g.mean(losses, &[2], false)
}

fn huber(g: &mut Graph, error: ValueId, delta: f64) -> Result<ValueId, GraphError> {
    let size = g.unary(UnaryFn::Abs, error)?;
    let limit = g.scalar(delta)?;
    let near = g.less(size, limit)?;
    let square = g.unary(UnaryFn::Square, error)?;
    let quadratic = g.mul_scalar(square, 0.5)?;
    let beyond = g.add_scalar(size, -0.5 * delta)?;
    let linear = g.mul_scalar(beyond, delta)?;
    g.select(near, quadratic, linear)
}

/// The cross-entropy of each row, `[B]`, times the weight of its class.
fn cross_entropy(
    g: &mut Graph,
    logits: ValueId,
    labels: ValueId,
    smoothing: f32,
    class_weights: &[f64],
) -> Result<ValueId, GraphError> {
    let classes = g.shape(logits).last().copied().unwrap_or(0);
    if !class_weights.is_empty() && class_weights.len() != classes {
        let given = class_weights.len();
        return Err(GraphError {
            layer: "loss: ".into(),
            op: "cross_entropy",
            operands: g.ty(logits).to_string(),
            reason: format!("`class_weights` has {given} entries; give {classes}, one per class"),
        });
    }
    let weights: Vec<f32> = match class_weights {
        [] => vec![1.0; classes],
        given => given.iter().map(|&w| w as f32).collect(),
    };
    let table = g.constant(&[weights.len()], &weights)?;
    g.cross_entropy(logits, labels, table, smoothing)
}

/// The class weight of each label, `[B, 1]`.
fn of_labels(g: &mut Graph, labels: ValueId, class_weights: &[f64]) -> Result<ValueId, GraphError> {
    let weights: Vec<f32> = class_weights.iter().map(|&w| w as f32).collect();
    let table = g.constant(&[weights.len(), 1], &weights)?;
    g.gather(table, labels)
}
