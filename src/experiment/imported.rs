//! Keys of imported networks, and of what training leaves as it is.

use super::Experiment;
use crate::base::number::is_positive;
use crate::nn::config::Family;
use crate::nn::patterns::Patterns;

/// The first key that does not go with the others.
pub(super) fn check(experiment: &Experiment) -> Result<(), (&'static str, String)> {
    let (model, train, data) = (&experiment.model, &experiment.train, &experiment.data);
    let of_from = [
        ("model.from_output", model.from_output.is_some()),
        ("model.from_sha256", model.from_sha256.is_some()),
        ("model.head", model.head.is_some()),
    ];
    if model.from.is_none() {
        if let Some((key, _)) = of_from.iter().find(|(_, given)| *given) {
            return Err((key, "is about the network of `model.from`, which is not given".into()));
        }
    } else {
        let others = "`model.from` gives the network";
        if !model.layers.is_empty() {
            return Err(("model.layer", format!("cannot be used: {others}; remove one of them")));
        }
        if !matches!(model.family, Family::Mlp | Family::Cnn | Family::Rnn | Family::Transformer) {
            let reason = "cannot be used with `model.from`, which predicts a target; remove it";
            return Err(("model.family", reason.into()));
        }
        if data.text.is_some() {
            return Err((
                "data.text",
                "cannot be used with `model.from`: texts have models of their own".into(),
            ));
        }
        if data.window.as_ref().is_some_and(|window| window.relative) {
            let reason = "cannot be used with `model.from`, which reads values as they are";
            return Err(("data.window.relative", reason.into()));
        }
    }
    let adversarial = model.family == Family::Gan;
    for (key, given) in [("train.freeze", !train.freeze.is_empty()), ("train.group", !train.group.is_empty())]
    {
        if given && adversarial {
            return Err((
                key,
                "cannot be used with `family = \"gan\"`, whose two parts are trained by turns".into(),
            ));
        }
    }
    Patterns::new(&train.freeze).map_err(|reason| ("train.freeze", reason))?;
    for group in &train.group {
        Patterns::new(std::slice::from_ref(&group.parameters)).map_err(|reason| ("train.group", reason))?;
        if !is_positive(group.learning_rate) {
            let reason =
                format!("has learning_rate = {}, which is not a finite number above 0", group.learning_rate);
            return Err((
                "train.group",
                format!("{reason}; to leave parameters as they are, use train.freeze"),
            ));
        }
    }
    Ok(())
}
