//! Resampling: the rows of each series that lie in the same step of time become one row, at the start of the step.
//! Steps without rows are gaps, as others are. The first and the last step of a series are left out where the rows
//! do not cover them, as a sum of a part of a day is no sum of a day.

use jiff::civil::{Date, DateTime, date};
use jiff::{SignedDuration, ToSpan};

use super::series::{by_group, read_times};
use super::step::{Spacing, Step};
use crate::data::config::{Aggregate, ColumnKind, DataConfig, Period, ResampleConfig, WindowConfig};
use crate::data::table::{Column, Table};
use crate::data::{DataError, fit};

/// The Monday that steps of seconds are counted from.
const MONDAY: Date = date(1970, 1, 5);

impl Period {
    /// The start of the step that `time` lies in; `None` beyond the years that times have.
    fn start(self, time: DateTime) -> Option<DateTime> {
        let origin = MONDAY.at(0, 0, 0, 0);
        match self {
            Self::Seconds(length) => {
                let passed = origin.duration_until(time).as_nanos().div_euclid(1_000_000_000);
                let seconds = i64::try_from(passed).ok()?.div_euclid(length) * length;
                origin.checked_add(SignedDuration::from_secs(seconds)).ok()
            }
            Self::Months(length) => {
                let months = i32::from(time.year()) * 12 + i32::from(time.month()) - 1;
                let first = months.div_euclid(length) * length;
                let (year, month) = (first.div_euclid(12), first.rem_euclid(12) + 1);
                Some(Date::new(year.try_into().ok()?, month.try_into().ok()?, 1).ok()?.at(0, 0, 0, 0))
            }
        }
    }

    /// The start of the step after the one that begins at `start`.
    fn next(self, start: DateTime) -> Option<DateTime> {
        match self {
            Self::Seconds(length) => start.checked_add(SignedDuration::from_secs(length)).ok(),
            Self::Months(length) => start.checked_add(length.months()).ok(),
        }
    }

    /// The step of series that are resampled to it.
    pub(super) fn step(self) -> Step {
        match self {
            Self::Seconds(length) => Step::Span(SignedDuration::from_secs(length)),
            Self::Months(count) => Step::Months { count, day: 1 },
        }
    }
}

/// The settings with a rule for every column of `table`, so that other files are resampled alike.
///
/// # Errors
/// If a column is not there, or its cells are no numbers and the rule needs them.
pub(super) fn settle(
    config: &DataConfig,
    window: &WindowConfig,
    table: &Table,
) -> Result<WindowConfig, DataError> {
    let Some(resample) = &window.resample else { return Ok(window.clone()) };
    for name in resample.columns.keys() {
        table.find(name)?;
    }
    let mut settled = resample.clone();
    for (at, name) in table.names.iter().enumerate() {
        let numeric = fit::column_kind(config, table, at) == ColumnKind::Number;
        let wanted = resample.columns.get(name);
        if let (false, Some(rule)) = (numeric, wanted.filter(|rule| **rule != Aggregate::Last)) {
            let reason = format!(
                "`data.window.resample` asks for its {}, but it does not hold numbers; use \"last\"",
                format!("{rule:?}").to_lowercase()
            );
            return Err(DataError::Treatment { column: name.clone(), reason });
        }
        let default = if numeric { resample.by } else { Aggregate::Last };
        settled.columns.insert(name.clone(), wanted.copied().unwrap_or(default));
    }
    Ok(WindowConfig { resample: Some(settled), ..window.clone() })
}

/// The table with the rows of each step put together; `None` if it is not to be resampled.
///
/// # Errors
/// If rows are not in the order of time, or farther apart than a step.
pub(super) fn apply(window: &WindowConfig, table: &Table) -> Result<Option<Table>, DataError> {
    let Some((resample, period)) = window.resample.as_ref().and_then(|r| Some((r, r.period()?))) else {
        return Ok(None);
    };
    let Some(time) = window.time.as_ref().map(|name| table.find(name)).transpose()? else { return Ok(None) };
    let group = window.group.as_ref().map(|name| table.find(name)).transpose()?;
    let rows: Vec<usize> = (0..table.lines.len()).collect();
    let times = read_times(table, time, &rows)?;
    let groups = by_group(table, group)?;
    let error = |row: usize, reason: String| DataError::Series {
        path: table.path.clone(),
        line: table.lines[row],
        column: table.names[time].clone(),
        reason,
    };
    let step = Spacing::find(&times, &groups).filter(Spacing::is_common).map(|spacing| spacing.step);
    let mut bins: Vec<(DateTime, Vec<usize>)> = vec![];
    for rows in &groups {
        if let Some(pair) = rows.windows(2).find(|pair| times[pair[1]] < times[pair[0]]) {
            let (before, row) = (table.lines[pair[0]], pair[1]);
            return Err(error(row, format!("{} is before line {before}; sort the file by time", times[row])));
        }
        let first = bins.len();
        for &row in rows {
            let beyond = || error(row, format!("{} is too far from today to be resampled", times[row]));
            let start = period.start(times[row]).ok_or_else(beyond)?;
            match bins[first..].last_mut() {
                Some((at, rows)) if *at == start => rows.push(row),
                _ => bins.push((start, vec![row])),
            }
        }
        if let (Some(step), Some(&row)) = (step, rows.first()) {
            let covered =
                step.after(times[row], 1).zip(period.start(times[row]).and_then(|s| period.next(s)));
            if covered.is_some_and(|(next, end)| next > end && times[row] == bins[first].0) {
                let reason = format!(
                    "rows are {} apart, more than resample = \"{}\"; choose a longer step",
                    step.describe(),
                    resample.to
                );
                return Err(error(row, reason));
            }
            if let (Step::Span(apart), Period::Seconds(length)) = (step, period)
                && i128::from(length) * 1_000_000_000 % apart.as_nanos().max(1) != 0
            {
                let reason = format!(
                    "rows are {} apart, which does not divide resample = \"{}\": steps would hold different \
                     numbers of rows; choose a multiple of it",
                    step.describe(),
                    resample.to
                );
                return Err(error(row, reason));
            }
            leave_out_parts(&mut bins, first, &times, step, period);
        }
    }
    if bins.is_empty()
        && let (Some(first), Some(last)) = (times.iter().min(), times.iter().max())
    {
        let reason = format!(
            "resample = \"{}\" leaves nothing, as the rows from {first} to {last} cover no whole step of that \
             length; choose a shorter step, or give more rows",
            resample.to
        );
        return Err(error(0, reason));
    }
    Ok(Some(collect(resample, table, time, &bins)))
}

/// Leaves out the first and the last of the bins from `first` on where rows `step` apart do not cover them.
fn leave_out_parts(
    bins: &mut Vec<(DateTime, Vec<usize>)>,
    first: usize,
    times: &[DateTime],
    step: Step,
    period: Period,
) {
    if let Some((start, rows)) = bins[first..].last() {
        let after = rows.last().and_then(|&row| step.after(times[row], 1));
        if after.zip(period.next(*start)).is_some_and(|(after, end)| after < end) {
            bins.pop();
        }
    }
    if let Some((start, rows)) = bins.get(first) {
        let before = rows.first().and_then(|&row| step.after(times[row], -1));
        if before.is_some_and(|before| before >= *start) {
            bins.remove(first);
        }
    }
}

/// One row for each bin.
fn collect(resample: &ResampleConfig, table: &Table, time: usize, bins: &[(DateTime, Vec<usize>)]) -> Table {
    let mut columns = vec![];
    for (at, (name, cells)) in table.names.iter().zip(&table.columns).enumerate() {
        let rule = resample.columns.get(name).copied().unwrap_or(Aggregate::Last);
        let mut column = Column::default();
        let numbers = (rule != Aggregate::Last).then(|| cells.numbers());
        for (start, rows) in bins {
            match &numbers {
                _ if at == time => column.push(&start.to_string()),
                Some(number) => {
                    let values: Vec<f64> = rows.iter().filter_map(|&row| number(row)).collect();
                    match rule.of(&values) {
                        Some(value) => column.push_number(value),
                        None => column.push_missing(1),
                    }
                }
                None => match rows.iter().rev().find(|&&row| !cells.is_missing(row)) {
                    Some(&row) => column.push_cell(cells, row),
                    None => column.push_missing(1),
                },
            }
        }
        columns.push(column);
    }
    let first = |(_, rows): &(DateTime, Vec<usize>)| rows.first().map_or(1, |&row| table.lines[row]);
    Table {
        path: table.path.clone(),
        names: table.names.clone(),
        columns,
        lines: bins.iter().map(first).collect(),
        ..Table::default()
    }
}

impl Aggregate {
    /// What numbers become; none of none.
    fn of(self, values: &[f64]) -> Option<f64> {
        let last = *values.last()?;
        Some(match self {
            Self::Mean => values.iter().sum::<f64>() / values.len() as f64,
            Self::Sum => values.iter().sum(),
            Self::Last => last,
            Self::Min => values.iter().copied().fold(last, f64::min),
            Self::Max => values.iter().copied().fold(last, f64::max),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_begin_where_people_expect() {
        let of = |to: &str, time: &str| {
            let resample = ResampleConfig { to: to.into(), by: Aggregate::Mean, columns: Default::default() };
            let period = resample.period().unwrap();
            let start = period.start(time.parse().unwrap()).unwrap();
            (start.to_string(), period.next(start).unwrap().to_string())
        };
        let expect = |to, time, start: &str, end: &str| {
            assert_eq!(of(to, time), (start.to_string(), end.to_string()), "{to} {time}");
        };
        expect("15min", "2024-03-01T10:44:59.5", "2024-03-01T10:30:00", "2024-03-01T10:45:00");
        expect("1h", "1969-12-31T23:59:59", "1969-12-31T23:00:00", "1970-01-01T00:00:00");
        expect("1d", "2024-02-29T12:00", "2024-02-29T00:00:00", "2024-03-01T00:00:00");
        expect("1w", "2024-03-03T12:00", "2024-02-26T00:00:00", "2024-03-04T00:00:00");
        expect("1mo", "2024-02-29T12:00", "2024-02-01T00:00:00", "2024-03-01T00:00:00");
        expect("1q", "2024-06-30T12:00", "2024-04-01T00:00:00", "2024-07-01T00:00:00");
        expect("1y", "2024-06-30T12:00", "2024-01-01T00:00:00", "2025-01-01T00:00:00");
    }

    #[test]
    fn aggregates_by_hand() {
        let values = [3.0, -1.0, 4.0];
        let of = |rule: Aggregate| rule.of(&values).unwrap();
        assert_eq!(
            [
                of(Aggregate::Mean),
                of(Aggregate::Sum),
                of(Aggregate::Last),
                of(Aggregate::Min),
                of(Aggregate::Max)
            ],
            [2.0, 6.0, 4.0, -1.0, 4.0]
        );
        assert_eq!(Aggregate::Sum.of(&[]), None, "a step whose values are all missing has no sum");
    }
}
