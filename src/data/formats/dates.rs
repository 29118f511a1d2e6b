//! Columns of dates: the order of day, month and year, told from all cells together, and Unix times.

use std::borrow::Cow;

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::Format;
use super::scanner::parse;
use crate::data::cells;
use crate::data::config::{ColumnKind, DateOrder};
use crate::data::table::Column;

/// The unit of Unix times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnixUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

impl UnixUnit {
    /// The instant, in UTC.
    pub fn parse(self, cell: &str) -> Option<DateTime> {
        let number = cells::number(cell)?;
        let milliseconds = match self {
            Self::Seconds => number * 1e3,
            Self::Milliseconds => number,
        };
        let instant = jiff::Timestamp::from_millisecond(milliseconds.round() as i64).ok()?;
        Some(jiff::tz::Offset::UTC.to_datetime(instant))
    }

    /// For people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
        }
    }
}

/// First and last second of plausible Unix times: the years 1990 to 2100.
const PLAUSIBLE: [f64; 2] = [631_152_000.0, 4_102_444_800.0];

/// Names of columns that hold times.
const TIME_NAMES: [&str; 8] = ["time", "date", "day", "stamp", "epoch", "unix", "when", "created"];

/// The format of a column, if its cells are dates that are not plain ISO ones. Those `present` come with how often they
/// occur, `order` is the order that the experiment sets.
///
/// # Errors
/// A sample, if the order cannot be told.
pub fn find(
    column: &Column,
    present: &[(Cow<'_, str>, usize)],
    order: Option<DateOrder>,
) -> Result<Option<Format>, String> {
    let all: usize = present.iter().map(|(_, count)| count).sum();
    if present.iter().all(|(cell, _)| is_plain(cell)) {
        return Ok(None);
    }
    let count = |order| {
        let fitting = present.iter().filter(|(cell, _)| parse(cell, order).is_some());
        fitting.map(|(_, count)| count).sum::<usize>()
    };
    if let Some(order) = order {
        return Ok((2 * count(order) > all).then_some(Format::Date { order }));
    }
    let counts = [DateOrder::Ymd, DateOrder::Dmy, DateOrder::Mdy].map(|order| (count(order), order));
    let best = counts.iter().map(|(count, _)| *count).max().unwrap_or(0);
    if 2 * best <= all {
        return Ok(None);
    }
    let orders: Vec<DateOrder> =
        counts.iter().filter(|(count, _)| *count == best).map(|(_, order)| *order).collect();
    let differs = |cell: &str| orders[1..].iter().any(|&order| parse(cell, order) != parse(cell, orders[0]));
    let Some((sample, _)) = present.iter().find(|(cell, _)| differs(cell)) else {
        return Ok(Some(Format::Date { order: orders[0] }));
    };
    // With points, the day is first wherever this is written.
    let points = present.iter().all(|(cell, _)| cell.split(' ').next().is_some_and(|d| d.contains('.')));
    let day_first = points && orders.contains(&DateOrder::Dmy);
    let by_looking = if day_first { Some(DateOrder::Dmy) } else { steady(column, &orders) };
    by_looking.map(|order| Some(Format::Date { order })).ok_or_else(|| sample.to_string())
}

/// The order in which the dates ascend, if they do so in one of them alone.
fn steady(column: &Column, orders: &[DateOrder]) -> Option<DateOrder> {
    let ascends = |order| {
        let time = column.read(move |cell| parse(cell, order));
        let rows = (0..column.len()).filter(|&row| !column.is_missing(row));
        let times: Vec<Option<DateTime>> = rows.map(time).collect();
        times.len() > 2 && times.windows(2).all(|pair| pair[0] <= pair[1])
    };
    let ascending: Vec<DateOrder> = orders.iter().copied().filter(|&order| ascends(order)).collect();
    match ascending[..] {
        [order] => Some(order),
        _ => None,
    }
}

/// The format of a column of plain numbers, if they are Unix times. `given` is the type from the experiment.
pub fn find_unix(column: &Column, given: Option<ColumnKind>, name: &str) -> Option<Format> {
    unix(column, given, name).map(|unit| Format::Unix { unit })
}

/// The unit of numbers that are Unix times: if the experiment says that they are times, or if all are whole,
/// plausible, and either full minutes or in a column named like a time.
fn unix(column: &Column, given: Option<ColumnKind>, name: &str) -> Option<UnixUnit> {
    let plausible = |x: f64| (PLAUSIBLE[0]..1e3 * PLAUSIBLE[1]).contains(&x);
    let number = column.numbers();
    let numbers = || (0..column.len()).filter_map(&number);
    if !numbers().next().is_some_and(plausible) {
        return None;
    }
    let numbers: Vec<f64> = numbers().collect();
    let within =
        |scale: f64| numbers.iter().all(|x| (PLAUSIBLE[0] * scale..PLAUSIBLE[1] * scale).contains(x));
    let unit = if within(1.0) {
        UnixUnit::Seconds
    } else if within(1e3) {
        UnixUnit::Milliseconds
    } else {
        return None;
    };
    let name = name.to_lowercase();
    let minutes = if unit == UnixUnit::Seconds { 60.0 } else { 60_000.0 };
    let like_times = TIME_NAMES.iter().any(|part| name.contains(part))
        || name == "ts"
        || (numbers.len() > 2 && numbers.iter().all(|x| x % minutes == 0.0));
    let whole = numbers.iter().all(|x| x.fract() == 0.0);
    (given == Some(ColumnKind::Timestamp) || (given.is_none() && whole && like_times)).then_some(unit)
}

/// Whether later stages read a cell as it is: an ISO date without an offset.
fn is_plain(cell: &str) -> bool {
    cells::timestamp(cell).is_some() && !has_offset(cell)
}

/// Whether an ISO time ends in an offset from UTC, or `Z`.
fn has_offset(cell: &str) -> bool {
    cell.parse::<jiff::Timestamp>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cells: &[&str]) -> Result<Option<Format>, String> {
        let column: Column = cells.iter().collect();
        find(&column, &column.present(), None)
    }

    fn order(cells: &[&str]) -> Option<DateOrder> {
        match of(cells) {
            Ok(Some(Format::Date { order })) => Some(order),
            _ => None,
        }
    }

    fn read(cell: &str, order: DateOrder) -> String {
        parse(cell, order).map_or_else(|| "no".into(), |t| t.to_string())
    }

    #[test]
    fn dates_are_read_as_they_are_written() {
        use DateOrder::{Dmy, Mdy, Ymd};
        for (cell, order, expected) in [
            ("31/01/2021", Dmy, "2021-01-31T00:00:00"),
            ("01/31/2021 12:00 AM", Mdy, "2021-01-31T00:00:00"),
            ("1/2/2021 5:30:15 PM", Mdy, "2021-01-02T17:30:15"),
            ("31.01.21 7:05", Dmy, "2021-01-31T07:05:00"),
            ("2021/01/31", Ymd, "2021-01-31T00:00:00"),
            ("2021.1.31 08:00:00.25", Ymd, "2021-01-31T08:00:00.25"),
            ("31 Jan 2021", Ymd, "2021-01-31T00:00:00"),
            ("31-Jan-69", Dmy, "1969-01-31T00:00:00"),
            ("January 31, 2021", Dmy, "2021-01-31T00:00:00"),
            ("Sun, 31 Jan 2021 10:00:00 GMT", Ymd, "2021-01-31T10:00:00"),
            ("2021-01", Ymd, "2021-01-01T00:00:00"),
            ("03/2021", Dmy, "2021-03-01T00:00:00"),
            ("2022-10-30T02:00:00+02:00", Ymd, "2022-10-30T00:00:00"),
            ("2022-10-30 02:00:00+0100", Ymd, "2022-10-30T01:00:00"),
            ("2022-10-30T02:00:00Z", Ymd, "2022-10-30T02:00:00"),
            ("2022-10-30 23:00 -0530", Ymd, "2022-10-31T04:30:00"),
            ("30/02/2021", Dmy, "no"),
            ("31/01/2021 25:00", Dmy, "no"),
            ("10-20", Dmy, "no"),
            ("1.2.3", Dmy, "no"),
            ("31/01/2021 x", Dmy, "no"),
        ] {
            assert_eq!(read(cell, order), expected, "{cell}");
        }
    }

    #[test]
    fn the_column_tells_the_order() {
        assert_eq!(order(&["01/02/2021", "31/01/2021"]), Some(DateOrder::Dmy));
        assert_eq!(order(&["01/02/2021", "01/31/2021"]), Some(DateOrder::Mdy));
        assert_eq!(order(&["01.02.2021", "02.02.2021"]), Some(DateOrder::Dmy));
        assert_eq!(order(&["01/01/2021", "01/02/2021", "01/03/2021", "02/01/2021"]), Some(DateOrder::Mdy));
        assert_eq!(of(&["03/04/2021", "01/02/2021"]), Err("03/04/2021".into()));
        assert_eq!(order(&["19-01-30", "19-02-02", "19-02-05", "20-01-01"]), Some(DateOrder::Ymd));
        assert!(of(&["19-01-12", "20-02-05", "19-03-11"]).is_err());
        for cells in [&["1006.8", "1015.9"][..], &["10.7.23", "4.8.19"], &["7/2084", "3/1999"], &["1.5", "x"]]
        {
            assert_eq!(order(cells), None, "{cells:?}");
        }
        assert_eq!(order(&["2021-01-01", "2021-01-02"]), None, "plain ISO dates stay as they are");
        assert_eq!(order(&["2021-01-01T00:00:00Z", "2021-01-02T00:00:00Z"]), Some(DateOrder::Ymd));
    }

    #[test]
    fn unix_times_are_told_from_numbers() {
        let found = |cells: &[&str], name: &str| match find_unix(&cells.iter().collect(), None, name) {
            Some(Format::Unix { unit }) => Some(unit),
            _ => None,
        };
        assert_eq!(found(&["1609459201", "1609545602"], "day"), Some(UnixUnit::Seconds));
        assert_eq!(found(&["1609459200", "1609545600", "1609632000"], "x"), Some(UnixUnit::Seconds));
        assert_eq!(found(&["1609459200000", "1609545600000"], "timestamp"), Some(UnixUnit::Milliseconds));
        assert_eq!(found(&["1609459201", "1609545602"], "population"), None);
        assert_eq!(found(&["2021", "2022"], "date"), None);
        assert_eq!(UnixUnit::Seconds.parse("1609459200").unwrap().to_string(), "2021-01-01T00:00:00");
    }
}
