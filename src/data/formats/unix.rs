//! Columns of Unix times, in seconds or milliseconds.

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::Format;
use super::doubt::Doubt;
use crate::data::cells;
use crate::data::config::ColumnKind;
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
    /// The instant, in UTC; one that is written as a time with an offset is another's too.
    pub fn parse(self, cell: &str) -> Option<DateTime> {
        let Some(number) = cells::number(cell) else {
            return cells::timestamp(cell).filter(|_| cells::has_offset(cell));
        };
        let milliseconds = match self {
            Self::Seconds => number * 1e3,
            Self::Milliseconds => number,
        };
        let instant = jiff::Timestamp::from_millisecond(milliseconds.round() as i64).ok()?;
        Some(jiff::tz::Offset::UTC.to_datetime(instant))
    }

    /// What is expected instead of a time that may be another zone's.
    pub fn objection_to_text(self, cell: &str) -> Option<&'static str> {
        match cells::number(cell) {
            Some(number) => self.objection(number),
            None => (cells::timestamp(cell).is_some() && !cells::has_offset(cell))
                .then_some("a Unix time, as the training rows have, or a time with an offset from UTC"),
        }
    }

    /// What is expected instead of a number that is a plausible time in the other unit alone.
    pub fn objection(self, number: f64) -> Option<&'static str> {
        match (self, unit(number)?) {
            (Self::Seconds, Self::Milliseconds) => Some("Unix times in seconds, as the training rows have"),
            (Self::Milliseconds, Self::Seconds) => {
                Some("Unix times in milliseconds, as the training rows have")
            }
            _ => None,
        }
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

/// The format of a column of plain numbers, if they are Unix times: if the experiment says so (`given`), or if all are whole,
/// plausible, and either full minutes or in a column named like a time.
///
/// # Errors
/// If some are in seconds and some in milliseconds.
pub fn find(column: &Column, given: Option<ColumnKind>, name: &str) -> Result<Option<Format>, Doubt> {
    let number = column.numbers();
    let numbers = || (0..column.len()).filter_map(&number);
    if numbers().next().is_none_or(|x| unit(x).is_none()) {
        return Ok(None);
    }
    let numbers: Vec<f64> = numbers().collect();
    let first = |wanted| numbers.iter().copied().find(|&x| unit(x) == Some(wanted));
    let (seconds, milliseconds) = (first(UnixUnit::Seconds), first(UnixUnit::Milliseconds));
    let is_plausible = numbers.iter().all(|&x| unit(x).is_some());
    match (seconds, milliseconds) {
        _ if !is_plausible => Ok(None),
        (Some(seconds), Some(milliseconds)) => match are_times(&numbers, UnixUnit::Seconds, given, name) {
            true => Err(Doubt::Units(seconds, milliseconds)),
            false => Ok(None),
        },
        (seconds, _) => {
            let unit = if seconds.is_some() { UnixUnit::Seconds } else { UnixUnit::Milliseconds };
            Ok(are_times(&numbers, unit, given, name).then_some(Format::Unix { unit }))
        }
    }
}

/// The unit in which a number is a plausible time.
fn unit(number: f64) -> Option<UnixUnit> {
    let within = |scale: f64| (PLAUSIBLE[0] * scale..PLAUSIBLE[1] * scale).contains(&number);
    if within(1.0) { Some(UnixUnit::Seconds) } else { within(1e3).then_some(UnixUnit::Milliseconds) }
}

/// Whether plausible numbers are times.
fn are_times(numbers: &[f64], unit: UnixUnit, given: Option<ColumnKind>, name: &str) -> bool {
    let name = name.to_lowercase();
    let minutes = if unit == UnixUnit::Seconds { 60.0 } else { 60_000.0 };
    let like_times = TIME_NAMES.iter().any(|part| name.contains(part))
        || name == "ts"
        || (numbers.len() > 2 && numbers.iter().all(|x| x % minutes == 0.0));
    let whole = numbers.iter().all(|x| x.fract() == 0.0);
    given == Some(ColumnKind::Timestamp) || (given.is_none() && whole && like_times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_times_are_told_from_numbers() {
        let found = |cells: &[&str], name: &str| match find(&cells.iter().collect(), None, name) {
            Ok(Some(Format::Unix { unit })) => Some(unit),
            Ok(_) => None,
            Err(doubt) => panic!("{}", doubt.reason()),
        };
        assert_eq!(found(&["1609459201", "1609545602"], "day"), Some(UnixUnit::Seconds));
        assert_eq!(found(&["1609459200", "1609545600", "1609632000"], "x"), Some(UnixUnit::Seconds));
        assert_eq!(found(&["1609459200000", "1609545600000"], "timestamp"), Some(UnixUnit::Milliseconds));
        assert_eq!(found(&["1609459201", "1609545602"], "population"), None);
        assert_eq!(found(&["2021", "2022"], "date"), None);
        assert_eq!(found(&["1609459201", "1609545602000"], "population"), None);
        let mixed: Column = ["1609459201", "1609545602000"].into_iter().collect();
        for (given, name) in [(None, "timestamp"), (Some(ColumnKind::Timestamp), "x")] {
            let Err(doubt) = find(&mixed, given, name) else { panic!("it is read in one unit") };
            assert!(
                doubt.reason().contains("such as 1609459201, and in milliseconds, such as 1609545602000")
            );
        }
        assert_eq!(UnixUnit::Seconds.parse("1609459200").unwrap().to_string(), "2021-01-01T00:00:00");
    }
}
