//! Keys of imported networks, and of what training leaves as it is.

use std::path::Path;

use super::Experiment;
use crate::base::config::ConfigError;
use crate::base::number::is_positive;
use crate::nn::config::{Family, Head, lora};
use crate::nn::imported::{Body as _, Imported};
use crate::nn::patterns::Patterns;
use crate::onnx::import;

impl Experiment {
    /// Reads the network of `model.from`.
    pub(super) fn load_network(&mut self, path: &Path) -> Result<(), ConfigError> {
        let new_head = self.model.head == Some(Head::New);
        let output = self.model.from_output.clone();
        let body = import::body(path, output.as_deref(), new_head);
        let body = body.map_err(|error| self.wrong("model.from", &format!("cannot be used: {error}")))?;
        let digest = body.digest().to_string();
        if self.model.from_sha256.as_ref().is_some_and(|noted| *noted != digest) {
            let reason = format!("is not that of {}, which has {digest}; it is another file", path.display());
            return Err(self.wrong("model.from_sha256", &reason));
        }
        self.model.from_sha256 = Some(digest);
        self.model.network = Some(Imported(body));
        self.check_normalised().map_err(|(key, reason)| self.wrong(key, &reason))
    }

    /// Whether layers compute statistics over the rows of a batch.
    pub(super) fn normalises_batch(&self) -> bool {
        let model = &self.model;
        let all = model.hidden_layers().into_iter().chain(model.parts().map(|(_, layers)| layers).concat());
        let imported = model.network.as_ref().map(|network| network.0.normalises_batch());
        imported.unwrap_or_else(|| all.into_iter().any(|l| l.layer().normalises_batch()))
    }

    /// Refuses batches of one row where a batch is normalised.
    pub(super) fn check_normalised(&self) -> Result<(), (&'static str, String)> {
        let size = self.train.batch_size;
        if self.normalises_batch() && size / self.train.accumulate.max(1) == 1 {
            let cut = if size > 1 { " cut into as many micro-batches" } else { "" };
            let reason = format!(
                "= {size}{cut} leaves batch_norm nothing to normalise over; use at least 2 rows, or layer_norm"
            );
            return Err(("train.batch_size", reason));
        }
        Ok(())
    }
}

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
    lora::check(model, !train.freeze.is_empty())?;
    Patterns::new(&train.freeze).map_err(|reason| ("train.freeze", reason))?;
    for group in &train.group {
        Patterns::new(std::slice::from_ref(&group.parameters)).map_err(|reason| ("train.group", reason))?;
        if group.learning_rate.is_none() && group.weight_decay.is_none() {
            let reason = "has parameters of which it says nothing; give their learning_rate or weight_decay";
            return Err(("train.group", reason.into()));
        }
        if let Some(decay) = group.weight_decay.filter(|decay| !(*decay >= 0.0 && decay.is_finite())) {
            let reason = format!("has weight_decay = {decay}, which is not a finite number from 0 up");
            return Err(("train.group", reason));
        }
        if let Some(rate) = group.learning_rate.filter(|rate| !is_positive(*rate)) {
            let reason = format!("has learning_rate = {rate}, which is not a finite number above 0");
            return Err((
                "train.group",
                format!("{reason}; to leave parameters as they are, use train.freeze"),
            ));
        }
    }
    Ok(())
}
