//! Keys of predictions for rows: the threshold of two classes, and losses of rates.

use super::super::Settings;
use crate::base::number::is_positive;
use crate::data::Goal;
use crate::data::config::Scaling;
use crate::nn::focal::Alpha;
use crate::nn::losses::Loss;
use crate::train::threshold::Threshold;

/// The first key with an invalid value, and what is wrong with it.
pub fn check(settings: Settings) -> Result<(), (&'static str, String)> {
    let Settings { data, train, .. } = settings;
    if let Threshold::Value(value) = train.threshold
        && !(value > 0.0 && value < 1.0)
    {
        return Err(("train.threshold", format!("= {value} must be a probability above 0 and below 1")));
    }
    let classes = matches!(settings.goal(), Goal::Binary | Goal::Classes) && data.text.is_none();
    if !classes && !train.threshold.is_default() {
        let reason = "is for a target of two classes; remove it, or set train.loss = \"bce_with_logits\"";
        return Err(("train.threshold", reason.into()));
    }
    match &train.loss {
        Loss::Focal { gamma, alpha } => focal(*gamma, alpha.as_ref()),
        loss if loss.has_log_link() => rate(settings, loss),
        _ => Ok(()),
    }
}

fn focal(gamma: f64, alpha: Option<&Alpha>) -> Result<(), (&'static str, String)> {
    let wrong = |reason: String| Err(("train.loss", reason));
    if gamma != 0.0 && !is_positive(gamma) {
        return wrong(format!("has gamma = {gamma}, which is not a finite number from 0 up"));
    }
    match alpha {
        Some(Alpha::Positive(alpha)) if !(*alpha > 0.0 && *alpha < 1.0) => {
            wrong(format!("has alpha = {alpha}; it must be above 0 and below 1, such as 0.25"))
        }
        Some(Alpha::Each(weights)) if weights.iter().any(|w| *w != 0.0 && !is_positive(*w)) => {
            wrong("has alpha with a weight that is not a finite number from 0 up".into())
        }
        Some(Alpha::Each(weights)) if weights.iter().all(|w| *w == 0.0) => {
            wrong("has only weights of 0 in alpha; at least one must be above".into())
        }
        _ => Ok(()),
    }
}

fn rate(settings: Settings, loss: &Loss) -> Result<(), (&'static str, String)> {
    let data = settings.data;
    let name = loss.name();
    if data.window.is_some() || data.text.is_some() {
        let reason =
            format!("= \"{name}\" is for the rows of tables and for images, not for series or texts");
        return Err(("train.loss", reason));
    }
    if let Loss::Tweedie { power, .. } = loss
        && !(*power > 1.0 && *power < 2.0)
    {
        let others = "for 1 use \"poisson\"";
        return Err((
            "train.loss",
            format!("has power = {power}; it must be above 1 and below 2 ({others})"),
        ));
    }
    if let Some(offset) = loss.offset().filter(|offset| !(-80.0..=80.0).contains(offset)) {
        return Err((
            "train.loss",
            format!("has offset = {offset}; it must be from -80 to 80, as e^offset is a mean"),
        ));
    }
    if data.transform.target != Scaling::None {
        let reason =
            format!("changes the target, but loss = \"{name}\" is of the numbers as they are; remove it");
        return Err(("data.transform.target", reason));
    }
    Ok(())
}
