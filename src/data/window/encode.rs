//! Encodes windows of arranged rows as a data set: which windows there are, their inputs and their targets.

use super::series::Series;
use super::{Known, members};
use crate::data::config::{Missing, WindowConfig};
use crate::data::dataset::{Baselines, Dataset, Members, Place, Target, Windows};
use crate::data::fitted::{Fitted, FittedColumn, FittedTarget, FittedWindow};
use crate::data::{DataError, FittedScaling};

/// Encodes the windows whose targets are all among the rows that `wanted` selects.
pub(super) fn encode(
    fitted: &Fitted,
    series: &Series,
    with_target: bool,
    wanted: &dyn Fn(usize) -> bool,
) -> Result<Dataset, DataError> {
    let Some(window) = &fitted.window else { return Ok(Dataset::default()) };
    let config = &window.config;
    let known = Known::of(fitted, series, with_target)?;
    let rows = series.made.len();
    let class = window.past.is_empty();
    let label = fitted.target.name().filter(|_| class).and_then(|name| series.table.find(name).ok());
    let has_label = |r: usize| label.is_some_and(|c| !series.made[r] && !series.table.is_missing(c, r));
    let mut complete: Vec<bool> = (0..rows).map(|r| known.past.iter().all(|p| p[r].is_some())).collect();
    for name in &window.required {
        let at = series.table.find(name)?;
        for (row, complete) in complete.iter_mut().enumerate() {
            *complete &= !series.table.is_missing(at, row);
        }
    }
    let is_true = |r: usize| if class { has_label(r) } else { known.truth.iter().all(|t| t[r].is_some()) };
    let (length, first_target, steps) =
        (config.length, config.length - 1 + config.first_step(), config.steps());
    // Rows since the last one that a window must not contain.
    let mut run = 0;
    let unbroken: Vec<usize> = complete
        .iter()
        .map(|&complete| {
            run = if complete { run + 1 } else { 0 };
            run
        })
        .collect();
    let mut kept: Vec<usize> = vec![];
    let mut starts: Vec<usize> = vec![];
    for segment in &series.segments {
        let valid = segment.clone().step_by(config.stride).take_while(|s| s + config.span() <= segment.end);
        let valid = valid.filter(|&s| {
            let mut targets = s + first_target..s + first_target + steps;
            unbroken[s + length - 1] >= length && targets.all(|r| wanted(r) && (!with_target || is_true(r)))
        });
        let valid: Vec<usize> = valid.collect();
        if let (Some(&first), Some(&last)) = (valid.first(), valid.last()) {
            let shift = kept.len();
            starts.extend(valid.iter().map(|s| s - first + shift));
            kept.extend(first..last + first_target + steps);
        }
    }
    let place = |start: &usize| place(config, series, kept[*start], first_target + steps - 1);
    let members = members::of(window, series, starts.iter().map(|&s| kept[s]))?;
    let windows = Windows {
        length,
        first_target,
        steps,
        targets: window.past.len().max(1),
        stored: kept.len(),
        places: starts.iter().map(place).collect::<Result<_, _>>()?,
        baselines: Baselines::of(window, &known, series, starts.iter().map(|&s| kept[s])),
        starts: starts.iter().map(|&s| s as u32).collect(),
        members: members.clone(),
        note: None,
    };
    let (features, x) = features(fitted, window, series, &known, &members, &kept)?;
    let target = if class {
        class_labels(&fitted.target, series, &kept, has_label)?
    } else {
        let scaled = |&r: &usize| {
            let of = |(t, scaling): (&Vec<Option<f64>>, &FittedScaling)| {
                t[r].map_or(f32::NAN, |y| scaling.apply_f32(y))
            };
            let scalings = &members.scalings[members::of_row(series, r)];
            known.truth.iter().zip(scalings).map(of).collect::<Vec<f32>>()
        };
        Target::Numbers(kept.iter().flat_map(scaled).collect())
    };
    Ok(Dataset {
        rows: windows.starts.len(),
        features,
        x,
        categories: vec![],
        target: with_target.then_some(target),
        source_rows: starts.iter().map(|&s| kept[s]).collect(),
        row_names: vec![],
        windows: Some(windows),
        ..Dataset::default()
    })
}

/// Labels of the stored rows; rows without one are in no window's target.
fn class_labels(
    target: &FittedTarget,
    series: &Series,
    kept: &[usize],
    has_label: impl Fn(usize) -> bool,
) -> Result<Target, DataError> {
    let labelled: Vec<usize> = (0..kept.len()).filter(|&at| has_label(kept[at])).collect();
    let rows: Vec<usize> = labelled.iter().map(|&at| kept[at]).collect();
    let found = target.encode(&series.table, &rows)?;
    Ok(found.unwrap_or(Target::Labels(vec![])).spread(kept.len(), &labelled))
}

/// Names of the features of a row, and their values, `[kept, features]`: the targets' past, columns of the
/// row itself, and columns known in advance of the rows `offsets` later.
fn features(
    fitted: &Fitted,
    window: &FittedWindow,
    series: &Series,
    known: &Known,
    members: &Members,
    kept: &[usize],
) -> Result<(Vec<String>, Vec<f32>), DataError> {
    let (now, ahead) =
        fitted.columns.split_at(fitted.columns.len() - window.future.min(fitted.columns.len()));
    let encode = |columns: &[FittedColumn], rows: &[usize]| {
        let part = Fitted { columns: columns.to_vec(), image: None, window: None, ..fitted.clone() };
        part.encode_series(&series.table, &series.groups, rows, false)
    };
    let last = series.made.len().saturating_sub(1);
    let mut parts = vec![encode(now, kept)?];
    let masks = if window.config.missing == Missing::Mask { &known.truth[..] } else { &[] };
    let mut names: Vec<String> = window.past.iter().map(|(name, _)| name.clone()).collect();
    names.extend(masks.iter().zip(&window.past).map(|(_, (name, _))| format!("{name} is missing")));
    names.extend(parts[0].features.iter().cloned());
    for offset in window.config.offsets().filter(|_| !ahead.is_empty()) {
        let later: Vec<usize> = kept.iter().map(|r| (r + offset).min(last)).collect();
        let part = encode(ahead, &later)?;
        names.extend(part.features.iter().map(|name| format!("{name} (+{offset})")));
        parts.push(part);
    }
    let mut x = Vec::with_capacity(kept.len() * names.len());
    for (at, &row) in kept.iter().enumerate() {
        for (past, scaling) in known.past.iter().zip(&members.scalings[members::of_row(series, row)]) {
            x.push(past[row].map_or(f32::NAN, |y| scaling.apply_f32(y)));
        }
        x.extend(masks.iter().map(|truth| f32::from(u8::from(truth[row].is_none()))));
        for part in &parts {
            let width = part.features.len();
            x.extend(&part.x[at * width..(at + 1) * width]);
        }
    }
    Ok((names, x))
}

/// The location of the window that starts at arranged row `start`; its last predicted row is `reach` rows
/// later.
fn place(config: &WindowConfig, series: &Series, start: usize, reach: usize) -> Result<Place, DataError> {
    let last = start + config.length - 1;
    let group = match &config.group {
        Some(name) => series.table.cell(series.table.find(name)?, start).into_owned(),
        None => String::new(),
    };
    let shown = |row: usize| series.times.get(row).map(|t| t.to_string().replace('T', " "));
    // Without a known step, a row after the last one has no time of its own.
    let known = |row: &usize| series.next.is_some() || !series.made[*row];
    let predicted = Some(start + reach).filter(known).and_then(shown).unwrap_or_default();
    Ok(Place {
        group,
        last: shown(last).unwrap_or_else(|| format!("line {}", series.table.lines[last])),
        predicted,
    })
}
