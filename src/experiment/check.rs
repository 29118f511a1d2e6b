//! Values out of range, key by key.

use super::{Experiment, accumulate, imported, uncertainty};
use crate::base::number::is_positive;
use crate::nn::config;
use crate::nn::layers::keys::check_units;
use crate::nn::losses::Loss;
use crate::tasks;
use crate::train::optimizer_state::OptimizerState;
use crate::train::precision::Precision;

/// Maximum layers: planning time grows with their square.
const MAX_LAYERS: usize = 1000;

impl Experiment {
    /// The first value out of range: its key and what is wrong.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        check_name(&self.name).map_err(|reason| ("name", reason))?;
        self.check_model()?;
        // Its own key is named before those of layers in general.
        config::unet::check(&self.model)?;
        config::recurrent::check(&self.model)?;
        config::transformer::check(&self.model)?;
        config::classic::check(&self.model)?;
        config::temporal::check(&self.model)?;
        tasks::check(self.settings())?;
        config::unread::check(&self.model)?;
        accumulate::check(self)?;
        uncertainty::check(self)?;
        imported::check(self)?;
        self.data.split.check()?;
        self.check_train()?;
        self.check_loss()?;
        self.check_schedule()
    }

    fn check_model(&self) -> Result<(), (&'static str, String)> {
        let model = &self.model;
        let units = |key, n: usize| check_units(n).map_err(|reason| (key, reason));
        let lists = [("model.hidden", model.hidden.len()), ("model.layer", model.layers.len())];
        let parts = model.parts().map(|(key, layers)| (key, layers.len()));
        for (key, count) in lists.into_iter().chain(parts) {
            if count > MAX_LAYERS {
                return Err((key, format!("has {count} layers; allowed are at most {MAX_LAYERS}")));
            }
        }
        for &n in &model.hidden {
            units("model.hidden", n)?;
        }
        for &n in model.channels.iter().flatten() {
            units("model.channels", n)?;
        }
        for (key, size) in [("model.kernel", model.kernel), ("model.pool", model.pool)] {
            if size.is_some_and(|size| size.get().contains(&0)) {
                return Err((key, "= 0 is no size; it must be at least 1".into()));
            }
        }
        let part = |key, x: f64| {
            if (0.0..1.0).contains(&x) {
                Ok(())
            } else {
                Err((key, format!("= {x} must be at least 0 and below 1")))
            }
        };
        part("model.dropout", model.dropout)?;
        for layer in &model.layers {
            layer.layer().check().map_err(|reason| ("model.layer", reason))?;
        }
        if let Some(width) = model.embedding_width {
            units("model.embedding_width", width)?;
        }
        self.check_normalised()
    }

    fn check_train(&self) -> Result<(), (&'static str, String)> {
        let train = &self.train;
        let positive = |key, x: f64| {
            if is_positive(x) { Ok(()) } else { Err((key, format!("= {x} must be a finite number above 0"))) }
        };
        let counted = |key, n: usize, most: usize| {
            if (1..=most).contains(&n) { Ok(()) } else { Err((key, format!("= {n} is not in 1..={most}"))) }
        };
        counted("train.epochs", train.epochs, 10_000_000)?;
        counted("train.batch_size", train.batch_size, 1 << 24)?;
        positive("train.learning_rate", train.learning_rate)?;
        if let Some(norm) = train.clip_norm {
            positive("train.clip_norm", norm)?;
        }
        if train.exact && train.precision == Precision::Mixed {
            let reason = "= \"mixed\" cannot be used with `train.exact`: which values wait in half precision depends on \
                          the device; remove one of them";
            return Err(("train.precision", reason.into()));
        }
        if train.optimizer_state != OptimizerState::Device && self.model.adversarial().is_some() {
            let reason =
                "cannot be used with `family = \"gan\"`, each part of which has an optimizer; remove it";
            return Err(("train.optimizer_state", reason.into()));
        }
        if let Some(stopping) = &train.early_stopping {
            counted("train.early_stopping.patience", stopping.patience, 10_000_000)?;
        }
        if let Some(steps) = train.checkpoint_every_steps {
            counted("train.checkpoint_every_steps", steps as usize, usize::MAX >> 1)?;
        }
        if let Some(minutes) = train.checkpoint_every_minutes {
            // The host's clock measures these, not a kernel, so any finite number is acceptable.
            if !(minutes > 0.0 && minutes.is_finite()) {
                let reason = format!("= {minutes} must be a finite number above 0");
                return Err(("train.checkpoint_every_minutes", reason));
            }
        }
        if let Some((key, reason)) = train.optimizer.problem() {
            return Err(("train.optimizer", format!("has `{key}`: {reason}")));
        }
        if let Some(problem) = self.data.image.iter().find_map(|i| i.shape?.problem()) {
            return Err(("data.image.shape", problem));
        }
        if let Some(problem) = self.data.csv.problem() {
            return Err(problem);
        }
        if let Some((key, mib)) = self.data.memory.wrong_limit() {
            return Err((key, format!("= {mib} is not a number of MiB above 0, at most 1e9")));
        }
        if let Some(problem) = self.data.augment.problem() {
            return Err(problem);
        }
        if let Some(problem) = self.data.window.as_ref().and_then(|w| w.problem()) {
            return Err(problem);
        }
        if let Some(problem) = self.data.reshape.as_ref().and_then(|r| r.problem()) {
            return Err(problem);
        }
        if let Some(graph) = &self.data.graph
            && let Some(problem) = graph.problem(self.data.window.is_some())
        {
            return Err(problem);
        }
        let noise = self.data.augment.noise;
        if noise != 0.0 && !is_positive(noise) {
            return Err(("data.augment.noise", format!("= {noise} must be a finite number, at least 0")));
        }
        Ok(())
    }

    fn check_loss(&self) -> Result<(), (&'static str, String)> {
        let wrong = |reason: String| Err(("train.loss", reason));
        match &self.train.loss {
            Loss::Huber { delta } if !is_positive(*delta) => {
                wrong(format!("has delta = {delta}, which is not a finite number above 0"))
            }
            Loss::Quantile { quantiles } => quantile_problem(quantiles).map_or(Ok(()), wrong),
            Loss::CrossEntropy { label_smoothing: part, .. } if !(0.0..1.0).contains(part) => {
                wrong(format!("has label_smoothing = {part}; it must be at least 0 and below 1"))
            }
            Loss::BceWithLogits { pos_weight } if !is_positive(pos_weight.factor()) => {
                let factor = pos_weight.factor();
                wrong(format!("has pos_weight = {factor}, which is not a finite number above 0"))
            }
            Loss::CrossEntropy { class_weights, .. } => {
                let weights = class_weights.each();
                if let Some(weight) = weights.iter().find(|w| **w != 0.0 && !is_positive(**w)) {
                    return wrong(format!(
                        "has class weight {weight}, which is not a finite number from 0 up"
                    ));
                }
                if !weights.is_empty() && weights.iter().all(|w| *w == 0.0) {
                    return wrong("has only class weights of 0; at least one must be above".into());
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn check_schedule(&self) -> Result<(), (&'static str, String)> {
        let schedule = &self.train.schedule;
        let wrong = |reason: String| Err(("train.schedule", reason));
        if let Some((key, reads)) = schedule.unused() {
            return wrong(format!("has `{key}`, which only type = \"{reads}\" reads"));
        }
        if schedule.every_epochs == 0 {
            return wrong("has every_epochs = 0; it must be at least 1".into());
        }
        if !is_positive(schedule.gamma) {
            return wrong(format!("has gamma = {}, which is not a finite number above 0", schedule.gamma));
        }
        if !(0.0..=1.0).contains(&schedule.final_fraction) {
            return wrong(format!("has final_fraction = {}, which is not in 0..=1", schedule.final_fraction));
        }
        Ok(())
    }
}

/// Names are those of directories too.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
    if name.is_empty() || !name.chars().all(is_plain) || name.starts_with('.') {
        return Err(format!("= \"{name}\" must be letters, digits, - and _"));
    }
    Ok(())
}

/// What is wrong with the quantiles of a loss.
fn quantile_problem(quantiles: &[f64]) -> Option<String> {
    const MOST: usize = 1000;
    if quantiles.is_empty() || quantiles.len() > MOST {
        let found = quantiles.len();
        return Some(format!("has {found} quantiles; give 1 to {MOST}, such as quantiles = [0.1, 0.5, 0.9]"));
    }
    if let Some(q) = quantiles.iter().find(|q| !(**q > 0.0 && **q < 1.0)) {
        return Some(format!("has the quantile {q}; it must be above 0 and below 1, such as 0.9"));
    }
    let pair = quantiles.windows(2).find(|pair| pair[0] >= pair[1])?;
    Some(format!("has the quantile {} before {}; list each once, ascending", pair[0], pair[1]))
}
