//! Windows of series: which there are, their inputs and their targets. Rows are stored once; a window is the
//! number of its first row.

mod baseline;
mod constants;
mod encode;
mod fit;
mod future;
mod members;
mod resample;
mod series;
mod step;

use super::config::{ColumnKind, DataConfig, Gaps, Missing, SplitConfig, Validation, WindowConfig};
use super::dataset::Dataset;
use super::fitted::{Fitted, FittedWindow};
use super::split::Least;
use super::table::Table;
use super::{DataError, Goal, Loaded, Understanding, cells, split};
use encode::encode;
use series::Series;

/// Splits, fits and encodes a table as windows; `other` reads a separate file for a part.
pub(super) fn load(
    config: &DataConfig,
    window: &WindowConfig,
    table: &Table,
    goal: Goal,
    other: &dyn Fn(&str) -> Result<Table, DataError>,
) -> Result<Loaded, DataError> {
    if goal == Goal::Features {
        let reason =
            "a `vae` or `gan` learns rows as they are; remove [data.window], or choose another family";
        return Err(DataError::Treatment { column: "window".into(), reason: reason.into() });
    }
    let columns = fit::columns(config, window, table)?;
    let window = &resample::settle(config, window, table)?;
    let arrange = |table: &Table| {
        let resampled = resample::apply(window, table)?;
        let table = resampled.as_ref().unwrap_or(table);
        let series = Series::arrange(table, window, &fit::columns(config, window, table)?.targets, 0)?;
        check_length(&series, window)?;
        constants::check(&series, window)?;
        Ok::<_, DataError>(series)
    };
    let series = arrange(table)?;
    let notes = window.resample.iter().map(|resample| {
        let made = series.made.iter().filter(|made| !**made).count();
        format!("{} rows become {made}, one for each {} (`resample`)", table.lines.len(), resample.to)
    });
    let notes = notes.collect();
    let parts = parts(config, window, &series)?;
    let train: Vec<usize> =
        (0..parts.len()).filter(|&r| parts[r] == Some(Part::Train) && !series.made[r]).collect();
    let fitted = fit::fit(config, window, &series, &columns, &train, goal)?;
    let of_part = |part| encode(&fitted, &series, true, &|row| parts[row] == Some(part));
    let of_file = |file: &str| {
        let series = arrange(&other(file)?)?;
        encode(&fitted, &series, true, &|_| true)
    };
    let train = of_part(Part::Train)?;
    let (validation, test) = match &config.split {
        SplitConfig::Files { validation: Validation::File(validation), test, .. } => {
            (of_file(validation)?, test.as_ref().map_or_else(|| Ok(Dataset::default()), |f| of_file(f))?)
        }
        _ => (of_part(Part::Validation)?, of_part(Part::Test)?),
    };
    for (name, part) in [("training", &train), ("validation", &validation)] {
        if part.rows == 0 {
            let reason = format!(
                "no window of {} rows with the target {} rows after it lies in the {name} part (table {})",
                window.length,
                window.horizon,
                table.path.display()
            );
            return Err(DataError::Split { reason });
        }
    }
    let possible: usize = series
        .groups
        .iter()
        .map(|g| (g.len() + 1).saturating_sub(window.span()).div_ceil(window.stride))
        .sum();
    let dropped = possible.saturating_sub(train.rows + validation.rows + test.rows);
    Ok(Loaded {
        fitted,
        train,
        validation,
        test,
        digest: String::new(),
        dropped,
        understood: Understanding { notes, ..Understanding::default() },
    })
}

/// Cuts windows from another file with what was fitted. Without targets, windows reach to the end of each
/// series and forecast past it, over the rows of `future` where there are some.
pub(super) fn load_with(
    fitted: &Fitted,
    window: &FittedWindow,
    mut table: Table,
    future: Option<&Table>,
    with_target: bool,
) -> Result<Dataset, DataError> {
    let config = &window.config;
    if let Some(future) = future {
        future::append(fitted, window, &mut table, future)?;
    }
    if let Some(resampled) = resample::apply(config, &table)? {
        table = resampled;
    }
    let targets = fitted.target.name().into_iter().chain(config.targets.iter().map(String::as_str));
    let targets = targets.map(|name| table.find(name)).collect::<Result<Vec<_>, _>>()?;
    // The calendar continues by itself; other columns known in advance must be in the file.
    let calendar_only = config.known_future.iter().all(|name| Some(name) == config.time.as_ref());
    let more = if !with_target && calendar_only && future.is_none() { config.horizon } else { 0 };
    let series = Series::arrange(&table, config, &targets, more)?;
    check_length(&series, config)?;
    constants::check(&series, config)?;
    let mut rows = encode(fitted, &series, with_target, &|_| true)?;
    if rows.rows == 0 {
        let reason = format!(
            "there is no complete window of {} rows{}; see `gaps` in [data.window] of the experiment",
            config.length,
            if with_target || more == 0 { " with the rows to predict after it" } else { "" }
        );
        return Err(at_line(&series, 0, String::new(), reason));
    }
    if let Some(windows) = rows.windows.as_mut().filter(|_| !with_target) {
        windows.note = future::note(&series, config, &targets);
    }
    Ok(rows)
}

fn at_line(series: &Series, row: usize, column: String, reason: String) -> DataError {
    let line = series.table.lines.get(row).copied().unwrap_or(1);
    DataError::Series { path: series.table.path.clone(), line, column, reason }
}

/// Every series must hold a window and its targets.
fn check_length(series: &Series, window: &WindowConfig) -> Result<(), DataError> {
    let long = |rows: &&std::ops::Range<usize>| rows.len() >= window.span();
    if window.gaps == Gaps::Drop && series.groups.iter().any(|rows| long(&rows)) {
        return Ok(());
    }
    let Some(short) = series.groups.iter().find(|rows| !long(rows)) else { return Ok(()) };
    let lines = &series.table.lines;
    let (first, last) =
        (lines.get(short.start).copied().unwrap_or(1), lines[..short.end].last().copied().unwrap_or(1));
    let name = match &window.group {
        Some(column) => {
            let at = series.table.find(column)?;
            format!("series `{}`", series.table.cell(at, short.start))
        }
        None => "the series".into(),
    };
    let advice = if series.groups.len() > 1 { ", or gaps = \"drop\" to leave out short series" } else { "" };
    let place = if first == last { format!("line {first}") } else { format!("lines {first} to {last}") };
    let span = window.span();
    // A window and its target take two rows at least.
    let shorter = match short.len() {
        0 | 1 => String::new(),
        rows => {
            format!("use a shorter `length` or `horizon` in [data.window] (together they may be {rows}), or ")
        }
    };
    let steps = match &window.resample {
        Some(resample) => format!(" of resample = \"{}\"", resample.to),
        None => String::new(),
    };
    let rows = |count: usize| if count == 1 { "1 row".to_string() } else { format!("{count} rows") };
    let reason = format!(
        "{name} has {}{steps} ({place}), but a window of {} and its target {} later need {span}; {shorter}give at \
         least {span} rows{advice}",
        rows(short.len()),
        rows(window.length),
        rows(window.horizon),
    );
    let column = window.group.clone().unwrap_or_default();
    Err(at_line(series, short.start, column, reason))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Train,
    Validation,
    Test,
}

/// The part that each row belongs to.
fn parts(
    config: &DataConfig,
    window: &WindowConfig,
    series: &Series,
) -> Result<Vec<Option<Part>>, DataError> {
    let refuse = |by: &str| {
        let reason = format!(
            "`by` = \"{by}\" would put windows that overlap into different parts, and the model would be \
             tested on what it has seen; use \"order\" (the last rows test), \"rolling\", \"time\", \"column\" \
             or \"files\""
        );
        Err(DataError::Split { reason })
    };
    match config.split {
        SplitConfig::Random { .. } => return refuse("random"),
        SplitConfig::Rows { .. } => return refuse("rows"),
        SplitConfig::Folds { .. } => return refuse("folds"),
        SplitConfig::Files { validation: Validation::Part(_), .. } => {
            let reason = "windows overlap, so that a random part of them cannot validate; name a file of its \
                          own in `validation`";
            return Err(DataError::Split { reason: reason.into() });
        }
        _ => {}
    }
    let mut parts = vec![None; series.made.len()];
    let by_order =
        matches!(config.split, SplitConfig::Order { .. } | SplitConfig::Rolling { column: None, .. });
    // Windows reach back over the start of validation and test.
    let least = Least { train: window.span(), validation: window.steps(), test: window.steps() };
    let whole = 0..series.made.len();
    let by_group = by_order && window.group.is_some();
    let ranges = if by_group { &series.groups[..] } else { std::slice::from_ref(&whole) };
    for range in ranges {
        let rows: Vec<usize> = range.clone().collect();
        let split = split::split(&config.split, &series.table, &rows, None, least)?;
        for (rows, part) in
            [(split.train, Part::Train), (split.validation, Part::Validation), (split.test, Part::Test)]
        {
            for row in rows {
                parts[row] = Some(part);
            }
        }
    }
    Ok(parts)
}

/// Values of the targets by row.
struct Known {
    /// The true values in the target's own units; `[rows][targets]`. Empty for classes.
    truth: Vec<Vec<Option<f64>>>,
    /// The values that windows see, with those filled in that `gaps` and `missing` ask for.
    past: Vec<Vec<Option<f64>>>,
}

impl Known {
    fn of(fitted: &Fitted, series: &Series, with_target: bool) -> Result<Self, DataError> {
        let mut known = Self { truth: vec![], past: vec![] };
        let Some(window) = &fitted.window else { return Ok(known) };
        let rows: Vec<usize> = (0..series.made.len()).collect();
        for (name, _) in &window.past {
            let at = series.table.find(name)?;
            let mut truth = cells::values(&series.table, at, &rows, ColumnKind::Number)?;
            for (value, made) in truth.iter_mut().zip(&series.made) {
                *value = value.filter(|_| !made);
            }
            let mut past = truth.clone();
            let masked = window.config.missing == Missing::Mask;
            if window.config.gaps == Gaps::Fill || masked {
                for group in &series.groups {
                    // Rows after the last known one are the future, not a gap.
                    let end =
                        (group.clone()).rev().find(|&r| truth[r].is_some()).map_or(group.start, |r| r + 1);
                    let mut last = match masked {
                        true => members::mean_of(window, series, group.start, known.truth.len())?,
                        false => None,
                    };
                    for value in &mut past[group.start..if with_target { group.end } else { end }] {
                        last = value.or(last);
                        *value = last;
                    }
                }
            }
            known.truth.push(truth);
            known.past.push(past);
        }
        Ok(known)
    }
}
