//! Cross-validation: how the rows of an experiment are split into folds.

use crate::data::Goal;
use crate::data::config::SplitConfig;
use crate::experiment::Experiment;
use crate::train::TrainError;

/// The override that makes the split of an experiment one into folds: `fold` of the repetition `repeat` tests. Group,
/// stratification and validation part are those of the experiment; rows that are split by order or time remain so, and
/// folds have a rolling origin.
///
/// # Errors
/// If its rows are split by what folds would ignore.
pub fn split(experiment: &Experiment, folds: u64, [fold, repeat]: [u64; 2]) -> Result<String, TrainError> {
    let classes =
        experiment.settings().predicts() && matches!(experiment.goal(), Goal::Binary | Goal::Classes);
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
                let reason = "repeating (--repeats) draws other folds, but `data.split` tests on later rows, which are the same each \
                              time";
                return Err(TrainError::Input(reason.into()));
            }
            return Ok(rolling(&experiment.data.split, folds, fold));
        }
        SplitConfig::Column { .. } | SplitConfig::Files { .. } => {
            let reason = "folds (--folds, or those of a study) draw rows at random, but `data.split` says which rows test; use by = \"random\"";
            return Err(TrainError::Input(reason.into()));
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
