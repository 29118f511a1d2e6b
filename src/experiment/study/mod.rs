//! The study file: which keys of an experiment are searched, how, and how long. Everything in it is checked, and every
//! end of every range tried on the experiment, before anything is trained.

mod judge;
mod probe;
mod search;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use search::Searched;

use super::explain::explain;
use super::place::Origin;
use super::{Experiment, text_of};
use crate::base::config::ConfigError;
use crate::base::names::normal;
use crate::base::tree::{self, Node};
use crate::search::halving::{Kind, Scheduler, rungs};
use crate::search::sampler::{NoGrid, Sampler, grid};
use crate::search::{Parameter, Setting};
use crate::train::metrics::larger_is_better;

/// Trials at most.
pub const MOST_TRIALS: usize = 100_000;
/// Folds at most.
const MOST_FOLDS: usize = 1000;
/// Trials that are proposed together, if the study does not say. Not a number of the machine's, because what is proposed
/// depends on it.
const TOGETHER: usize = 4;
/// At most.
const MOST_TOGETHER: i64 = 64;

/// What flags change in a study.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// `--set` arguments, for the experiment.
    pub overrides: Vec<String>,
    /// Number of trials.
    pub trials: Option<usize>,
    /// Seed of the sampler.
    pub seed: Option<u64>,
}

/// A study that was read and checked.
#[derive(Clone, Debug)]
pub struct Study {
    /// Name; also the name of its directory.
    pub name: String,
    /// How settings are proposed.
    pub sampler: Sampler,
    /// How many trials begin at most.
    pub trials: usize,
    /// After how much training no more is begun.
    pub hours: Option<f64>,
    /// The metric, or `loss`.
    pub metric: String,
    /// Seed of the sampler.
    pub seed: u64,
    /// Over how many folds the metric is averaged; without folds, it is that of the validation rows.
    pub folds: Option<usize>,
    /// How many trials are proposed together, before any of them was trained; they train at the same time.
    pub together: usize,
    /// Which trials stop early.
    pub scheduler: Scheduler,
    /// The searched keys.
    pub keys: Vec<Searched>,
    /// What each may be.
    pub space: Vec<Parameter>,
    /// The experiment as it stands.
    pub experiment: Experiment,
    text: String,
    place: PathBuf,
    overrides: Vec<String>,
    origin: Origin,
    /// Where the keys of `[search]` stand, which have dots.
    starts: Vec<(String, usize)>,
}

/// The keys of the file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    experiment: String,
    #[serde(default = "default_sampler")]
    sampler: SamplerName,
    trials: Option<i64>,
    hours: Option<f64>,
    metric: Option<String>,
    #[serde(default)]
    seed: u64,
    folds: Option<i64>,
    together: Option<i64>,
    #[serde(default)]
    scheduler: SchedulerFile,
    search: toml::Table,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum SamplerName {
    Grid,
    Random,
    Tpe,
}

fn default_sampler() -> SamplerName {
    SamplerName::Tpe
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table such as { type = \"asha\", reduction = 3, min_epochs = 2 }"
)]
struct SchedulerFile {
    #[serde(rename = "type", default)]
    kind: SchedulerName,
    reduction: Option<i64>,
    min_epochs: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum SchedulerName {
    #[default]
    None,
    Asha,
    Hyperband,
}

impl Study {
    /// Reads a study and its experiment.
    ///
    /// # Errors
    /// If either cannot be read, anything in them is wrong, or the experiment refuses a value that is searched.
    pub fn read(path: &Path, changes: &Changes) -> Result<Self, ConfigError> {
        let text = normal(&text_of(path)?).into_owned();
        let origin = Origin { place: path.display().to_string(), text, ..Origin::default() };
        let located = |e: &tree::Error| ConfigError {
            place: e.span().map_or_else(|| origin.place.clone(), |span| origin.at(span.start)),
            reason: explain(e.message()),
        };
        let read = tree::of_toml_text(&origin.text).and_then(Node::read::<File>);
        let mut file = read.map_err(|e| located(&e))?;
        file.trials = changes.trials.map(|n| n as i64).or(file.trials);
        file.seed = changes.seed.unwrap_or(file.seed);
        let wrong = |key: &str, reason: String| origin.error(key, &reason);
        let starts = starts(&origin.text);
        let of_search = |key: &str, reason: &str| of_search(&origin, &starts, key, reason);
        super::check::check_name(&file.name).map_err(|reason| wrong("name", reason))?;
        let place = Experiment::directory(path).join(&file.experiment);
        let experiment_text = text_of(&place).map_err(|error| {
            wrong("experiment", format!("= \"{}\" cannot be read: {}", file.experiment, error.reason))
        })?;
        let shown = place.display().to_string();
        let experiment = Experiment::parse(&experiment_text, &shown, &changes.overrides)?;
        let (keys, space) =
            searched(&file, &starts, changes).map_err(|(k, reason)| of_search(&k, &reason))?;
        let scheduler = scheduler(&file, &keys, &experiment).map_err(|(key, reason)| wrong(key, reason))?;
        let sampler = match file.sampler {
            SamplerName::Grid => Sampler::Grid,
            SamplerName::Random => Sampler::Random,
            SamplerName::Tpe => Sampler::Tpe,
        };
        let trials = match (sampler, &grid(&space)) {
            (Sampler::Grid, Err(NoGrid::Endless { parameter })) => {
                let reason = "has no end of values, which a grid needs: give a step or a choice, or use another sampler";
                return Err(of_search(&keys[*parameter].key, reason));
            }
            (Sampler::Grid, Err(NoGrid::Large)) => {
                let most = crate::search::sampler::MOST_OF_A_GRID;
                return Err(wrong(
                    "sampler",
                    format!("= \"grid\" gives more than {most} settings; search fewer"),
                ));
            }
            (Sampler::Grid, Ok(all)) => all.len(),
            _ => MOST_TRIALS,
        };
        let study = Self {
            name: file.name.clone(),
            sampler,
            trials: count(&file, trials, sampler).map_err(|(key, reason)| wrong(key, reason))?,
            hours: file.hours,
            metric: judge::metric(&file, &keys, &experiment).map_err(|(key, reason)| wrong(key, reason))?,
            seed: file.seed,
            folds: folds(&file).map_err(|(key, reason)| wrong(key, reason))?,
            together: together(&file, &keys).map_err(|(key, reason)| wrong(key, reason))?,
            scheduler,
            keys,
            space,
            experiment,
            text: experiment_text,
            place,
            overrides: changes.overrides.clone(),
            origin: origin.clone(),
            starts: starts.clone(),
        };
        study.check_on(&mut |_| Ok(()))?;
        Ok(study)
    }

    /// Tries what is searched on the experiment, every choice and both ends of every range, with a further check.
    ///
    /// # Errors
    /// The first value that the experiment or the check refuses, with its place in the file.
    pub fn check_on(
        &self,
        further: &mut dyn FnMut(&Experiment) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        let refused = probe::check(self, further);
        refused.map_err(|(key, reason)| of_search(&self.origin, &self.starts, &key, &reason))
    }

    /// The experiment with a setting and further `--set` arguments; its paths are absolute.
    ///
    /// # Errors
    /// If the experiment refuses it.
    pub fn experiment_with(&self, setting: &Setting, more: &[String]) -> Result<Experiment, ConfigError> {
        let own = self.named(setting).into_iter().map(|(key, value)| format!("{key}={value}"));
        let overrides: Vec<String> = self.overrides.iter().cloned().chain(own).chain(more.to_vec()).collect();
        let mut experiment = Experiment::parse(&self.text, &self.place.display().to_string(), &overrides)?;
        experiment.make_paths_absolute(&Experiment::directory(&self.place));
        Ok(experiment)
    }

    /// The keys that a setting has, with their values.
    pub fn named(&self, setting: &Setting) -> Vec<(&str, toml::Value)> {
        let of = |(searched, value): (&'_ Searched, &Option<f64>)| Some(searched.value((*value)?));
        let pairs = self.keys.iter().zip(setting);
        pairs.filter_map(|pair| Some((pair.0.key.as_str(), of(pair)?))).collect()
    }

    /// Whether larger values of the metric are better.
    pub fn larger_is_better(&self) -> bool {
        larger_is_better(&self.metric) == Some(true)
    }

    /// Whether all trials have the same data.
    pub fn has_the_same_data(&self) -> bool {
        have_the_same_data(&self.keys)
    }

    /// What trials depend on, as text: a study goes on only if it is the same.
    pub fn fingerprint(&self) -> String {
        let keys: String = self.keys.iter().map(|k| format!("\"{}\" = {}\n", k.key, k.written)).collect();
        let Scheduler { kind, reduction, rungs } = &self.scheduler;
        format!(
            "sampler = {:?}\nmetric = {}\nseed = {}\nfolds = {}\ntogether = {}\nscheduler = {kind:?}, reduction {reduction}, rungs \
             {rungs:?}\n{keys}{}",
            self.sampler,
            self.metric,
            self.seed,
            self.folds.unwrap_or(1),
            self.together,
            self.experiment.resolved()
        )
    }
}

/// An error about a key of `[search]`, where it stands.
fn of_search(origin: &Origin, starts: &[(String, usize)], key: &str, reason: &str) -> ConfigError {
    let start = starts.iter().find(|(name, _)| name == key).map(|(_, start)| *start);
    let place = start.map_or_else(|| origin.place.clone(), |start| origin.at(start));
    ConfigError { place, reason: format!("`{key}` {reason}") }
}

/// The keys of `[search]` and where they stand, in the order of the file.
fn starts(text: &str) -> Vec<(String, usize)> {
    let Ok(document) = toml::de::DeTable::parse(text) else { return vec![] };
    let table = document.into_inner();
    let search = table.into_iter().find(|(name, _)| name.get_ref() == "search");
    let Some(toml::de::DeValue::Table(table)) = search.map(|(_, value)| value.into_inner()) else {
        return vec![];
    };
    let mut starts: Vec<(String, usize)> =
        table.into_iter().map(|(name, _)| (name.get_ref().to_string(), name.span().start)).collect();
    starts.sort_by_key(|(_, start)| *start);
    starts
}

/// Reads `[search]`, and refuses keys that cannot be searched.
fn searched(
    file: &File,
    starts: &[(String, usize)],
    changes: &Changes,
) -> Result<(Vec<Searched>, Vec<Parameter>), search::Problem> {
    if file.search.is_empty() {
        let reason =
            "is empty; name what to search, such as \"train.learning_rate\" = { log = [1e-4, 1e-1] }";
        return Err(("search".into(), reason.into()));
    }
    let place = |key: &str| starts.iter().position(|(name, _)| name == key);
    let mut entries: Vec<(String, toml::Value)> = file.search.clone().into_iter().collect();
    entries.sort_by_key(|(key, _)| place(key));
    let found = search::read(&entries)?;
    let inside =
        |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
    for (key, _) in &entries {
        let fail = |reason: String| Err((key.clone(), reason));
        if key == "name" {
            return fail("cannot be searched".into());
        }
        if let Some((outer, _)) = entries.iter().find(|(outer, _)| inside(key, outer)) {
            return fail(format!("lies within `{outer}`, which is searched too; search only one of them"));
        }
        let set = changes.overrides.iter().map(|set| set.split('=').next().unwrap_or_default().trim());
        if let Some(set) = set.into_iter().find(|set| set == key || inside(set, key)) {
            return fail(format!("is searched, so that --set {set} would be lost; leave one of them out"));
        }
    }
    Ok(found)
}

fn count(file: &File, all: usize, sampler: Sampler) -> Result<usize, (&'static str, String)> {
    if let Some(hours) = file.hours.filter(|hours| !(*hours > 0.0 && hours.is_finite())) {
        return Err(("hours", format!("= {hours} must be a finite number above 0")));
    }
    match file.trials {
        Some(trials) if !(1..=MOST_TRIALS as i64).contains(&trials) => {
            Err(("trials", format!("= {trials} is not in 1..={MOST_TRIALS}")))
        }
        Some(trials) => Ok(all.min(trials as usize)),
        None if file.hours.is_none() && sampler != Sampler::Grid => {
            Err(("trials", "is missing; say how many trials, such as trials = 40, or hours = 2.0".into()))
        }
        None => Ok(all),
    }
}

fn folds(file: &File) -> Result<Option<usize>, (&'static str, String)> {
    match file.folds {
        Some(folds) if !(2..=MOST_FOLDS as i64).contains(&folds) => {
            Err(("folds", format!("= {folds} is not in 2..={MOST_FOLDS}")))
        }
        folds => Ok(folds.map(|folds| folds as usize)),
    }
}

/// How many trials are proposed together. Those with data of their own come one by one: each would be in memory.
fn together(file: &File, keys: &[Searched]) -> Result<usize, (&'static str, String)> {
    match file.together {
        Some(together) if !(1..=MOST_TOGETHER).contains(&together) => {
            Err(("together", format!("= {together} is not in 1..={MOST_TOGETHER}")))
        }
        Some(together) => Ok(together as usize),
        None => Ok(if have_the_same_data(keys) { TOGETHER } else { 1 }),
    }
}

fn have_the_same_data(keys: &[Searched]) -> bool {
    keys.iter().all(|searched| !searched.key.starts_with("data"))
}

fn scheduler(
    file: &File,
    keys: &[Searched],
    experiment: &Experiment,
) -> Result<Scheduler, (&'static str, String)> {
    let SchedulerFile { kind, reduction, min_epochs } = &file.scheduler;
    let whole = experiment.train.epochs;
    if *kind == SchedulerName::None {
        let given = [("scheduler.reduction", reduction), ("scheduler.min_epochs", min_epochs)];
        return match given.iter().find(|(_, value)| value.is_some()) {
            Some((key, _)) => Err((key, "is for type = \"asha\" and type = \"hyperband\"".into())),
            None => Ok(Scheduler { kind: Kind::Whole, reduction: 2, rungs: vec![whole] }),
        };
    }
    if keys.iter().any(|searched| searched.key == "train.epochs" || searched.key == "train") {
        let reason = "stops trials at numbers of epochs, so that `train.epochs` cannot be searched";
        return Err(("scheduler", reason.into()));
    }
    let counted = |key, value: Option<i64>, least: i64, default: i64| match value.unwrap_or(default) {
        value if (least..=1_000_000).contains(&value) => Ok(value as usize),
        value => Err((key, format!("= {value} is not in {least}..=1000000"))),
    };
    let reduction = counted("scheduler.reduction", *reduction, 2, 3)?;
    let least = counted("scheduler.min_epochs", *min_epochs, 1, 1)?;
    let rungs = rungs(least, reduction, whole);
    if rungs.len() < 2 {
        let reason = format!(
            "leaves no rung before the end: min_epochs = {least} times reduction = {reduction} is more than \
             train.epochs = {whole}"
        );
        return Err(("scheduler", reason));
    }
    let kind = if *kind == SchedulerName::Asha { Kind::Asha } else { Kind::Hyperband };
    Ok(Scheduler { kind, reduction, rungs })
}
