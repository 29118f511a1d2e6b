//! Keys of predictions for rows: the threshold of two classes, and losses of rates.

use super::super::Settings;
use crate::base::number::is_positive;
use crate::data::Goal;
use crate::data::config::{Scaling, Targets};
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
    if let Some(target) = &data.target {
        targets(settings, target)?;
    }
    if data.weight.is_some() {
        weight(settings)?;
    }
    let classes = matches!(settings.goal(), Goal::Binary | Goal::Classes) && settings.predicts();
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

/// Several targets are the numbers of a table's rows.
fn targets(settings: Settings, target: &Targets) -> Result<(), (&'static str, String)> {
    let wrong = |reason: String| Err(("data.target", reason));
    if let Some(problem) = target.problem() {
        return wrong(problem);
    }
    let (data, loss) = (settings.data, settings.train.loss.name());
    if target.names().len() < 2 || data.is_text() {
        return Ok(());
    }
    if data.window.is_some() {
        let further: Vec<String> = target.names()[1..].iter().map(|name| format!("{name:?}")).collect();
        return wrong(format!(
            "names several columns; of series, name the first, and the others in [data.window]: targets = [{}]",
            further.join(", ")
        ));
    }
    if data.image.is_some() {
        return wrong("names several columns, which is for the rows of tables; name one for images".into());
    }
    if settings.goal() != Goal::Regression {
        return wrong(format!(
            "names several columns, which are predicted as numbers, but loss = \"{loss}\" is of a single one; name \
             one column, or use \"mse\", \"mae\", \"huber\" or \"quantile\""
        ));
    }
    Ok(())
}

/// Weights are of the rows of tables that a model learns to predict.
fn weight(settings: Settings) -> Result<(), (&'static str, String)> {
    let Settings { data, model, .. } = settings;
    let what = if data.window.is_some() {
        "the windows of series ([data.window])"
    } else if data.is_text() || model.is_masked() {
        "texts ([data.text])"
    } else if data.image.is_some() {
        "images ([data.image])"
    } else if model.variational().is_some() {
        "family = \"vae\", which learns all rows alike"
    } else if model.adversarial().is_some() {
        "family = \"gan\", which learns all rows alike"
    } else {
        return Ok(());
    };
    Err(("data.weight", format!("is for the rows of tables with a target, not for {what}; remove it")))
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
    if data.window.is_some() || data.is_text() {
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
