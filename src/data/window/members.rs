//! What is fitted for each series by itself: its scaling, and how well one season earlier forecasts it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Known;
use super::baseline::row_before;
use super::series::Series;
use crate::data::DataError;
use crate::data::config::{ScaleBy, Scaling};
use crate::data::dataset::Members;
use crate::data::fitted::{FittedSeries, FittedWindow};
use crate::data::scaling::FittedScaling;

/// Fits each series on its rows among `train`; series without any are left out.
pub(super) fn fit(
    window: &FittedWindow,
    known: &Known,
    series: &Series,
    train: &[usize],
    scaling: Scaling,
) -> Result<BTreeMap<String, FittedSeries>, DataError> {
    let mut fitted = BTreeMap::new();
    let back = window.season.unwrap_or(1);
    for group in &series.groups {
        let first = train.partition_point(|&row| row < group.start);
        let last = train.partition_point(|&row| row < group.end);
        let rows = &train[first..last];
        if rows.is_empty() {
            continue;
        }
        let naive = |truth: &Vec<Option<f64>>| {
            let error = |&row: &usize| {
                let before = row_before(series, group, row, back)?;
                Some((truth[row]? - truth[before]?).abs())
            };
            let errors: Vec<f64> = rows.iter().filter_map(error).collect();
            Some(errors.iter().sum::<f64>() / errors.len() as f64).filter(|mean| *mean > 0.0)
        };
        let scale = |truth: &Vec<Option<f64>>| {
            let values: Vec<f64> = rows.iter().filter_map(|&row| truth[row]).collect();
            FittedScaling::fit(scaling, &values)
        };
        let scaling = match window.config.scale_by {
            ScaleBy::All => vec![],
            ScaleBy::Group => known.truth.iter().map(scale).collect(),
        };
        let mean = |truth: &Vec<Option<f64>>| mean(rows.iter().filter_map(|&row| truth[row]));
        let naive = known.truth.iter().map(naive).collect();
        let mean = known.truth.iter().map(mean).collect();
        fitted.insert(name(window, series, group.start)?.to_string(), FittedSeries { naive, mean, scaling });
    }
    Ok(fitted)
}

/// The series of a table, with what was fitted of each, and the series of the windows that start at the
/// arranged rows `starts`.
pub(super) fn of(
    window: &FittedWindow,
    series: &Series,
    starts: impl Iterator<Item = usize>,
) -> Result<Arc<Members>, DataError> {
    let mut members = Members::default();
    let alike: Vec<FittedScaling> = window.past.iter().map(|(_, scaling)| scaling.clone()).collect();
    for group in &series.groups {
        let name = name(window, series, group.start)?;
        let fitted = window.series.get(&*name);
        let own = match (window.config.scale_by, fitted) {
            (ScaleBy::All, _) => &alike,
            (ScaleBy::Group, Some(fitted)) => &fitted.scaling,
            (ScaleBy::Group, None) => return Err(unknown(window, series, group.start, &name)),
        };
        members.scalings.push(own.clone());
        members.naive.push(fitted.map_or_else(|| vec![None; alike.len()], |f| f.naive.clone()));
        members.names.push(name.to_string());
    }
    members.of = starts.map(|start| of_row(series, start) as u32).collect();
    Ok(Arc::new(members))
}

/// The position of a row's series.
pub(super) fn of_row(series: &Series, row: usize) -> usize {
    series.groups.partition_point(|group| group.end <= row)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), x| (sum + x, count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// The mean of a target on the training rows of the series that `row` is of; of an unknown series, the mean
/// of all.
pub(super) fn mean_of(
    window: &FittedWindow,
    series: &Series,
    row: usize,
    target: usize,
) -> Result<Option<f64>, DataError> {
    let of = |fitted: &FittedSeries| fitted.mean.get(target).copied().flatten();
    let own = window.series.get(&*name(window, series, row)?).and_then(of);
    Ok(own.or_else(|| mean(window.series.values().filter_map(of))))
}

/// The name of a row's series; empty if there is only one.
fn name<'a>(window: &FittedWindow, series: &'a Series, row: usize) -> Result<Cow<'a, str>, DataError> {
    Ok(match &window.config.group {
        Some(column) => series.table.cell(series.table.find(column)?, row),
        None => "".into(),
    })
}

fn unknown(window: &FittedWindow, series: &Series, row: usize, name: &str) -> DataError {
    let known: Vec<&str> = window.series.keys().map(String::as_str).take(12).collect();
    DataError::Series {
        path: series.table.path.clone(),
        line: series.table.lines.get(row).copied().unwrap_or(1),
        column: window.config.group.clone().unwrap_or_default(),
        reason: format!(
            "series `{name}` has no training rows, so that scale_by = \"group\" has no scaling for it; leave \
             it out, train on it (rows of {} are known), or scale all series alike (scale_by = \"all\")",
            known.join(", ")
        ),
    }
}
