//! From cells to values: numbers, booleans and timestamps; and the type of a column, inferred from its cells.

use super::DataError;
use super::config::ColumnKind;
use super::table::{Column, Table};

/// Whether a cell is a missing value. Cells that mark one otherwise are emptied when the table is read.
pub fn is_missing(cell: &str) -> bool {
    cell.is_empty()
}

/// The texts that mark a missing value unless the experiment says otherwise.
pub const MISSING_MARKERS: [&str; 24] = [
    "NA", "N/A", "n/a", "na", "NaN", "nan", "NAN", "null", "NULL", "Null", "None", "<NA>", "-", "--", "?",
    ".", "#N/A", "#NA", "#VALUE!", "#REF!", "#DIV/0!", "#NUM!", "#NAME?", "#NULL!",
];

/// Whether a cell is one of [`MISSING_MARKERS`].
pub fn marks_missing(cell: &str) -> bool {
    // Most cells are numbers, which are told from markers by a digit.
    let number = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let bytes = cell.as_bytes();
    cell.len() <= 7 && !number(bytes.first()) && !number(bytes.get(1)) && MISSING_MARKERS.contains(&cell)
}

/// Parses a finite number within the range of `f32`.
pub fn number(cell: &str) -> Option<f64> {
    cell.parse::<f64>().ok().filter(|x| x.abs() <= f64::from(f32::MAX))
}

/// Parses a boolean as 1 or 0.
pub fn boolean(cell: &str) -> Option<f64> {
    match cell.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" | "t" | "y" => Some(1.0),
        "false" | "no" | "0" | "f" | "n" => Some(0.0),
        _ => None,
    }
}

/// Parses an ISO date, or a date and time; a time with an offset is converted to UTC.
pub fn timestamp(cell: &str) -> Option<jiff::civil::DateTime> {
    // The parser of civil times drops an offset, so instants come first.
    let instant = cell.parse::<jiff::Timestamp>().ok().map(|t| jiff::tz::Offset::UTC.to_datetime(t));
    instant.or_else(|| cell.parse::<jiff::civil::DateTime>().ok())
}

/// Whether an ISO time ends in an offset from UTC, or `Z`.
pub fn has_offset(cell: &str) -> bool {
    cell.parse::<jiff::Timestamp>().is_ok()
}

/// What is expected of a time that has an offset, where the training rows have none.
pub const NO_OFFSET: &str =
    "a time without an offset from UTC, as the other times of this column have none in the training rows";

/// Infers the type of a column: boolean if all non-empty cells fit; number or timestamp if more than half do,
/// so that a single bad cell is reported as such instead of turning the column into categories; else
/// category.
pub fn infer(column: &Column) -> ColumnKind {
    if column.is_numeric() {
        return ColumnKind::Number;
    }
    let present = column.present();
    let all: usize = present.iter().map(|(_, count)| count).sum();
    let most = |fits: fn(&str) -> bool| {
        let fitting = present.iter().filter(|(cell, _)| fits(cell));
        2 * fitting.map(|(_, count)| count).sum::<usize>() > all
    };
    if present.iter().all(|(cell, _)| boolean(cell).is_some()) {
        ColumnKind::Boolean
    } else if most(|cell| number(cell).is_some()) {
        ColumnKind::Number
    } else if most(|cell| timestamp(cell).is_some()) {
        ColumnKind::Timestamp
    } else {
        ColumnKind::Category
    }
}

/// The cells of `rows` as numbers, `None` where missing.
///
/// # Errors
/// If a cell does not parse; the message gives file, line, column and text.
pub fn values(
    table: &Table,
    column: usize,
    rows: &[usize],
    kind: ColumnKind,
) -> Result<Vec<Option<f64>>, DataError> {
    let mut values = Vec::with_capacity(rows.len());
    each(table, column, rows, kind, |value| values.push(value))?;
    Ok(values)
}

/// The cells of `rows` that are not missing, as numbers.
///
/// # Errors
/// As [`values`].
pub fn present(
    table: &Table,
    column: usize,
    rows: &[usize],
    kind: ColumnKind,
) -> Result<Vec<f64>, DataError> {
    let mut values = Vec::with_capacity(rows.len());
    each(table, column, rows, kind, |value| values.extend(value))?;
    Ok(values)
}

/// Gives `see` the cells of `rows`, one after the other.
fn each(
    table: &Table,
    column: usize,
    rows: &[usize],
    kind: ColumnKind,
    mut see: impl FnMut(Option<f64>),
) -> Result<(), DataError> {
    let bad = |row: usize| DataError::Cell {
        path: table.path.clone(),
        line: table.lines[row],
        column: table.names[column].clone(),
        text: table.cell(column, row).chars().take(80).collect(),
        expected: if kind == ColumnKind::Boolean { "true or false" } else { "a number of at most 3.4e38" },
    };
    let cells = &table.columns[column];
    let mut check = |row: usize, value: Option<f64>| match value {
        None if !cells.is_missing(row) => Err(bad(row)),
        value => {
            see(value);
            Ok(())
        }
    };
    if kind == ColumnKind::Boolean {
        let value = cells.read(boolean);
        rows.iter().try_for_each(|&row| check(row, value(row)))
    } else {
        let value = cells.numbers();
        rows.iter().try_for_each(|&row| check(row, value(row)))
    }
}

/// The timestamps of `rows`, `None` where missing.
///
/// # Errors
/// If a cell does not parse.
pub fn timestamps(
    table: &Table,
    column: usize,
    rows: &[usize],
) -> Result<Vec<Option<jiff::civil::DateTime>>, DataError> {
    let cells = &table.columns[column];
    let is_foreign = table.foreign.contains(&column);
    // Where times have offsets, their format has made them times in UTC that have none.
    let time = cells.read(move |cell| if is_foreign || has_offset(cell) { None } else { cell.parse().ok() });
    let parse = |&row: &usize| match time(row) {
        None if !cells.is_missing(row) => Err(DataError::Cell {
            path: table.path.clone(),
            line: table.lines[row],
            column: table.names[column].clone(),
            text: table.cell(column, row).chars().take(80).collect(),
            expected: match is_foreign || has_offset(&table.cell(column, row)) {
                true => NO_OFFSET,
                false => "a date such as 2024-01-31 or a time such as 2024-01-31 18:00",
            },
        }),
        time => Ok(time),
    };
    rows.iter().map(parse).collect()
}
