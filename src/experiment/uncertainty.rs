//! `[uncertainty]`: checks that what is asked for can be had of the model.

use super::Experiment;
use crate::data::Goal;
use crate::nn::layers::LayerConfig;
use crate::uncertainty::scores::Sets;

/// The key that asks for what cannot be had, and what is wrong with it.
pub(super) fn check(experiment: &Experiment) -> Result<(), (&'static str, String)> {
    let asked = &experiment.uncertainty;
    let wrong = |key, reason: &str| Err((key, reason.to_string()));
    let predicts = experiment.settings().predicts();
    let classes = predicts && matches!(experiment.goal(), Goal::Binary | Goal::Classes);
    if let Some(coverage) = asked.coverage {
        if !(coverage > 0.0 && coverage < 1.0) {
            let reason = format!("= {coverage} must be a part above 0 and below 1, such as 0.9");
            return Err(("uncertainty.coverage", reason));
        }
        if !predicts {
            let reason = "is for models that predict a number or a class; this one does not, remove it";
            return wrong("uncertainty.coverage", reason);
        }
    }
    if asked.sets != Sets::default() && !classes {
        return wrong("uncertainty.sets", "is for a target of classes; numbers have intervals, remove it");
    }
    if asked.temperature && !classes {
        return wrong("uncertainty.temperature", "is for a target of classes; remove it");
    }
    if asked.temperature && matches!(experiment.model.layers.last(), Some(LayerConfig::GraphAttention(_))) {
        let reason = "divides the output of a linear layer, and the last one is a `graph_attention`; put a `dense` layer \
                      after it";
        return wrong("uncertainty.temperature", reason);
    }
    Ok(())
}
