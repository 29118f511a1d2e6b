//! Rows to come, of which only the columns known in advance are known.

use std::collections::BTreeMap;

use jiff::civil::DateTime;

use super::series::{Series, by_group, read_times};
use crate::data::DataError;
use crate::data::config::WindowConfig;
use crate::data::fitted::{Fitted, FittedWindow};
use crate::data::table::Table;

/// Appends the rows of `future` to `table`. Columns that are not known in advance are empty in them.
///
/// # Errors
/// If a column known in advance is missing or has a bad cell, or if the rows do not follow those of `table`.
pub(super) fn append(
    fitted: &Fitted,
    window: &FittedWindow,
    table: &mut Table,
    future: &Table,
) -> Result<(), DataError> {
    let config = &window.config;
    let rows: Vec<usize> = (0..future.lines.len()).collect();
    let time = config.time.as_ref().map(|name| future.find(name)).transpose()?;
    let group = config.group.as_ref().map(|name| future.find(name)).transpose()?;
    // Encoded for the errors alone: they name this file and its lines.
    let ahead = fitted.columns[fitted.columns.len().saturating_sub(window.future)..].to_vec();
    let part = Fitted { columns: ahead, image: None, window: None, reshape: None, ..fitted.clone() };
    part.encode(future, &rows, false)?;
    let lasts = lasts(table, config)?;
    let times = time.map(|column| read_times(future, column, &rows)).transpose()?;
    for &row in &rows {
        let name = group.map_or_else(String::new, |column| future.cell(column, row).into_owned());
        let error = |reason: String| DataError::Series {
            path: future.path.clone(),
            line: future.lines[row],
            column: config.group.clone().or(config.time.clone()).unwrap_or_default(),
            reason,
        };
        let Some(last) = lasts.get(&name) else {
            let reason = format!(
                "series `{name}` is not in {}; rows to come follow the known rows of their series",
                table.path.display()
            );
            return Err(error(reason));
        };
        if let Some((time, last)) =
            times.as_ref().map(|t| t[row]).zip(*last).filter(|(time, last)| time <= last)
        {
            return Err(error(format!(
                "{time} is not after the last row of {} ({last}); give only rows to come",
                table.path.display()
            )));
        }
    }
    let targets: Vec<&String> = window.past.iter().map(|(name, _)| name).collect();
    for (name, cells) in table.names.iter().zip(&mut table.columns) {
        let known = [&config.time, &config.group].contains(&&Some(name.clone()))
            || config.known_future.contains(name) && !targets.contains(&name);
        match future.find(name).ok().filter(|_| known) {
            Some(at) => cells.append(future.columns[at].clone()),
            None => cells.push_missing(rows.len()),
        }
    }
    table.lines.extend(&future.lines);
    Ok(())
}

/// The last time of each series.
fn lasts(table: &Table, config: &WindowConfig) -> Result<BTreeMap<String, Option<DateTime>>, DataError> {
    let time = config.time.as_ref().map(|name| table.find(name)).transpose()?;
    let group = config.group.as_ref().map(|name| table.find(name)).transpose()?;
    let mut lasts = BTreeMap::new();
    for last in by_group(table, group)?.iter().filter_map(|rows| rows.last()) {
        let name = group.map_or_else(String::new, |column| table.cell(column, *last).into_owned());
        let time = time.map(|column| read_times(table, column, &[*last])).transpose()?;
        lasts.insert(name, time.and_then(|times| times.first().copied()));
    }
    Ok(lasts)
}

/// What someone who wants forecasts past the end of a file must add, if anything.
pub(super) fn note(series: &Series, config: &WindowConfig, targets: &[usize]) -> Option<String> {
    let unknown = |row: &usize| targets.iter().any(|&c| series.table.is_missing(c, *row));
    // With rows to come in the file, whoever made it knows how to forecast.
    let goes_on = series.groups.iter().filter_map(|rows| rows.clone().next_back());
    if goes_on.clone().any(|row| series.made[row] || unknown(&row)) {
        return None;
    }
    let calendar = |name: &&String| Some(*name) == config.time.as_ref();
    let others: Vec<String> =
        config.known_future.iter().filter(|name| !calendar(name)).map(|name| format!("`{name}`")).collect();
    let columns = others.join(", ");
    if !others.is_empty() {
        return Some(format!(
            "forecasts end with the last row of the file: the model reads {columns} of the predicted rows; \
             to forecast past the end, add rows with {columns} and no target, or give them with --future FILE"
        ));
    }
    let time = config.known_future.iter().find(calendar)?;
    Some(format!(
        "forecasts end with the last row of the file: the model reads `{time}` of the predicted rows, and \
         the next time is not known, as rows have no common step; to forecast past the end, add rows with \
         `{time}` and no target, or give them with --future FILE"
    ))
}
