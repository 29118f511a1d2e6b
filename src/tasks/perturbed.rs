//! Which models can be trained on changed inputs.

use super::Settings;
use crate::nn::losses::Loss;
use crate::nn::perturbed::Method;

/// Checks `[train.adversarial]`.
pub(super) fn check(settings: Settings) -> Result<(), (&'static str, String)> {
    let Some(how) = &settings.train.adversarial else { return Ok(()) };
    let refuse = |reason: &str| Err(("train.adversarial", reason.to_string()));
    if settings.model.variational().is_some() || settings.model.adversarial().is_some() {
        return refuse(
            "changes inputs so that predictions become worse, and this family predicts no target; remove it",
        );
    }
    if settings.data.text.is_some() {
        return refuse("moves numbers by degrees, and the symbols of texts are no numbers; remove it");
    }
    if let Some(problem) = how.problem() {
        return Err(problem);
    }
    if how.method == Method::Trades {
        let of_classes = matches!(
            settings.train.loss,
            Loss::CrossEntropy { .. } | Loss::Focal { .. } | Loss::BceWithLogits { .. }
        );
        if !of_classes {
            return Err((
                "train.adversarial.method",
                "= \"trades\" compares probabilities of classes, and the target is none; use \"pgd\"".into(),
            ));
        }
        if settings.data.weight.is_some() {
            return Err((
                "train.adversarial.method",
                "= \"trades\" does not know `data.weight`; use \"pgd\", or leave the weights out".into(),
            ));
        }
    }
    Ok(())
}
