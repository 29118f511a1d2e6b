//! How the cells of a column are written: numbers with decimal commas, thousands separators, units, per cent or
//! currency; dates in the orders of different countries; Unix times. A format is found from the column as a
//! whole, stored with the run, and applied once when a table is read: every later stage sees plain numbers,
//! ISO dates and empty cells.

mod dates;
mod doubt;
mod numbers;
mod scanner;
mod unix;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::DataError;
use super::cells;
use super::config::{ColumnKind, CsvConfig};
use super::table::{Column, Table};
use crate::base::parallel::prelude::*;
pub use dates::DateFormat;
use doubt::Doubt;
pub use numbers::NumberFormat;
pub use unix::UnixUnit;

/// How the cells of a column are written, if not as plain numbers, ISO dates or names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Format {
    /// Numbers.
    Number(NumberFormat),
    /// Dates, or dates and times.
    Date(DateFormat),
    /// Time since 1970-01-01 UTC.
    Unix {
        /// Its unit.
        unit: UnixUnit,
    },
}

/// Formats by column name.
pub type Formats = BTreeMap<String, Format>;

impl Format {
    /// The cell as later stages read it; `None` if it is not written in this format.
    fn plain(&self, cell: &str) -> Option<String> {
        match self {
            Self::Number(format) => format.plain(cell),
            Self::Date(format) => format.plain(cell),
            Self::Unix { unit } => unit.parse(cell).map(|t| t.to_string()),
        }
    }

    /// What is expected instead of a time that is written in another way than those from which the format was found.
    fn objection(&self, cell: &str) -> Option<&'static str> {
        match self {
            Self::Date(format) => format.objection(cell),
            Self::Unix { unit } => unit.objection_to_text(cell),
            Self::Number(_) => None,
        }
    }

    /// What was found, for people.
    pub fn describe(&self) -> String {
        match self {
            Self::Number(format) => format.describe(),
            Self::Date(format) => format!("dates, {}", format.order.describe()),
            Self::Unix { unit } => format!("Unix times in {}", unit.describe()),
        }
    }
}

/// Empties the cells that mark missing values, and notes which did.
pub fn clear_missing(table: &mut Table, csv: &CsvConfig) {
    let found = emptied(table, csv);
    note_missing(&mut table.notes, &found);
}

/// Empties the cells that mark missing values; returns how many of each there were.
pub fn emptied(table: &mut Table, csv: &CsvConfig) -> BTreeMap<String, usize> {
    let markers: Vec<(&str, Option<f64>)> =
        csv.missing.iter().map(|m| (m.as_str(), cells::number(m))).collect();
    let numbers: Vec<f64> = markers.iter().filter_map(|(_, number)| *number).collect();
    let marks = |cell: &str| {
        (csv.default_missing && cells::marks_missing(cell))
            || markers.iter().any(|(text, _)| *text == cell)
            || !numbers.is_empty() && cells::number(cell).is_some_and(|x| numbers.contains(&x))
    };
    let clear = |column: &mut Column| {
        let mut found = BTreeMap::<String, usize>::new();
        column.clear(marks, &numbers, &mut found);
        found
    };
    let all: Vec<BTreeMap<String, usize>> = table.columns.par_iter_mut().map(clear).collect();
    let mut found = BTreeMap::<String, usize>::new();
    for (marker, count) in all.into_iter().flatten() {
        *found.entry(marker).or_default() += count;
    }
    found
}

/// Says which cells were emptied, and how many.
pub fn note_missing(notes: &mut Vec<String>, found: &BTreeMap<String, usize>) {
    if !found.is_empty() {
        let found: Vec<String> =
            found.iter().map(|(marker, count)| format!("`{marker}` {count} times")).collect();
        notes.push(format!("read as missing: {}", found.join(", ")));
    }
}

/// Finds the format of every column, given the types that the experiment sets; columns that no model reads may be `unused`.
///
/// # Errors
/// If a column can be read in two ways, and nothing says which is right; of times that are `unused`, either will do.
pub fn find(
    table: &Table,
    types: &BTreeMap<String, ColumnKind>,
    csv: &CsvConfig,
    unused: &dyn Fn(&str) -> bool,
) -> Result<Formats, DataError> {
    let all: Vec<Found> =
        (0..table.names.len()).into_par_iter().map(|at| look(table, at, types, csv)).collect();
    let looked = all.into_iter().zip(&table.names).map(|(found, name)| (name.clone(), found));
    choose(looked, csv, table.delimiter, unused)
}

/// What is found of a column of a table by itself.
pub fn look(table: &Table, at: usize, types: &BTreeMap<String, ColumnKind>, csv: &CsvConfig) -> Found {
    let (column, name) = (&table.columns[at], &table.names[at]);
    if table.typed.contains(&at) {
        return Found::Plain { decimals: None };
    }
    let given = types.get(name).copied();
    if table.utc.contains(&at) && given.is_none_or(|kind| kind == ColumnKind::Timestamp) {
        return Found::Format { format: Format::Date(DateFormat::UTC), decimals: None };
    }
    match find_one(column, name, given, csv) {
        Found::Either { decimals, groups, .. } => {
            let cells = (0..column.len()).map(|row| column.text(row));
            let sample = cells.into_iter().find(|cell| decimals.separates(cell)).unwrap_or_default().into();
            Found::Either { mixed: mixed(column, table.delimiter), sample, decimals, groups }
        }
        found => found,
    }
}

/// The formats of the columns of a table, of which each was looked at.
///
/// # Errors
/// If a column can be read in two ways, and nothing says which is right.
pub fn choose(
    looked: impl Iterator<Item = (String, Found)>,
    csv: &CsvConfig,
    delimiter: Option<char>,
    unused: &dyn Fn(&str) -> bool,
) -> Result<Formats, DataError> {
    let mut formats = Formats::new();
    // Columns that leave a choice follow those that do not.
    let mut open = vec![];
    let mut decimal = csv.decimal;
    for (name, found) in looked {
        match found {
            Found::Plain { decimals } => decimal = decimal.or(decimals),
            Found::Format { format, decimals } => {
                decimal = decimal.or(decimals);
                formats.insert(name, format);
            }
            Found::Either { decimals, groups, mixed, sample } => {
                open.push((name, decimals, groups, mixed, sample));
            }
            // It stays as it is written. Where it is used after all, to split by for example, its cells are refused.
            Found::Doubt(_) if unused(&name) => {}
            Found::Doubt(doubt) => {
                return Err(DataError::Treatment { column: name, reason: doubt.reason() });
            }
        }
    }
    for (name, as_decimal, as_groups, mixed, sample) in open {
        // In `1.234;5,6` the point groups digits; without such a neighbour, it is a decimal point.
        let format = match decimal {
            _ if csv.thousands == as_groups.thousands => as_groups,
            Some(found) if found == as_decimal.decimal => as_decimal,
            Some(_) => as_groups,
            None if as_decimal.is_plain() && !mixed => as_decimal,
            // Commas also separate cells, so these were quoted: an English export.
            None if delimiter == Some(',') => as_groups,
            None => {
                let reason = format!(
                    "holds numbers such as \"{sample}\", in which the separator may group thousands or begin \
                     the decimals; set `data.csv.decimal` to \".\" or \",\""
                );
                return Err(DataError::Treatment { column: name, reason });
            }
        };
        if !format.is_plain() {
            formats.insert(name, Format::Number(format));
        }
    }
    Ok(formats)
}

/// What is found of a column by itself.
pub enum Found {
    /// Later stages read its cells as they are. If they have decimals, what separates them is told.
    Plain {
        /// The sign.
        decimals: Option<char>,
    },
    /// It is written in a format.
    Format {
        /// The format.
        format: Format,
        /// The sign before its decimals.
        decimals: Option<char>,
    },
    /// Its separators begin decimals, or group thousands.
    Either {
        /// How it is read if they begin decimals.
        decimals: NumberFormat,
        /// How it is read if they group thousands.
        groups: NumberFormat,
        /// Whether cells are like those of both.
        mixed: bool,
        /// One of the cells.
        sample: String,
    },
    /// Its dates may be read in several ways.
    Doubt(Doubt),
}

fn find_one(column: &Column, name: &str, given: Option<ColumnKind>, csv: &CsvConfig) -> Found {
    let nothing = Found::Plain { decimals: None };
    if column.missing() == column.len() || matches!(given, Some(ColumnKind::Category | ColumnKind::Boolean)) {
        return nothing;
    }
    let numeric = column.is_numeric();
    // Most columns hold plain numbers, whose texts are not needed.
    let present = if numeric { vec![] } else { column.present() };
    if given != Some(ColumnKind::Number) {
        let found = match numeric {
            true => unix::find(column, given, name),
            false => dates::find(column, &present, csv),
        };
        match found {
            Ok(Some(format)) => return Found::Format { format, decimals: None },
            Ok(None) => {}
            Err(doubt) => return Found::Doubt(doubt),
        }
    }
    if given == Some(ColumnKind::Timestamp) {
        return nothing;
    }
    let found = if numeric { numbers::find_plain(column) } else { numbers::find(&present, given, csv) };
    match found {
        numbers::Found::No => nothing,
        numbers::Found::One(format) => {
            let has_decimals = column.any(
                |_, decimals| format.decimal == '.' && decimals > 0,
                |cell| cell.contains(format.decimal),
            );
            let decimals = has_decimals.then_some(format.decimal);
            // Brackets and other signs are not in the standard notation either.
            let odd = |cell: &str| cells::number(cell).is_none() && format.plain(cell).is_some();
            if !format.is_plain() || present.iter().any(|(cell, _)| odd(cell)) {
                return Found::Format { format: Format::Number(format), decimals };
            }
            Found::Plain { decimals }
        }
        numbers::Found::Either { decimals, groups } => {
            Found::Either { decimals, groups, mixed: false, sample: String::new() }
        }
    }
}

/// Whether cells such as `1.189` stand beside whole numbers below a thousand, where commas are not the delimiter:
/// so are thousands written in many countries.
fn mixed(column: &Column, delimiter: Option<char>) -> bool {
    let whole = |cell: &str| cell.bytes().all(|b| b.is_ascii_digit());
    delimiter != Some(',')
        && column.any(|x, decimals| decimals == 0 && x >= 0.0, whole)
        && !column.any(|x, decimals| decimals == 0 && x > 999.0, |cell| whole(cell) && cell.len() > 3)
}

/// Rewrites the cells of a table that are written in `formats`. Others stay as they are, to be reported where
/// they are used.
///
/// # Errors
/// If a cell such as `1.100` may be thousands, in a column of decimal commas, or decimals, and no comma in the table says that
/// it is written as the column was; if a date may be of two centuries, or has an offset from UTC where the
/// column had none; if a Unix time is in another unit.
pub fn apply(table: &mut Table, formats: &Formats) -> Result<(), DataError> {
    refuse_points(table, formats)?;
    refuse_times(table, formats)?;
    let is_of_instants = |at: &usize| match formats.get(&table.names[*at]) {
        Some(Format::Date(format)) => format.offsets != Some(false),
        format => format.is_some(),
    };
    table.foreign = table.utc.iter().copied().filter(|at| !is_of_instants(at)).collect();
    let Table { columns, names, typed, utc, .. } = table;
    columns.par_iter_mut().zip(names).enumerate().for_each(|(at, (column, name))| {
        let is_plain = typed.contains(&at) || utc.contains(&at);
        let Some(format) = formats.get(name).filter(|_| !is_plain) else { return };
        let groups = match format {
            Format::Number(format) => format.with_points(),
            _ => None,
        };
        let grouped = |cell: &str| groups.as_ref().and_then(|groups| groups.plain(cell));
        column.rewrite(|cell| format.plain(cell).or_else(|| grouped(cell)));
    });
    Ok(())
}

/// That the times of `table` are written as those from which their formats were found.
fn refuse_times(table: &Table, formats: &Formats) -> Result<(), DataError> {
    let is_plain = |at: &usize| table.typed.contains(at) || table.utc.contains(at);
    for (at, column) in table.columns.iter().enumerate().filter(|(at, _)| !is_plain(at)) {
        let Some(format) = formats.get(&table.names[at]) else { continue };
        let to_number = |x: f64, _| matches!(format, Format::Unix { unit } if unit.objection(x).is_some());
        let of_row = |row: usize| Some((row, format.objection(&column.text(row))?));
        if column.any(to_number, |cell| format.objection(cell).is_some())
            && let Some((row, expected)) = (0..column.len()).find_map(of_row)
        {
            return Err(wrong_cell(table, at, row, expected));
        }
    }
    Ok(())
}

fn wrong_cell(table: &Table, at: usize, row: usize, expected: &'static str) -> DataError {
    DataError::Cell {
        path: table.path.clone(),
        line: table.lines[row],
        column: table.names[at].clone(),
        text: table.columns[at].text(row).into(),
        expected,
    }
}

/// That points of `table` can be read in one way, in columns of decimal commas.
fn refuse_points(table: &Table, formats: &Formats) -> Result<(), DataError> {
    let commas = |column: &Column, format: &NumberFormat| {
        column.any(|_, _| false, |cell| cell.contains(',') && format.plain(cell).is_some())
    };
    let of_numbers = |at: usize| match formats.get(&table.names[at]) {
        Some(Format::Number(format)) if !table.typed.contains(&at) => Some(format),
        _ => None,
    };
    let columns = || table.columns.iter().enumerate();
    let has_commas = columns().any(|(at, column)| {
        of_numbers(at).is_some_and(|format| format.decimal == ',' && commas(column, format))
    });
    for (at, column) in columns().filter(|_| !has_commas) {
        let Some(groups) = of_numbers(at).and_then(NumberFormat::with_points) else { continue };
        let may_be_groups = |cell: &str| cell.contains('.') && groups.plain(cell).is_some();
        let thousands = |x: f64, decimals: u8| decimals == 3 && (1.0..1000.0).contains(&x.abs());
        if column.any(thousands, may_be_groups)
            && let Some(row) = (0..column.len()).find(|&row| may_be_groups(&column.text(row)))
        {
            let expected = "a number that can be read in one way only: as the training rows have decimal commas, the \
                            point may group thousands or begin decimals; write it with a comma, or without a separator";
            return Err(wrong_cell(table, at, row, expected));
        }
    }
    Ok(())
}
