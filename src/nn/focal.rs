//! Focal loss (Lin et al. 2017, arXiv:1708.02002).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::graph::{Graph, GraphError, ValueId};

/// Weights of the focal loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number such as 0.25, or a list with a weight for each class")]
pub enum Alpha {
    /// Of the positive one of two classes; the other has the rest.
    Positive(f64),
    /// Of each class.
    Each(Vec<f64>),
}

impl Alpha {
    /// The weight of each class.
    fn weights(&self) -> Vec<f64> {
        match self {
            Self::Positive(alpha) => vec![1.0 - alpha, *alpha],
            Self::Each(weights) => weights.clone(),
        }
    }
}

/// The loss of each row `[B]`, from logits `[B, classes]` and labels: `alpha (1 - p)^gamma c`
/// with the cross-entropy `c = -ln p` of the true class, where `1 - p = 1 - e^-c`.
///
/// # Errors
/// If `alpha` is for another number of classes.
pub(super) fn build(
    g: &mut Graph,
    logits: ValueId,
    labels: ValueId,
    gamma: f64,
    alpha: Option<&Alpha>,
) -> Result<ValueId, GraphError> {
    /// Where `1 - p` is less, the loss is 0 but for rounding, and the logarithm would not be finite.
    const LEAST: f64 = 1e-12;
    let classes = g.shape(logits).last().copied().unwrap_or(0);
    let weights = alpha.map(Alpha::weights);
    if let Some(given) = weights.as_ref().map(Vec::len).filter(|given| *given != classes) {
        return Err(GraphError {
            layer: "loss: ".into(),
            op: "focal",
            operands: g.ty(logits).to_string(),
            reason: format!(
                "`alpha` is for {given} classes; give a list of {classes} weights, one per class"
            ),
        });
    }
    let ones = g.constant(&[classes], &vec![1.0; classes])?;
    let entropy = g.cross_entropy(logits, labels, ones, 0.0)?;
    let mut rows = g.formula([entropy], |[c]| {
        let wrong = (-(-&c).exp_m1()).maximum(LEAST);
        (wrong.ln() * gamma).exp() * c
    })?;
    if let Some(weights) = weights {
        let table: Vec<f32> = weights.iter().map(|&w| w as f32).collect();
        let table = g.constant(&[classes, 1], &table)?;
        let of_labels = g.gather(table, labels)?;
        let count = g.shape(rows).to_vec();
        let of_labels = g.reshape(of_labels, &count)?;
        rows = g.mul(rows, of_labels)?;
    }
    Ok(rows)
}
