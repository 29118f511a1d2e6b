//! Columns of dates: the order of day, month and year, told from all cells together.

use std::borrow::Cow;

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::Format;
use super::doubt::Doubt;
use super::scanner::{FIRST_YEAR, Written, parse};
use crate::data::cells;
use crate::data::config::{CsvConfig, DateOrder};
use crate::data::table::Column;

/// How dates, or dates and times, are written; those with an offset from UTC are converted to UTC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DateFormat {
    /// The order of day, month and year.
    pub order: DateOrder,
    /// Whether offsets follow the times, where that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offsets: Option<bool>,
    /// The first of the hundred years that years of two digits mean, if the experiment says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_year: Option<i16>,
}

impl DateFormat {
    /// Instants as ISO writes them.
    pub const UTC: Self = Self { order: DateOrder::Ymd, offsets: Some(true), first_year: None };

    fn parse(&self, cell: &str) -> Option<Written> {
        parse(cell, self.order, self.first_year.unwrap_or(FIRST_YEAR))
    }

    /// The cell as later stages read it; `None` if it is no date.
    pub fn plain(&self, cell: &str) -> Option<String> {
        self.parse(cell).map(|written| written.time.to_string())
    }

    /// What is expected instead of a date that is written in another way than the format was found from.
    pub fn objection(&self, cell: &str) -> Option<&'static str> {
        let written = self.parse(cell)?;
        match self.offsets {
            Some(true) if !written.has_offset => Some(
                "a time with an offset from UTC, as the other times of this column in the training rows have",
            ),
            Some(false) if written.has_offset => Some(cells::NO_OFFSET),
            _ if self.first_year.is_none() && written.short_year.is_some_and(is_of_two_centuries) => {
                Some("a year of four digits, or `data.csv.first_year` in the experiment")
            }
            _ => None,
        }
    }
}

/// Whether programs disagree on a year of two digits: spreadsheets read 30 to 99 as 1930 to 1999, POSIX 00 to 68 as 2000 to
/// 2068.
fn is_of_two_centuries(year: i16) -> bool {
    (30..i16::rem_euclid(FIRST_YEAR, 100)).contains(&year)
}

/// The format of a column, if its cells are dates that are not plain ISO ones. Those `present` come with how often they
/// occur.
///
/// # Errors
/// If it cannot be told how they are meant.
pub fn find(
    column: &Column,
    present: &[(Cow<'_, str>, usize)],
    csv: &CsvConfig,
) -> Result<Option<Format>, Doubt> {
    if present.iter().all(|(cell, _)| is_plain(cell)) {
        return Ok(None);
    }
    let first_year = csv.first_year;
    let Some(order) = find_order(column, present, csv)? else { return Ok(None) };
    let format = DateFormat { order, offsets: None, first_year };
    // Of those with an offset and of those without one, the first.
    let mut samples = [None, None];
    for (cell, _) in present {
        let Some(written) = format.parse(cell) else { continue };
        if first_year.is_none() && written.short_year.is_some_and(is_of_two_centuries) {
            return Err(Doubt::Century(cell.to_string()));
        }
        samples[usize::from(written.has_offset)].get_or_insert(cell);
    }
    match samples {
        [Some(without), Some(with)] => Err(Doubt::Offsets(with.to_string(), without.to_string())),
        [_, with] => Ok(Some(Format::Date(DateFormat { offsets: Some(with.is_some()), ..format }))),
    }
}

/// The order of day, month and year, if most of the cells are dates.
fn find_order(
    column: &Column,
    present: &[(Cow<'_, str>, usize)],
    csv: &CsvConfig,
) -> Result<Option<DateOrder>, Doubt> {
    let all: usize = present.iter().map(|(_, count)| count).sum();
    let first_year = csv.first_year.unwrap_or(FIRST_YEAR);
    let read = |cell: &str, order| parse(cell, order, first_year).map(|written| written.time);
    let count = |order| {
        let fitting = present.iter().filter(|(cell, _)| read(cell, order).is_some());
        fitting.map(|(_, count)| count).sum::<usize>()
    };
    if let Some(order) = csv.dates {
        return Ok((2 * count(order) > all).then_some(order));
    }
    let counts = [DateOrder::Ymd, DateOrder::Dmy, DateOrder::Mdy].map(|order| (count(order), order));
    let best = counts.iter().map(|(count, _)| *count).max().unwrap_or(0);
    if 2 * best <= all {
        return Ok(None);
    }
    let orders: Vec<DateOrder> =
        counts.iter().filter(|(count, _)| *count == best).map(|(_, order)| *order).collect();
    let differs = |cell: &str| orders[1..].iter().any(|&order| read(cell, order) != read(cell, orders[0]));
    let Some((sample, _)) = present.iter().find(|(cell, _)| differs(cell)) else {
        return Ok(Some(orders[0]));
    };
    // With points, the day is first wherever this is written.
    let points = present.iter().all(|(cell, _)| cell.split(' ').next().is_some_and(|d| d.contains('.')));
    let day_first = points && orders.contains(&DateOrder::Dmy);
    let by_looking = match day_first {
        true => Some(DateOrder::Dmy),
        false => steady(column, &orders, first_year),
    };
    by_looking.map(Some).ok_or_else(|| Doubt::Order(sample.to_string()))
}

/// The order in which the dates ascend, if they do so in one of them alone.
fn steady(column: &Column, orders: &[DateOrder], first_year: i16) -> Option<DateOrder> {
    let ascends = |order| {
        let time = column.read(move |cell| parse(cell, order, first_year).map(|written| written.time));
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

/// Whether later stages read a cell as it is: an ISO date without an offset.
fn is_plain(cell: &str) -> bool {
    cells::timestamp(cell).is_some() && !cells::has_offset(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cells: &[&str], first_year: Option<i16>) -> Result<Option<Format>, String> {
        let column: Column = cells.iter().collect();
        let csv = CsvConfig { first_year, ..CsvConfig::default() };
        find(&column, &column.present(), &csv).map_err(|doubt| doubt.reason())
    }

    fn order(cells: &[&str]) -> Option<DateOrder> {
        match of(cells, None) {
            Ok(Some(Format::Date(format))) => Some(format.order),
            _ => None,
        }
    }

    fn read(cell: &str, order: DateOrder) -> String {
        parse(cell, order, FIRST_YEAR).map_or_else(|| "no".into(), |written| written.time.to_string())
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
        let doubt = of(&["03/04/2021", "01/02/2021"], None).unwrap_err();
        assert!(doubt.contains("\"03/04/2021\"") && doubt.contains("data.csv.dates"), "{doubt}");
        assert_eq!(order(&["19-01-30", "19-02-02", "19-02-05", "20-01-01"]), Some(DateOrder::Ymd));
        assert!(of(&["19-01-12", "20-02-05", "19-03-11"], None).is_err());
        for cells in [&["1006.8", "1015.9"][..], &["10.7.23", "4.8.19"], &["7/2084", "3/1999"], &["1.5", "x"]]
        {
            assert_eq!(order(cells), None, "{cells:?}");
        }
        assert_eq!(order(&["2021-01-01", "2021-01-02"]), None, "plain ISO dates stay as they are");
        assert_eq!(order(&["2021-01-01T00:00:00Z", "2021-01-02T00:00:00Z"]), Some(DateOrder::Ymd));
    }

    #[test]
    fn times_with_and_without_an_offset_do_not_mix() {
        for other in ["2021-01-02T00:00:00", "2021-01-02"] {
            let doubt = of(&["2021-01-01T00:00:00+02:00", other, "2021-01-03T00:00:00Z"], None).unwrap_err();
            assert!(doubt.contains("\"2021-01-01T00:00:00+02:00\"") && doubt.contains(other), "{doubt}");
        }
        let Ok(Some(Format::Date(zoned))) = of(&["2021-01-01T00:00:00+02:00", "2021-01-03 00:00 GMT"], None)
        else {
            panic!("offsets of several kinds are one format")
        };
        assert_eq!(zoned.objection("2021-01-01T00:00:00-05:00"), None);
        assert!(
            zoned
                .objection("2021-01-01T00:00:00")
                .is_some_and(|expected| expected.contains("with an offset"))
        );
        let Ok(Some(Format::Date(local))) = of(&["31/01/2021 10:00", "01/02/2021 11:00"], None) else {
            panic!("these are dates")
        };
        assert!(
            local.objection("31/01/2021 10:00 +0100").is_some_and(|expected| expected.contains("without"))
        );
    }

    #[test]
    fn years_of_two_digits_are_of_one_century_or_refused() {
        let years =
            |first_year| match of(&["13/01/55", "14/01/85", "15/01/21"], first_year) {
                Ok(Some(Format::Date(format))) => Ok(["13/01/55", "14/01/85", "15/01/21"]
                    .map(|cell| format.plain(cell).unwrap()[..4].to_owned())),
                other => Err(other.unwrap_err()),
            };
        assert!(years(None).unwrap_err().contains("data.csv.first_year"));
        assert_eq!(years(Some(1925)), Ok(["1955", "1985", "2021"].map(String::from)));
        assert_eq!(years(Some(1969)), Ok(["2055", "1985", "2021"].map(String::from)));
        assert_eq!(years(Some(1900)), Ok(["1955", "1985", "1921"].map(String::from)));
        let Ok(Some(Format::Date(format))) = of(&["31/01/99", "31/01/00", "31/01/01"], None) else {
            panic!("all programs read these in one way")
        };
        assert!(format.objection("31/01/40").is_some(), "this they do not");
        assert_eq!(format.objection("31/01/2040"), None);
    }
}
