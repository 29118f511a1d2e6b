//! A table as series: rows grouped and sorted by time, with missing rows found and handled.

use std::ops::Range;

use jiff::SignedDuration;
use jiff::civil::DateTime;

use crate::data::DataError;
use crate::data::cells;
use crate::data::config::{Gaps, WindowConfig};
use crate::data::table::Table;

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
    pub step: Option<SignedDuration>,
}

impl Series {
    /// Arranges the rows of `table` as configured. `targets` are the predicted columns; `more` rows are
    /// appended to each group for the unknown future.
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
        let has_target = |row: &usize| targets.iter().all(|&c| !cells::is_missing(table.cell(c, *row)));
        let step = match &times {
            Some(times) if !ignore => usual_step(times, &groups),
            _ => None,
        };
        let mut arranged = Self {
            table: Table { path: table.path.clone(), names: table.names.clone(), ..Table::default() },
            times: vec![],
            groups: vec![],
            segments: vec![],
            made: vec![],
            step,
        };
        arranged.table.columns = vec![vec![]; table.names.len()];
        let copy = Copier { source: table, times: times.as_deref(), time };
        for rows in &groups {
            let last_known = rows.iter().rposition(has_target).map_or(0, |at| at + 1);
            if config.gaps == Gaps::Refuse {
                let empty: Vec<usize> =
                    rows[..last_known].iter().copied().filter(|r| !has_target(r)).collect();
                if !empty.is_empty() {
                    return Err(missing_targets(table, targets, &empty));
                }
            }
            let kept: Vec<usize> = if ignore {
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
                            let time = times[rows[at - 1]].saturating_add(step * n as i32);
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
                let time = self.step.zip(from.times).map(|(step, t)| t[last].saturating_add(step * n as i32));
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
            let cell = match time {
                Some(time) if made && Some(column) == from.time => time.to_string(),
                _ => from.source.cell(column, row).to_string(),
            };
            cells.push(cell);
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
}

impl Copier<'_> {
    /// Rows missing between two consecutive rows of the file.
    fn missing_between(
        &self,
        before: usize,
        row: usize,
        step: SignedDuration,
        config: &WindowConfig,
    ) -> Result<usize, DataError> {
        let Some(times) = self.times else { return Ok(0) };
        let passed = times[before].duration_until(times[row]);
        let column = config.time.clone().unwrap_or_default();
        let (lines, path) = (&self.source.lines, self.source.path.clone());
        let error = |reason: String| DataError::Series {
            path: path.clone(),
            line: lines[row],
            column: column.clone(),
            reason,
        };
        let even = passed.as_secs() % step.as_secs().max(1) == 0 && passed.subsec_nanos() == 0;
        if !even {
            return Err(error(format!(
                "{} comes {} after line {} ({}), but most rows are {} apart; windows need even spacing: \
                 resample the series, or set gaps = \"ignore\" in [data.window] to count rows instead of \
                 time",
                times[row],
                span(passed),
                lines[before],
                times[before],
                span(step)
            )));
        }
        let missing = (passed.as_secs() / step.as_secs().max(1) - 1).max(0) as usize;
        if missing > 0 && config.gaps == Gaps::Refuse {
            return Err(error(format!(
                "{missing} rows are missing between {} (line {}) and {} (line {}), most rows being {} apart; \
                 choose in [data.window]: gaps = \"drop\" leaves out windows that touch a gap, \"fill\" \
                 repeats the last values, \"ignore\" counts rows instead of time",
                times[before],
                lines[before],
                times[row],
                lines[row],
                span(step)
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
}

fn read_times(table: &Table, column: usize, rows: &[usize]) -> Result<Vec<DateTime>, DataError> {
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
fn by_group(table: &Table, column: Option<usize>) -> Result<Vec<Vec<usize>>, DataError> {
    let Some(column) = column else { return Ok(vec![(0..table.lines.len()).collect()]) };
    let mut groups: Vec<Vec<usize>> = vec![];
    let mut known = std::collections::BTreeMap::<&str, usize>::new();
    for row in 0..table.lines.len() {
        let name = table.cell(column, row);
        if cells::is_missing(name) {
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

/// The most frequent time between consecutive rows.
fn usual_step(times: &[DateTime], groups: &[Vec<usize>]) -> Option<SignedDuration> {
    let mut counts = std::collections::BTreeMap::<SignedDuration, usize>::new();
    for pair in groups.iter().flat_map(|rows| rows.windows(2)) {
        *counts.entry(times[pair[0]].duration_until(times[pair[1]])).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|&(step, count)| (count, std::cmp::Reverse(step)));
    most.map(|(step, _)| step).filter(|step| step.as_secs() > 0)
}

fn missing_targets(table: &Table, targets: &[usize], rows: &[usize]) -> DataError {
    let lines: Vec<String> = rows.iter().take(SHOWN).map(|&r| table.lines[r].to_string()).collect();
    let dots = if rows.len() > SHOWN { ", ..." } else { "" };
    let empty = targets.iter().find(|&&c| cells::is_missing(table.cell(c, rows[0])));
    DataError::Series {
        path: table.path.clone(),
        line: table.lines[rows[0]],
        column: empty.map_or(String::new(), |&c| table.names[c].clone()),
        reason: format!(
            "the target is missing in {} rows (lines {}{dots}); choose in [data.window]: gaps = \"drop\" \
             leaves out windows that touch one, \"fill\" repeats the last value, \"ignore\" leaves out the \
             rows",
            rows.len(),
            lines.join(", ")
        ),
    }
}

/// A time span for display: `1 h`, `3 days`, `90 s`.
pub fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        s if s != 0 && s % 86_400 == 0 => format!("{} d", s / 86_400),
        s if s != 0 && s % 3600 == 0 => format!("{} h", s / 3600),
        s if s != 0 && s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}
