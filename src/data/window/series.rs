//! A table as series: rows grouped and sorted by time, with missing rows found and handled.

use std::ops::Range;

use jiff::civil::DateTime;

use super::step::{Spacing, Step, span};
use crate::data::DataError;
use crate::data::cells;
use crate::data::config::{Gaps, Missing, WindowConfig};
use crate::data::table::{Column, Table};

/// Rows listed in a message.
const SHOWN: usize = 5;

/// The rows of a table, arranged as series.
#[derive(Clone, Debug)]
pub struct Series {
    /// Rows grouped by series. With [`Gaps::Fill`], missing rows are copies of the preceding row; with
    /// [`Gaps::Ignore`], rows without a target are left out.
    pub table: Table,
    /// Time of each row; empty without a time column.
    pub times: Vec<DateTime>,
    /// Rows of each group.
    pub groups: Vec<Range<usize>>,
    /// Ranges of rows without gaps; windows lie within them.
    pub segments: Vec<Range<usize>>,
    /// Whether a row was filled in for a missing one.
    pub made: Vec<bool>,
    /// Time between rows, if they are evenly spaced.
    pub step: Option<Step>,
    /// Time from the last row to the next, if it is known: `step`, or with [`Gaps::Ignore`] the common one.
    pub next: Option<Step>,
}

impl Series {
    /// Arranges the rows of `table` as configured. `targets` are the predicted columns; `more` rows are
    /// appended to each group for the unknown future, unless their calendar is wanted and not known.
    ///
    /// # Errors
    /// [`DataError::Series`] if rows are out of order, unevenly spaced or missing, and the configuration does
    /// not say how to handle that.
    pub fn arrange(
        table: &Table,
        config: &WindowConfig,
        targets: &[usize],
        more: usize,
    ) -> Result<Self, DataError> {
        let time = config.time.as_ref().map(|name| table.find(name)).transpose()?;
        let group = config.group.as_ref().map(|name| table.find(name)).transpose()?;
        let rows: Vec<usize> = (0..table.lines.len()).collect();
        let times = time.map(|column| read_times(table, column, &rows)).transpose()?;
        let groups = by_group(table, group)?;
        if let Some(times) = &times {
            for rows in &groups {
                check_order(table, config, times, rows)?;
            }
        }
        let ignore = config.gaps == Gaps::Ignore;
        let masked = config.missing == Missing::Mask;
        let has_target = |row: &usize| targets.iter().all(|&c| !table.is_missing(c, *row));
        let spacing = times.as_ref().and_then(|times| match ignore {
            true => {
                let known = |rows: &Vec<usize>| rows.iter().copied().filter(has_target).collect();
                Spacing::find(times, &groups.iter().map(known).collect::<Vec<_>>())
            }
            false => Spacing::find(times, &groups),
        });
        // Few rows may be left of a resampled series; their step is known all the same.
        let resampled = config.resample.as_ref().and_then(|resample| Some(resample.period()?.step()));
        let spacing = match (resampled, spacing) {
            (Some(step), Some(found)) => Some(Spacing { step, share: 1.0, ..found }),
            _ => spacing,
        };
        let step = spacing.filter(|_| !ignore).map(|found| found.step);
        let next = step.or(spacing.filter(Spacing::is_common).map(|found| found.step));
        let calendar = config.time.as_ref().is_some_and(|time| config.known_future.contains(time));
        let more = if calendar && next.is_none() { 0 } else { more };
        let mut arranged = Self {
            table: Table { path: table.path.clone(), names: table.names.clone(), ..Table::default() },
            times: vec![],
            groups: vec![],
            segments: vec![],
            made: vec![],
            step,
            next,
        };
        arranged.table.columns = vec![Column::default(); table.names.len()];
        let copy = Copier { source: table, times: times.as_deref(), time, spacing };
        for rows in &groups {
            let last_known = rows.iter().rposition(has_target).map_or(0, |at| at + 1);
            if config.gaps == Gaps::Refuse && !masked {
                let empty: Vec<usize> =
                    rows[..last_known].iter().copied().filter(|r| !has_target(r)).collect();
                if !empty.is_empty() {
                    return Err(missing_targets(table, targets, &empty));
                }
            }
            let kept: Vec<usize> = if ignore && !masked {
                rows.iter()
                    .copied()
                    .filter(|r| has_target(r) || more > 0 && r > &rows[last_known.max(1) - 1])
                    .collect()
            } else {
                rows.clone()
            };
            arranged.add_group(&copy, &kept, config, more)?;
        }
        Ok(arranged)
    }

    fn add_group(
        &mut self,
        from: &Copier,
        rows: &[usize],
        config: &WindowConfig,
        more: usize,
    ) -> Result<(), DataError> {
        let first = self.made.len();
        let mut segment = first;
        for (at, &row) in rows.iter().enumerate() {
            if let (Some(times), Some(step), true) = (from.times, self.step, at > 0) {
                let missing = from.missing_between(rows[at - 1], row, step, config)?;
                match config.gaps {
                    _ if missing == 0 => {}
                    Gaps::Fill => {
                        for n in 1..=missing {
                            let before = times[rows[at - 1]];
                            let time = step.after(before, n as i64).unwrap_or(before);
                            self.push(from, rows[at - 1], Some(time), true);
                        }
                    }
                    _ => {
                        self.segments.push(segment..self.made.len());
                        segment = self.made.len();
                    }
                }
            }
            self.push(from, row, from.times.map(|t| t[row]), false);
        }
        if let Some(&last) = rows.last() {
            for n in 1..=more {
                let time = self.next.zip(from.times).and_then(|(step, t)| step.after(t[last], n as i64));
                let known = time.or_else(|| from.times.map(|t| t[last]));
                self.push(from, last, known, true);
            }
        }
        self.segments.push(segment..self.made.len());
        self.groups.push(first..self.made.len());
        Ok(())
    }

    fn push(&mut self, from: &Copier, row: usize, time: Option<DateTime>, made: bool) {
        for (column, cells) in self.table.columns.iter_mut().enumerate() {
            match time {
                Some(time) if made && Some(column) == from.time => cells.push(&time.to_string()),
                _ => cells.push_cell(&from.source.columns[column], row),
            }
        }
        self.table.lines.push(from.source.lines[row]);
        self.times.extend(time);
        self.made.push(made);
    }
}

/// The source of copied rows.
struct Copier<'a> {
    source: &'a Table,
    times: Option<&'a [DateTime]>,
    time: Option<usize>,
    spacing: Option<Spacing>,
}

impl Copier<'_> {
    /// Rows missing between two consecutive rows of the file.
    fn missing_between(
        &self,
        before: usize,
        row: usize,
        step: Step,
        config: &WindowConfig,
    ) -> Result<usize, DataError> {
        let Some(times) = self.times else { return Ok(0) };
        let column = config.time.clone().unwrap_or_default();
        let (lines, path) = (&self.source.lines, self.source.path.clone());
        let error = |reason: String| DataError::Series {
            path: path.clone(),
            line: lines[row],
            column: column.clone(),
            reason,
        };
        let Some(steps) = step.between(times[before], times[row]) else {
            return Err(error(self.uneven(times, before, row, step)));
        };
        let missing = steps.saturating_sub(1);
        if missing > 0 && config.gaps == Gaps::Refuse {
            return Err(error(format!(
                "{missing} rows are missing between {} (line {}) and {} (line {}), most rows being {} apart; \
                 choose in [data.window]: gaps = \"drop\" leaves out windows that touch a gap, \"fill\" \
                 repeats the last values, \"ignore\" counts rows instead of time",
                times[before],
                lines[before],
                times[row],
                lines[row],
                step.describe()
            )));
        }
        const MOST: usize = 10_000_000;
        if missing > MOST && config.gaps == Gaps::Fill {
            return Err(error(format!(
                "{missing} rows are missing after {} (line {}), too many to fill; correct the time, or use \
                 gaps = \"drop\"",
                times[before], lines[before]
            )));
        }
        Ok(missing)
    }

    /// Why a row is not a whole number of steps after the one before.
    fn uneven(&self, times: &[DateTime], before: usize, row: usize, step: Step) -> String {
        let lines = &self.source.lines;
        let advice = "windows need even spacing: resample the series, or set gaps = \"ignore\" in \
                      [data.window] to count rows instead of time";
        match self.spacing.filter(|spacing| !spacing.is_common()) {
            Some(Spacing { share, range: [shortest, longest], .. }) => format!(
                "rows have no common step: they are {} to {} apart, and the most frequent distance, {}, \
                 holds for {:.0} % of them; {advice}",
                span(shortest),
                span(longest),
                step.describe(),
                100.0 * share
            ),
            None => format!(
                "{} comes {} after line {} ({}), but most rows are {} apart; {advice}",
                times[row],
                span(times[before].duration_until(times[row])),
                lines[before],
                times[before],
                step.describe()
            ),
        }
    }
}

/// The times of `rows`, none missing.
pub(super) fn read_times(table: &Table, column: usize, rows: &[usize]) -> Result<Vec<DateTime>, DataError> {
    let times = cells::timestamps(table, column, rows)?;
    let known = |(row, time): (usize, Option<DateTime>)| {
        time.ok_or_else(|| DataError::Series {
            path: table.path.clone(),
            line: table.lines[row],
            column: table.names[column].clone(),
            reason: "the time is missing; give every row a time".into(),
        })
    };
    times.into_iter().enumerate().map(known).collect()
}

/// Row numbers of each group, with groups in order of their first row.
pub(super) fn by_group(table: &Table, column: Option<usize>) -> Result<Vec<Vec<usize>>, DataError> {
    let Some(column) = column else { return Ok(vec![(0..table.lines.len()).collect()]) };
    let mut groups: Vec<Vec<usize>> = vec![];
    let mut known = std::collections::BTreeMap::<std::borrow::Cow<'_, str>, usize>::new();
    for row in 0..table.lines.len() {
        let name = table.cell(column, row);
        if cells::is_missing(&name) {
            return Err(DataError::Series {
                path: table.path.clone(),
                line: table.lines[row],
                column: table.names[column].clone(),
                reason: "the name of the series is missing; give every row one".into(),
            });
        }
        let at = *known.entry(name).or_insert(groups.len());
        if at == groups.len() {
            groups.push(vec![]);
        }
        groups[at].push(row);
    }
    Ok(groups)
}

/// Checks that times increase within each group.
fn check_order(
    table: &Table,
    config: &WindowConfig,
    times: &[DateTime],
    rows: &[usize],
) -> Result<(), DataError> {
    let column = config.time.clone().unwrap_or_default();
    let wrong: Vec<&[usize]> = rows.windows(2).filter(|pair| times[pair[1]] <= times[pair[0]]).collect();
    let Some(pair) = wrong.first() else { return Ok(()) };
    let (before, row) = (pair[0], pair[1]);
    let more = match wrong.len() {
        1 => String::new(),
        n => {
            let lines: Vec<String> =
                wrong[1..].iter().take(SHOWN).map(|p| table.lines[p[1]].to_string()).collect();
            let dots = if n > SHOWN + 1 { ", ..." } else { "" };
            format!(" (and {} more: lines {}{dots})", n - 1, lines.join(", "))
        }
    };
    let (what, advice) = if times[row] == times[before] {
        ("has the same time as", "keep one row for each time")
    } else {
        ("is before", "sort the file by time")
    };
    let grouped = match &config.group {
        Some(_) => "",
        None => ", or set `group` in [data.window] to the column that identifies the series",
    };
    Err(DataError::Series {
        path: table.path.clone(),
        line: table.lines[row],
        column,
        reason: format!(
            "{} {what} line {} ({}){more}; {advice}{grouped}",
            times[row], table.lines[before], times[before]
        ),
    })
}

fn missing_targets(table: &Table, targets: &[usize], rows: &[usize]) -> DataError {
    let lines: Vec<String> = rows.iter().take(SHOWN).map(|&r| table.lines[r].to_string()).collect();
    let dots = if rows.len() > SHOWN { ", ..." } else { "" };
    let empty = targets.iter().find(|&&c| table.is_missing(c, rows[0]));
    DataError::Series {
        path: table.path.clone(),
        line: table.lines[rows[0]],
        column: empty.map_or(String::new(), |&c| table.names[c].clone()),
        reason: format!(
            "the target is missing in {} rows (lines {}{dots}); choose in [data.window]: gaps = \"drop\" \
             leaves out windows that touch one, \"fill\" repeats the last value, \"ignore\" leaves out the \
             rows, missing = \"mask\" repeats the last value and tells the model where",
            rows.len(),
            lines.join(", ")
        ),
    }
}
