//! Runs side by side: the settings that differ, the metrics, and what makes them hard to compare.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::list::{Known, State};
use crate::base::number::Number;
use crate::data::Goal;
use crate::data::config::Targets;
use crate::report::comparison::{Curves, Page};
use crate::train::TrainError;
use crate::train::metrics::larger_is_better;

/// Runs compared at most: as many as have colours of their own.
pub const MOST_RUNS: usize = 8;

/// A key of the experiment whose values differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// The key, such as `train.epochs`.
    pub key: String,
    /// Its value in each run, as TOML; absent where the run has no such key.
    pub values: Vec<Option<String>>,
}

/// A metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// `validation` or `test`.
    pub part: &'static str,
    /// Its name.
    pub metric: String,
    /// Its value in each run; absent where it was not measured.
    pub values: Vec<Option<Number>>,
    /// Runs with the best value; empty where values must not be compared, or there is no better one.
    pub best: Vec<usize>,
}

/// Runs side by side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Run directories.
    pub runs: Vec<String>,
    /// How they stand.
    pub states: Vec<State>,
    /// Settings that differ.
    pub settings: Vec<Setting>,
    /// Metrics of the best epoch.
    pub metrics: Vec<Row>,
    /// What makes the numbers hard to compare.
    pub notes: Vec<String>,
    /// Loss by epoch, for the page.
    #[serde(skip)]
    curves: Vec<Curves>,
}

/// Compares runs.
///
/// # Errors
/// If there are fewer than two or more than [`MOST_RUNS`], one is given twice, or one cannot be read.
pub fn compare(paths: &[PathBuf]) -> Result<Comparison, TrainError> {
    if !(2..=MOST_RUNS).contains(&paths.len()) {
        let reason = format!(
            "{} run{} to compare; give 2 to {MOST_RUNS} run directories: gridlight compare runs/a runs/b",
            paths.len(),
            if paths.len() == 1 { "" } else { "s" }
        );
        return Err(TrainError::Input(reason));
    }
    for (at, path) in paths.iter().enumerate() {
        if paths[..at].contains(path) {
            return Err(TrainError::unusable(path, "is given twice; leave it out once"));
        }
    }
    let known: Vec<Known> = paths.iter().map(|path| Known::read(path)).collect::<Result<_, _>>()?;
    let settings = settings(&known);
    let (notes, alike) = notes(&known, &settings);
    let same_loss = known.iter().all(|run| run.experiment.train.loss == known[0].experiment.train.loss);
    let comparable = |metric: &str| alike && (metric != "loss" || same_loss);
    let curves = known.iter().map(curves_of).collect();
    Ok(Comparison {
        runs: paths.iter().map(|path| path.display().to_string()).collect(),
        states: known.iter().map(|run| run.state).collect(),
        metrics: metrics(&known, comparable),
        settings,
        notes,
        curves,
    })
}

impl Comparison {
    /// The comparison as a self-contained HTML page.
    pub fn html(&self) -> String {
        let setting = |s: &Setting| {
            let values = s.values.iter().map(|value| value.clone().unwrap_or_else(|| "–".into()));
            std::iter::once(s.key.clone()).chain(values).collect()
        };
        let metric = |m: &Row| (format!("{} {}", m.part, m.metric), m.values.clone(), m.best.clone());
        Page {
            runs: &self.runs,
            states: self.states.iter().map(|state| state.name()).collect(),
            settings: self.settings.iter().map(setting).collect(),
            metrics: self.metrics.iter().map(metric).collect(),
            notes: &self.notes,
            curves: &self.curves,
        }
        .html()
    }
}

/// Loss by epoch.
fn curves_of(run: &Known) -> Curves {
    let epoch = |row: &crate::train::history::HistoryRow| row.epoch as f64;
    let validation =
        run.history.iter().filter_map(|row| Some((epoch(row), row.validation.get("loss")?))).collect();
    Curves { train: run.history.iter().map(|row| (epoch(row), row.train_loss)).collect(), validation }
}

/// The keys whose values are not the same in all runs.
fn settings(runs: &[Known]) -> Vec<Setting> {
    let all: Vec<BTreeMap<String, String>> = runs
        .iter()
        .map(|run| {
            let mut keys = BTreeMap::new();
            let table = toml::Table::try_from(&run.experiment).unwrap_or_default();
            flatten("", &toml::Value::Table(table), &mut keys);
            keys
        })
        .collect();
    let names: std::collections::BTreeSet<&String> = all.iter().flat_map(BTreeMap::keys).collect();
    let setting = |key: &String| {
        let values = all.iter().map(|keys| keys.get(key).cloned()).collect();
        Setting { key: key.clone(), values }
    };
    let differs = |s: &Setting| s.values.iter().any(|value| *value != s.values[0]);
    names.into_iter().map(setting).filter(differs).collect()
}

/// The values of a table by their keys.
fn flatten(key: &str, value: &toml::Value, keys: &mut BTreeMap<String, String>) {
    let toml::Value::Table(table) = value else {
        keys.insert(key.into(), value.to_string());
        return;
    };
    for (name, value) in table {
        let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
        flatten(&key, value, keys);
    }
}

/// What makes runs hard to compare, and whether their metrics are of the same rows and the same target.
fn notes(runs: &[Known], settings: &[Setting]) -> (Vec<String>, bool) {
    let mut notes = vec![];
    let digests: Vec<Option<&String>> =
        runs.iter().map(|run| run.record.as_ref().map(|record| &record.data_digest)).collect();
    if digests.contains(&None) {
        notes.push("a run has no run.json, so it is not known whether all have the same data".into());
    } else if digests.iter().any(|digest| *digest != digests[0]) {
        notes.push("the data differ, so metrics are of different rows and no best is marked".to_string());
    }
    let differs = |of: &dyn Fn(&str) -> bool| settings.iter().any(|setting| of(&setting.key));
    let task = |run: &Known| {
        let data = &run.experiment.data;
        (run.experiment.goal(), data.target.clone(), data.pixel_target().map(String::from))
    };
    if runs.iter().any(|run| task(run) != task(&runs[0])) {
        let goal = |run: &Known| match (run.experiment.goal(), &run.experiment.data.target) {
            (Goal::Features, _) => "learns its features".to_string(),
            (goal, None) if run.experiment.data.pixel_target().is_some() => match goal {
                Goal::Binary | Goal::Classes => "predicts the class of each pixel".into(),
                _ => "predicts the values of each pixel".into(),
            },
            (goal, target) => {
                let what = match goal {
                    Goal::Regression | Goal::Rate => "a number",
                    Goal::Binary | Goal::Classes | Goal::Features => "classes",
                };
                format!(
                    "predicts {} as {what}",
                    target.as_ref().map_or_else(|| "the next character".into(), Targets::to_string)
                )
            }
        };
        let goals: Vec<String> = runs.iter().map(goal).collect();
        notes.push(format!("the tasks differ, so no best is marked: {}", goals.join("; ")));
    }
    let rows = ["data.split", "data.window", "data.clean", "data.reshape", "data.text", "data.csv"];
    if differs(&|key| rows.iter().any(|table| key.starts_with(table))) {
        notes.push("`data.split` or other keys that choose rows differ, so no best is marked".into());
    }
    // So far, notes say why metrics are not of the same rows and the same target.
    let alike = notes.is_empty();
    if differs(&|key| key.starts_with("train.loss")) {
        notes.push("the losses differ, so their values and curves are not in the same units".into());
    }
    (notes, alike)
}

/// Metrics of the best epoch on the validation rows, and those on the test rows where they were evaluated.
fn metrics(runs: &[Known], comparable: impl Fn(&str) -> bool) -> Vec<Row> {
    let validation: Vec<BTreeMap<String, f64>> = runs
        .iter()
        .map(|run| {
            let numbers = run.best().map(|row| row.validation.0.iter().map(|(n, x)| (n.to_string(), *x)));
            numbers.into_iter().flatten().collect()
        })
        .collect();
    let test: Vec<BTreeMap<String, f64>> =
        runs.iter().map(|run| run.record.as_ref().map(|r| r.test.clone()).unwrap_or_default()).collect();
    let mut rows = vec![];
    for (part, numbers) in [("validation", &validation), ("test", &test)] {
        let mut names: Vec<&String> = numbers.iter().flat_map(BTreeMap::keys).collect();
        names.sort_by_key(|name| (*name != "loss", (*name).clone()));
        names.dedup();
        for name in names {
            let values: Vec<Option<f64>> = numbers.iter().map(|run| run.get(name).copied()).collect();
            let best = if comparable(name) { best(name, &values) } else { vec![] };
            let values = values.into_iter().map(|value| value.map(Number)).collect();
            rows.push(Row { part, metric: name.clone(), values, best });
        }
    }
    rows
}

/// The runs with the best value of a metric; none if all are equal.
fn best(name: &str, values: &[Option<f64>]) -> Vec<usize> {
    let Some(larger) = larger_is_better(name) else { return vec![] };
    let of = |value: &f64| if larger { -value } else { *value };
    let finite = || values.iter().flatten().filter(|value| !value.is_nan());
    let Some(least) = finite().map(of).min_by(f64::total_cmp) else { return vec![] };
    if finite().all(|value| of(value) == least) {
        return vec![];
    }
    (0..values.len()).filter(|&at| values[at].as_ref().map(of) == Some(least)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_the_largest_or_the_least_and_nothing_if_all_are_equal() {
        let values = [Some(0.5), None, Some(0.75), Some(f64::NAN), Some(0.75)];
        assert_eq!(best("accuracy", &values), [2, 4]);
        assert_eq!(best("mae", &values), [0]);
        assert!(best("kl", &values).is_empty() && best("mae", &[Some(1.0), Some(1.0)]).is_empty());
        assert!(best("mae", &[None, Some(f64::NAN)]).is_empty());
    }
}
