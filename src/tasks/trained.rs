//! A trained model in use: what a task needs to evaluate, predict and sample.

use std::path::{Path, PathBuf};

use super::sure::Wanted;
use super::{Settings, of};
use crate::data::{Dataset, Fitted, FittedPixels};
use crate::device::Device;
use crate::nn::config::adversarial::{Adversarial, GanLoss};
use crate::nn::frozen::Frozen;
use crate::nn::inputs::{DocumentShape, GraphShape, Inputs, PixelOutputs, SequenceShape, TextShape};
use crate::nn::{Dropping, Gan, Language, Masked, Model, Opponent, Supervised, Vae};
use crate::train::TrainError;
use crate::train::checkpoint::NamedTensor;
use crate::train::engine::Engine;
use crate::train::metrics::Predictions;
use crate::uncertainty::mixture::{Mixture, Spread};

/// A trained model and the device it runs on.
#[derive(Clone, Copy)]
pub struct Trained<'a> {
    /// The experiment's settings.
    pub settings: Settings<'a>,
    /// What was fitted on the training rows.
    pub fitted: &'a Fitted,
    /// The weights.
    pub weights: &'a [NamedTensor],
    /// The run directory, for messages.
    pub run: &'a Path,
    /// The device.
    pub device: &'a dyn Device,
    /// Further models of an ensemble, whose predictions are averaged with those of the first.
    pub others: &'a [Member],
    /// What predictions are to say of how sure they are.
    pub wanted: &'a Wanted,
}

/// A model of an ensemble.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The file of its weights, for messages.
    pub file: PathBuf,
    /// Its weights.
    pub weights: Vec<NamedTensor>,
    /// What its logits are divided by, where they are calibrated.
    pub temperature: Option<f64>,
}

impl<'a> Trained<'a> {
    /// A single model, of which predictions alone are wanted.
    pub fn alone(
        settings: Settings<'a>,
        fitted: &'a Fitted,
        weights: &'a [NamedTensor],
        run: &'a Path,
        device: &'a dyn Device,
    ) -> Self {
        Self { settings, fitted, weights, run, device, others: &[], wanted: Wanted::NOTHING }
    }
}

impl Trained<'_> {
    /// Sets the weights of an engine.
    ///
    /// # Errors
    /// If they do not match the model, or the device fails.
    pub fn restore(&self, engine: &mut Engine) -> Result<(), TrainError> {
        let file = self.run.join("best.safetensors");
        let restored = engine.restore(self.weights, false);
        restored.map_err(|e| TrainError::unusable(&file, e))
    }

    /// An engine with the weights, for evaluating `rows`.
    ///
    /// # Errors
    /// If the weights do not match the model, or the device fails.
    pub fn engine(&self, model: &dyn Model, rows: &Dataset) -> Result<Engine, TrainError> {
        let mut engine = Engine::new(self.device, model, None, rows)?;
        self.restore(&mut engine)?;
        Ok(engine)
    }

    /// Predictions for `rows`; means over `draws` if the model draws, and over the models of an ensemble.
    ///
    /// # Errors
    /// If the weights do not match the model, or the device fails.
    pub fn evaluate(&self, rows: &Dataset, draws: u32) -> Result<Predictions, TrainError> {
        Ok(self.found(rows, draws)?.0)
    }

    /// As [`Trained::evaluate`], with how much the models of an ensemble, or those with other units dropped, differ.
    ///
    /// # Errors
    /// As [`Trained::evaluate`], or if units are to be dropped of a model without dropout.
    pub fn found(&self, rows: &Dataset, draws: u32) -> Result<(Predictions, Option<Spread>), TrainError> {
        let (task, samples) = (of(self.settings, self.fitted), self.wanted.dropout_samples);
        let model = match samples {
            0 => model(self.settings, self.fitted, rows),
            _ => self.dropping(rows)?,
        };
        let mut engine = self.engine(&*model, rows)?;
        let tempered = |found: Predictions, temperature| Predictions { temperature, ..found };
        if self.others.is_empty() && samples == 0 {
            return Ok((tempered(task.evaluate(&mut engine, draws)?, self.fitted.temperature), None));
        }
        let mut mixture = Mixture::default();
        let others = self.others.iter().map(Some);
        for member in std::iter::once(None).chain(others) {
            if let Some(member) = member {
                let restored = engine.restore(&member.weights, false);
                restored.map_err(|e| TrainError::unusable(&member.file, e))?;
            }
            let temperature = member.map_or(self.fitted.temperature, |member| member.temperature);
            if samples == 0 {
                mixture.add(tempered(task.evaluate(&mut engine, draws)?, temperature), &self.fitted.target);
            }
            for draw in 0..samples {
                mixture.add(tempered(engine.evaluate_draw(draw)?, temperature), &self.fitted.target);
            }
        }
        let (mean, spread) = mixture.finish(&self.fitted.target, &self.settings.train.loss)?;
        Ok((mean, Some(spread)))
    }

    /// The model with dropout as in training.
    fn dropping(&self, rows: &Dataset) -> Result<Box<dyn Model>, TrainError> {
        let model = Dropping(supervised(self.settings, self.fitted, rows));
        if model.drops()? {
            return Ok(Box::new(model));
        }
        Err(self
            .unsuited("dropout-samples", "needs a model with dropout, which this one was trained without"))
    }

    /// The last hidden features of `rows`, `[rows, features]` as outputs.
    ///
    /// # Errors
    /// If the weights do not match the model, or the device fails.
    pub fn features(&self, rows: &Dataset) -> Result<Predictions, TrainError> {
        self.engine(&supervised(self.settings, self.fitted, rows).features(), rows)?.evaluate()
    }

    /// The error that a setting is not for this model.
    pub fn unsuited(&self, name: &'static str, problem: &str) -> TrainError {
        TrainError::Setting { run: Some(self.run.into()), name, problem: problem.into() }
    }

    /// The error that something asked of the run cannot be.
    pub fn refuse(&self, reason: &str) -> TrainError {
        TrainError::unusable(self.run, reason)
    }
}

/// How the discriminator of an adversarial pair is trained.
pub fn opponent(settings: Settings) -> Opponent {
    let train = settings.train;
    let own = train.discriminator.clone().unwrap_or_default();
    let clipped = |gan: Adversarial| (gan.loss == GanLoss::Wasserstein).then_some(gan.clip);
    Opponent {
        optimizer: own.optimizer.unwrap_or_else(|| train.optimizer.clone()),
        rate: own.learning_rate.map_or(1.0, |rate| rate / train.learning_rate),
        clip_norm: own.clip_norm.or(train.clip_norm),
        bound: settings.model.adversarial().and_then(clipped),
    }
}

/// The model of an experiment for rows like those of `sample`.
pub fn model(settings: Settings, fitted: &Fitted, sample: &Dataset) -> Box<dyn Model> {
    let model = whole(settings, fitted, sample);
    match settings.frozen() {
        None => model,
        Some(names) => Box::new(Frozen { model, names }),
    }
}

/// The same with all of it trained.
fn whole(settings: Settings, fitted: &Fitted, sample: &Dataset) -> Box<dyn Model> {
    let (config, loss) = (settings.model, settings.train.loss.clone());
    let outputs = fitted.target.outputs();
    let image = fitted.image.as_ref().map(|image| image.shape);
    if let Some(vae) = Vae::new(config, sample.width(), image, outputs) {
        return Box::new(vae);
    }
    if let Some(gan) = Gan::new(config, sample.width(), image, outputs, opponent(settings)) {
        return Box::new(gan);
    }
    if let (Some(documents), true) = (documents(fitted), config.is_masked()) {
        return Box::new(Masked::new(config, documents));
    }
    if let Some(text) = &sample.text {
        let shape = TextShape { length: text.length, vocabulary: text.vocabulary };
        return Box::new(Language::new(config, shape, loss));
    }
    Box::new(supervised(settings, fitted, sample))
}

/// The shape of the texts of rows.
fn documents(fitted: &Fitted) -> Option<DocumentShape> {
    let text = &fitted.documents.as_ref()?.text;
    Some(DocumentShape { length: text.length, vocabulary: text.inputs() })
}

/// The model of an experiment that predicts a target, for rows like those of `sample`.
pub fn supervised(settings: Settings, fitted: &Fitted, sample: &Dataset) -> Supervised {
    let (config, loss) = (settings.model, settings.train.loss.clone());
    let outputs = fitted.target.outputs();
    let image = fitted.image.as_ref().map(|image| image.shape);
    let categories =
        match fitted.graph.as_ref().and_then(|graph| Some((graph.id.clone()?, graph.nodes.count()))) {
            Some(nodes) => vec![nodes],
            None => sample.categories.iter().map(|c| (c.name.clone(), c.vocabulary)).collect(),
        };
    let windows = sample.windows.as_ref();
    let sequence = windows.map(|w| SequenceShape { length: w.length, width: sample.features.len() });
    let relative = match &fitted.window {
        Some(window) if window.config.relative => window.past.len(),
        _ => 0,
    };
    let graphs = sample.graphs.as_ref().map(|graphs| GraphShape {
        packed: graphs.packed,
        features: graphs.features.len(),
        categories: graphs.categories.iter().map(|c| (c.name.clone(), c.vocabulary)).collect(),
    });
    let weighted = !sample.weights.is_empty();
    let graph = fitted.graph.as_ref().map(|graph| graph.nodes.clone());
    let documents = documents(fitted);
    let features = sample.width();
    let of_pixels = |pixels: &FittedPixels| PixelOutputs {
        size: [pixels.shape.height, pixels.shape.width],
        each: pixels.each(),
    };
    let pixels = fitted.target.pixels().map(of_pixels);
    let inputs = Inputs {
        features,
        categories,
        sequence,
        relative,
        weighted,
        graph,
        graphs,
        image,
        pixels,
        documents,
    };
    Supervised::new(config, inputs, outputs, loss)
}
