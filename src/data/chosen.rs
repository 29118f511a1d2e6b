//! Which columns and rows of a table are used, and what for.

use super::config::{self, DataConfig, Targets};
use super::table::Table;
use super::{DataError, Goal, fit, weights};

/// The columns that the model reads.
pub(super) fn feature_columns(config: &DataConfig, table: &Table) -> Result<Vec<usize>, DataError> {
    if config.text.is_some() {
        return Ok(vec![]);
    }
    if let Some(features) = &config.features {
        if let Some(name) = features.iter().find(|f| is_target(config, f)) {
            let reason = "it is the target; a model must not read what it predicts".into();
            return Err(DataError::Treatment { column: name.clone(), reason });
        }
        for (at, name) in features.iter().enumerate() {
            let reason = if features[..at].contains(name) {
                "`features` names it twice; leave one out"
            } else if config.exclude.contains(name) {
                "it is in `features` and in `exclude`; remove it from one of them"
            } else {
                continue;
            };
            return Err(DataError::Treatment { column: name.clone(), reason: reason.into() });
        }
        return features.iter().map(|name| table.find(name)).collect();
    }
    // Where rows are graphs, it may be a column of their nodes.
    if config.graph.as_ref().is_none_or(|graph| graph.nodes.is_none()) {
        for name in &config.exclude {
            table.find(name)?;
        }
    }
    let split_column = config.split.column();
    let id = config.graph.as_ref().and_then(|graph| graph.id.as_ref());
    let left_out = |name: &String| {
        is_target(config, name)
            || [config.weight.as_ref(), split_column, id].contains(&Some(name))
            || config.exclude.contains(name)
    };
    Ok((0..table.names.len()).filter(|&c| !left_out(&table.names[c])).collect())
}

/// Rows with a target and without missing values in the columns that require one.
pub(super) fn kept_rows(
    config: &DataConfig,
    table: &Table,
    targets: &[usize],
) -> Result<Vec<usize>, DataError> {
    let mut required: Vec<usize> = targets.iter().copied().chain(weights::find(config, table)?).collect();
    for name in &config.clean.drop_missing {
        required.push(table.find(name)?);
    }
    let by_rule = |c: &usize| config.clean.columns.get(&table.names[*c]) == Some(&config::Fill::Drop);
    required.extend((0..table.names.len()).filter(by_rule));
    let by_kind = |c: &usize| *fit::column_fill(config, table, *c) == config::Fill::Drop;
    required.extend(feature_columns(config, table)?.into_iter().filter(by_kind));
    let complete = |row: &usize| required.iter().all(|&c| !table.is_missing(c, *row));
    let rows: Vec<usize> = (0..table.lines.len()).filter(complete).collect();
    if rows.is_empty() {
        let reason = "no row is left once rows with missing values are dropped".into();
        let column = first_target(config);
        return Err(DataError::BadTarget { path: table.path.clone(), column, reason });
    }
    Ok(rows)
}

/// The column of the target if it holds classes.
pub(super) fn class_column(goal: Goal, target: Option<usize>) -> Option<usize> {
    target.filter(|_| matches!(goal, Goal::Binary | Goal::Classes))
}

/// The columns of the targets, if there are any.
pub(super) fn find_targets(config: &DataConfig, table: &Table) -> Result<Vec<usize>, DataError> {
    config.target.iter().flat_map(Targets::names).map(|name| table.find(name)).collect()
}

/// Whether a column is a target.
pub(super) fn is_target(config: &DataConfig, name: &str) -> bool {
    config.target.as_ref().is_some_and(|target| target.contains(name))
}

/// The name of the first target, for messages; empty if there is none.
pub(super) fn first_target(config: &DataConfig) -> String {
    config.target.as_ref().map_or_else(String::new, |target| target.first().into())
}
