//! The experiment file: TOML to a checked [`Experiment`], with errors that name file, line, column and key.

mod accumulate;
mod check;
mod explain;
mod imported;
pub mod keys;
mod paths;
mod place;
pub mod schema;
mod source;
pub mod starter;
pub mod study;
mod uncertainty;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::config::ConfigError;
use crate::base::input;
use crate::base::names::normal;
use crate::base::tree::{self, Node};
use crate::data::config::Scaling;
use crate::data::{DataConfig, Goal};
use crate::nn::config::ModelConfig;
use crate::tasks::{self, Settings};
use crate::train::config::TrainConfig;
use crate::uncertainty::config::UncertaintyConfig;
use explain::explain;
use place::Origin;

/// The contents of an experiment file, with defaults filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Name; also the name of the run directory.
    pub name: String,
    /// Seed of all random numbers.
    #[serde(default)]
    pub seed: u64,
    /// The data.
    pub data: DataConfig,
    /// The model.
    #[serde(default)]
    pub model: ModelConfig,
    /// The training.
    #[serde(default)]
    pub train: TrainConfig,
    /// How sure predictions are to say they are.
    #[serde(default)]
    pub uncertainty: UncertaintyConfig,
    /// Where the experiment was read from.
    #[serde(skip)]
    origin: Origin,
}

/// The copy of an imported network in a run directory.
pub const NETWORK: &str = "network.onnx";
/// Larger files are rejected before they are parsed.
const MAX_BYTES: u64 = 1 << 20;
/// Keys that take a name, or a table with the name as its `type`.
const NAMED: [&str; 3] = ["loss", "optimizer", "schedule"];

impl Experiment {
    /// Reads an experiment file and applies `--set` arguments (`table.key=value`).
    ///
    /// # Errors
    /// If the file cannot be read or anything in it is wrong.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, ConfigError> {
        let place = path.display().to_string();
        let mut experiment = Self::parse(&text_of(path)?, &place, overrides)?;
        let network = experiment.model.from.as_ref().map(|from| Self::directory(path).join(from));
        // A run has its own copy.
        let kept = path.with_file_name(NETWORK);
        let noted = experiment.model.from_sha256.is_some();
        let in_run = noted && path.file_name().is_some_and(|name| name == "experiment.toml") && kept.exists();
        if let Some(network) = network {
            experiment.load_network(if in_run { &kept } else { &network })?;
        }
        Ok(experiment)
    }

    /// Parses the text of an experiment; `place` is the file's name for messages.
    ///
    /// # Errors
    /// If anything in it is wrong.
    pub fn parse(text: &str, place: &str, overrides: &[String]) -> Result<Self, ConfigError> {
        // Names of columns are compared with those of tables, which are in the normal form.
        let (written, text) = (text, &*normal(text));
        let overrides: Vec<String> = overrides.iter().map(|argument| normal(argument).into_owned()).collect();
        let overrides = &overrides[..];
        let mut origin = Origin {
            place: place.into(),
            text: text.into(),
            overrides: overrides.to_vec(),
            given: toml::Table::new(),
        };
        let located = |e: &tree::Error| ConfigError {
            place: e.span().map_or_else(|| place.to_string(), |span| origin.at(span.start)),
            reason: explain(e.message()),
        };
        let mut experiment = source::read(text, overrides).map_err(|e| located(&e))?;
        let mut given: toml::Table = toml::from_str(text).map_err(|e| located(&e.into()))?;
        for argument in overrides {
            override_key(&mut given, argument)?;
            // As text again, whose tables and theirs are one.
            let changed = tree::of_toml_text(&given.to_string()).and_then(Node::read::<Self>);
            experiment = changed.map_err(|e| ConfigError {
                place: format!("--set {argument}"),
                reason: explain(e.message()),
            })?;
        }
        if written != text
            && let Ok(mut raw) = tree::of_toml_text(written).and_then(Node::read::<Self>)
        {
            // Names of files stay as they are.
            for (path, raw) in experiment.data.paths().into_iter().zip(raw.data.paths()) {
                if *path == normal(raw) {
                    path.clone_from(raw);
                }
            }
        }
        experiment.fill_in(&given);
        origin.given = given;
        experiment.origin = origin;
        for key in ["layer", "generator", "discriminator"] {
            let model = experiment.origin.given.get("model");
            let layers = model.and_then(|model| model.get(key)).and_then(toml::Value::as_array);
            if layers.is_some_and(Vec::is_empty) {
                let reason = "= [] names no layer; for a model without hidden layers use hidden = [] instead";
                return Err(experiment.wrong(&format!("model.{key}"), reason));
            }
        }
        experiment.check().map_err(|(key, reason)| experiment.wrong(key, &reason))?;
        Ok(experiment)
    }

    /// As [`Experiment::parse`], and reads the network of `model.from`, whose path is relative to `directory`.
    ///
    /// # Errors
    /// If anything in it is wrong, or the network cannot be read.
    pub fn parse_in(
        text: &str,
        place: &str,
        directory: &Path,
        overrides: &[String],
    ) -> Result<Self, ConfigError> {
        let mut experiment = Self::parse(text, place, overrides)?;
        if let Some(network) = experiment.model.from.as_ref().map(|from| directory.join(from)) {
            experiment.load_network(&network)?;
        }
        Ok(experiment)
    }

    /// An error about `key` (`table.key`), located where the key was set: for problems that only show once
    /// the data are loaded.
    pub fn wrong(&self, key: &str, reason: &str) -> ConfigError {
        self.origin.error(key, reason)
    }

    /// Another `train.batch_size` for `rows` training rows, if it was left at its default, and that is larger, or rows
    /// are nodes of a graph, which every step reads as a whole: all rows, as far as they can be cut into micro-batches.
    /// `None` if it stays as it is.
    pub fn batch_for(&self, rows: usize) -> Option<usize> {
        let train = &self.train;
        let default = TrainConfig::default().batch_size;
        if (train.batch_size <= rows && !self.is_of_nodes())
            || train.batch_size != default
            || self.origin.gives("train.batch_size")
        {
            return None;
        }
        let parts = train.accumulate.max(1);
        let size = rows - rows % parts;
        // Statistics of a batch need two rows.
        let normalised = self.normalises_batch();
        (size > 0 && !(normalised && size / parts == 1)).then_some(size)
    }

    /// Whether rows are the nodes of a graph.
    pub fn is_of_nodes(&self) -> bool {
        self.data.graph.as_ref().is_some_and(|graph| graph.nodes.is_none()) && self.data.window.is_none()
    }

    /// Fills keys that are not `given` with the defaults that follow from the model or the data.
    fn fill_in(&mut self, given: &toml::Table) {
        let model = given.get("model");
        self.model.fill_in(&|key| model.is_some_and(|model| model.get(key).is_some()));
        let is_given = |key: &str| given.get("train").is_some_and(|train| train.get(key).is_some());
        if !is_given("loss") {
            self.train.loss = tasks::default_loss(&self.data, &self.model);
        }
        tasks::fill_in(&self.data, &mut self.model, &mut self.train, &is_given);
        let transform = given.get("data").and_then(|data| data.get("transform"));
        if self.train.loss.has_log_link() && transform.is_none_or(|table| table.get("target").is_none()) {
            self.data.transform.target = Scaling::None;
        }
        if !is_given("shuffle") {
            self.train.shuffle = tasks::default_shuffle(&self.data, &self.model);
        }
    }

    /// Training rows that a step reads.
    pub fn rows_per_step(&self) -> usize {
        self.train.batch_size * self.model.batches_per_step()
    }

    /// The parts that tasks read.
    pub fn settings(&self) -> Settings<'_> {
        Settings { data: &self.data, model: &self.model, train: &self.train }
    }

    /// The experiment as TOML, with all defaults written out.
    pub fn resolved(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// The seed as two words.
    pub fn seed_words(&self) -> [u32; 2] {
        [self.seed as u32, (self.seed >> 32) as u32]
    }

    /// What the model learns, as determined by the loss.
    pub fn goal(&self) -> Goal {
        self.settings().goal()
    }

    /// The directory of the experiment file, which its paths are relative to; the current one for a pipe.
    pub fn directory(path: &Path) -> PathBuf {
        if input::is_special(path) {
            return PathBuf::new();
        }
        path.parent().map_or_else(PathBuf::new, Path::to_path_buf)
    }
}

/// The text of an experiment file, or of one like it.
///
/// # Errors
/// If the file cannot be read, is too large or no text.
pub(crate) fn text_of(path: &Path) -> Result<String, ConfigError> {
    let fail = |reason: String| ConfigError { place: path.display().to_string(), reason };
    let bytes = input::read(path, MAX_BYTES).map_err(fail)?;
    String::from_utf8(bytes).map_err(|_| fail("the file is not UTF-8 text".into()))
}

/// Applies `table.key=value`; the value is TOML, or else a plain string.
fn override_key(table: &mut toml::Table, argument: &str) -> Result<(), ConfigError> {
    let fail = |reason: &str| ConfigError { place: format!("--set {argument}"), reason: reason.into() };
    let (key, value) = argument.split_once('=').ok_or_else(|| fail("expected table.key=value"))?;
    let parsed: Result<toml::Table, _> = toml::from_str(&format!("value = {value}"));
    if parsed.as_ref().is_ok_and(|table| table.len() > 1) {
        return Err(fail(
            "sets one key, and what follows the line break is another; give each a --set of its own",
        ));
    }
    let value = match parsed.ok().and_then(|mut t| t.remove("value")) {
        Some(value) => value,
        None => toml::Value::String(value.trim().into()),
    };
    let mut parts: Vec<&str> = key.split('.').map(str::trim).collect();
    let last = parts.pop().filter(|k| !k.is_empty()).ok_or_else(|| fail("expected table.key=value"))?;
    let mut table = table;
    for part in parts {
        let entry = table.entry(part).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        if NAMED.contains(&part)
            && let toml::Value::String(name) = entry
        {
            // A name alone stands for a table.
            let name = std::mem::take(name);
            *entry = toml::Value::Table(std::iter::once(("type".into(), name.into())).collect());
        }
        table = entry.as_table_mut().ok_or_else(|| fail(&format!("`{part}` is not a table")))?;
    }
    table.insert(last.into(), value);
    Ok(())
}

#[cfg(test)]
mod tests;
