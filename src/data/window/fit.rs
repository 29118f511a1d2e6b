//! Determines the inputs and targets of windows, and fits them on the training rows.

use std::collections::BTreeMap;

use super::series::Series;
use super::{Known, baseline, members};
use crate::data::config::{DataConfig, Fill, ScaleBy, WindowConfig};
use crate::data::fitted::{Encoding, Fitted, FittedColumn, FittedTarget, FittedWindow};
use crate::data::scaling::FittedScaling;
use crate::data::table::Table;
use crate::data::{self, DataError, Goal, fit};

/// The columns of an experiment by their role in windows.
pub(super) struct Columns {
    pub targets: Vec<usize>,
    pub past: Vec<usize>,
    pub future: Vec<usize>,
    pub required: Vec<usize>,
}

/// Finds the columns that the experiment refers to.
pub(super) fn columns(
    config: &DataConfig,
    window: &WindowConfig,
    table: &Table,
) -> Result<Columns, DataError> {
    let clash = |column: &str, reason: &str| {
        Err(DataError::Treatment { column: column.into(), reason: reason.into() })
    };
    let Some(target) = &config.target else {
        return clash("", "windows predict a column; set it in `data.target`");
    };
    let names: Vec<&String> = target.names().iter().chain(&window.targets).collect();
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            return clash(name, "it is named twice among `target` and `data.window.targets`; leave one out");
        }
        if window.known_future.contains(name) {
            return clash(name, "it is predicted, so it cannot be in `known_future`");
        }
    }
    let targets = names.iter().map(|name| table.find(name)).collect::<Result<Vec<_>, _>>()?;
    let future = window.known_future.iter().map(|name| table.find(name)).collect::<Result<Vec<_>, _>>()?;
    for name in window.time.iter().chain(&window.group) {
        table.find(name)?;
    }
    let chosen = data::feature_columns(config, table)?;
    let named = |c: &usize| config.features.as_ref().is_some_and(|f| f.contains(&table.names[*c]));
    let bookkeeping = |c: &usize| {
        let name = Some(&table.names[*c]);
        name == window.time.as_ref() || name == window.group.as_ref()
    };
    let constant = window.constant.iter().map(|name| table.find(name)).collect::<Result<Vec<_>, _>>()?;
    for &c in &constant {
        let name = &table.names[c];
        if targets.contains(&c) || future.contains(&c) || Some(name) == window.time.as_ref() {
            return clash(name, "it changes from row to row, so it cannot be in `static`");
        }
    }
    let added = constant.iter().filter(|c| !chosen.contains(c)).copied().collect::<Vec<_>>();
    let named = |c: &usize| named(c) || constant.contains(c);
    let past: Vec<usize> = chosen
        .into_iter()
        .chain(added)
        .filter(|c| !targets.contains(c) && !future.contains(c) && (named(c) || !bookkeeping(c)))
        .collect();
    let mut required =
        config.clean.drop_missing.iter().map(|name| table.find(name)).collect::<Result<Vec<_>, _>>()?;
    let dropped = |c: &&usize| *fit::column_fill(config, table, **c) == Fill::Drop;
    required.extend(past.iter().chain(&future).filter(dropped));
    Ok(Columns { targets, past, future, required })
}

/// Fits everything on the rows `train`.
pub(super) fn fit(
    config: &DataConfig,
    window: &WindowConfig,
    series: &Series,
    columns: &Columns,
    train: &[usize],
    goal: Goal,
) -> Result<Fitted, DataError> {
    let table = &series.table;
    let features = columns.past.iter().chain(&columns.future);
    let fitted: Vec<FittedColumn> =
        features.map(|&c| fit::fit_column(config, table, c, train)).collect::<Result<_, _>>()?;
    if let Some(column) = fitted.iter().find(|c| matches!(c.encoding, Encoding::Embedding { .. })) {
        let reason = "category embeddings are not supported for windows; set `data.transform.categories` \
                      = \"one_hot\"";
        return Err(DataError::Treatment { column: column.name.clone(), reason: reason.into() });
    }
    let mut targets = vec![];
    for &c in &columns.targets {
        let named = DataConfig { target: Some(table.names[c].as_str().into()), ..config.clone() };
        let known: Vec<usize> = train.iter().copied().filter(|&r| !table.is_missing(c, r)).collect();
        targets.push(FittedTarget::fit(&named, table, Some(c), &known, goal)?);
    }
    let past: Vec<(String, FittedScaling)> =
        targets.iter().filter_map(|t| Some((t.name()?.to_string(), t.scaling(0)?.clone()))).collect();
    let steps = window.steps();
    let target = match (goal, &targets[..], steps) {
        (_, [_], 1) => targets.remove(0),
        (Goal::Regression, ..) => FittedTarget::Numbers {
            columns: past.iter().map(|(name, _)| name.clone()).collect(),
            scalings: past.iter().map(|(_, scaling)| scaling.clone()).collect(),
            steps,
        },
        _ => {
            let reason = "classes are predicted one at a time: remove `targets` and `all_steps` from \
                          [data.window], or use a regression loss such as \"mse\"";
            let column = data::first_target(config);
            return Err(DataError::Treatment { column, reason: reason.into() });
        }
    };
    let required = columns.required.iter().map(|&c| table.names[c].clone()).collect();
    let key = match () {
        () if window.scale_by == ScaleBy::Group => Some("scale_by"),
        () if window.relative => Some("relative"),
        () => None,
    };
    if let Some(key) = key.filter(|_| past.is_empty()) {
        let reason = format!("it is a class, which has no scaling; remove `{key}` from [data.window]");
        let column = data::first_target(config);
        return Err(DataError::Treatment { column, reason });
    }
    let fitted_window = FittedWindow {
        config: window.clone(),
        season: None,
        past,
        future: columns.future.len(),
        required,
        series: BTreeMap::new(),
    };
    let mut fitted = Fitted {
        columns: fitted,
        target,
        window: Some(fitted_window),
        derive: config.derive.clone(),
        reshape: config.reshape.clone(),
        ..Fitted::default()
    };
    let known = Known::of(&fitted, series, true)?;
    if let Some(w) = &mut fitted.window {
        w.season = baseline::season(&w.config, &known, series, train);
        w.series = members::fit(w, &known, series, train, config.transform.target)?;
    }
    Ok(fitted)
}
