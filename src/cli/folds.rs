//! `gridlight train --folds`: cross-validation.

use std::path::Path;

use gridlight::base::number::{Numbers, shown};
use gridlight::data::Goal;
use gridlight::data::config::SplitConfig;
use gridlight::experiment::Experiment;

use super::Failure;
use super::output::{print, print_json};

/// The test metrics of a fold.
pub struct Fold {
    /// Its number within the repetition, and the repetition.
    pub place: [u64; 2],
    /// Its metrics.
    pub metrics: Numbers,
}

/// Mean and deviation of a metric.
#[derive(serde::Serialize)]
struct Summary {
    mean: f64,
    /// Sample standard deviation over the folds.
    deviation: f64,
    folds: Vec<f64>,
}

/// The override that makes the split of an experiment one into folds: `fold` of the repetition `repeat` tests. Group,
/// stratification and validation part are those of the experiment; rows that are split by order or time remain so, and
/// folds have a rolling origin.
///
/// # Errors
/// If its rows are split by what folds would ignore.
pub fn split(experiment: &Experiment, folds: u64, [fold, repeat]: [u64; 2]) -> Result<String, Failure> {
    let classes = matches!(experiment.goal(), Goal::Binary | Goal::Classes);
    let mut table = toml::Table::new();
    match &experiment.data.split {
        SplitConfig::Random { validation, group, stratify, .. }
        | SplitConfig::Folds { validation, group, stratify, .. } => {
            table.insert("validation".into(), toml::Value::Float(*validation));
            if let Some(group) = group {
                table.insert("group".into(), group.clone().into());
            }
            if classes {
                table.insert("stratify".into(), stratify.unwrap_or(true).into());
            }
        }
        SplitConfig::Rows { validation, .. } => {
            table.insert("validation".into(), toml::Value::Float(*validation));
        }
        SplitConfig::Order { .. } | SplitConfig::Time { .. } | SplitConfig::Rolling { .. } => {
            if repeat > 0 {
                let reason = "--repeats draws other folds, but `data.split` tests on later rows, which are the same \
                              each time; leave it out";
                return Err(Failure::input(reason));
            }
            return Ok(rolling(&experiment.data.split, folds, fold));
        }
        SplitConfig::Column { .. } | SplitConfig::Files { .. } => {
            let reason =
                "--folds draws rows at random, but `data.split` says which rows test; use by = \"random\"";
            return Err(Failure::input(reason));
        }
    }
    table.insert("by".into(), "folds".into());
    table.insert("folds".into(), toml::Value::Integer(folds as i64));
    table.insert("fold".into(), toml::Value::Integer(fold as i64));
    // Seed 0 deals rows in the order of the file, in which neighbours may be alike; folds are drawn.
    let seed = experiment.data.split.seed().wrapping_add(repeat + 1) & i64::MAX as u64;
    table.insert("seed".into(), toml::Value::Integer(seed as i64));
    Ok(format!("data.split={}", toml::Value::Table(table)))
}

/// The override that makes a split by order or time one with a rolling origin.
fn rolling(split: &SplitConfig, folds: u64, fold: u64) -> String {
    let mut table = toml::Table::new();
    table.insert("by".into(), "rolling".into());
    table.insert("folds".into(), toml::Value::Integer(folds as i64));
    table.insert("fold".into(), toml::Value::Integer(fold as i64));
    if let SplitConfig::Order { validation, .. } | SplitConfig::Rolling { validation, .. } = split {
        table.insert("validation".into(), toml::Value::Float(*validation));
    }
    if let SplitConfig::Rolling { test_rows: Some(rows), .. } = split {
        table.insert("test_rows".into(), toml::Value::Integer(*rows as i64));
    }
    if let Some(column) = split.column() {
        table.insert("column".into(), column.clone().into());
    }
    format!("data.split={}", toml::Value::Table(table))
}

/// Shows the metrics of all folds, their mean and deviation.
///
/// # Errors
/// If they cannot be printed.
pub fn show(folds: &[Fold], out: &Path, json: bool) -> Result<(), Failure> {
    let names: Vec<&str> =
        folds.first().map(|f| f.metrics.0.iter().map(|(name, _)| *name).collect()).unwrap_or_default();
    let summary = |name: &str| {
        let values: Vec<f64> = folds.iter().filter_map(|fold| fold.metrics.get(name)).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
        Summary { mean, deviation: (squares / (n - 1.0).max(1.0)).sqrt(), folds: values }
    };
    if json {
        let metrics: serde_json::Map<String, serde_json::Value> = names
            .iter()
            .map(|name| (name.to_string(), serde_json::to_value(summary(name)).unwrap_or_default()))
            .collect();
        return print_json(
            &serde_json::json!({ "event": "folds", "folds": folds.len(), "metrics": metrics }),
        );
    }
    let mut text = format!("{:<8}", "fold");
    let cell = |name: &str, shown: &str| format!("{shown:>0$}", name.len().max(12) + 2);
    text.extend(names.iter().map(|name| cell(name, name)));
    text.push('\n');
    for fold in folds {
        let [number, repeat] = fold.place;
        text += &format!(
            "{:<8}",
            if repeat > 0 { format!("{number} ({})", repeat + 1) } else { number.to_string() }
        );
        text.extend(names.iter().map(|name| cell(name, &shown(fold.metrics.get(name).unwrap_or(f64::NAN)))));
        text.push('\n');
    }
    for (row, of) in [("mean", 0), ("± ", 1)] {
        text += &format!("{row:<8}");
        text.extend(names.iter().map(|name| {
            let summary = summary(name);
            cell(name, &shown(if of == 0 { summary.mean } else { summary.deviation }))
        }));
        text.push('\n');
    }
    print(&format!("{text}runs in {}", out.display()))
}
