//! The metric that judges trials.

use super::{Experiment, File, Searched};
use crate::base::names::nearest;
use crate::data::Goal;

/// The metrics that tell settings of a model apart, by what it learns.
fn metrics(goal: Goal) -> &'static [&'static str] {
    match goal {
        Goal::Regression | Goal::Rate => &["loss", "mae", "rmse", "r2", "pinball", "crps", "smape", "mase"],
        Goal::Binary | Goal::Classes => &[
            "loss",
            "accuracy",
            "auc",
            "f1",
            "balanced_accuracy",
            "mcc",
            "log_loss",
            "brier",
            "ece",
            "average_precision",
            "nats",
        ],
        Goal::Features => &["loss", "elbo", "log_likelihood", "frechet", "precision", "recall", "auc"],
    }
}

/// The metric of a study, which its model must have and which must compare all settings.
pub(super) fn metric(
    file: &File,
    keys: &[Searched],
    experiment: &Experiment,
) -> Result<String, (&'static str, String)> {
    let name = file.metric.clone().unwrap_or_else(|| "loss".into());
    let known = match experiment.data.pixel_target() {
        None => metrics(experiment.goal()),
        Some(_) => match experiment.goal() {
            Goal::Classes => &["loss", "accuracy", "mean_iou"][..],
            _ => &["loss", "mae", "rmse", "psnr"][..],
        },
    };
    if !known.contains(&name.as_str()) {
        return Err((
            "metric",
            format!("= \"{name}\" is no metric of this model{}", nearest(&name, known.iter().copied())),
        ));
    }
    let changes = |key: &str| ["train.loss", "data.transform"].iter().any(|table| key.starts_with(table));
    if let Some(searched) = keys.iter().find(|searched| name == "loss" && changes(&searched.key)) {
        let reason = format!(
            "= \"loss\" cannot compare settings of `{}`, which change what the loss is; choose one of {}",
            searched.key,
            known[1..].join(", ")
        );
        return Err(("metric", reason));
    }
    if name == "loss" && experiment.model.adversarial().is_some() {
        let reason = "= \"loss\" does not tell which settings of a gan draw best; set model.features in the experiment \
                      and use metric = \"frechet\"";
        return Err(("metric", reason.into()));
    }
    Ok(name)
}
