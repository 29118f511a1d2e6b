//! How the cells of a column are written: numbers with decimal commas, thousands separators, units, per cent or
//! currency; dates in the orders of different countries; Unix times. A format is found from the column as a
//! whole, stored with the run, and applied once when a table is read: every later stage sees plain numbers,
//! ISO dates and empty cells.

mod dates;
mod numbers;
mod scanner;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::DataError;
use super::cells;
use super::config::{ColumnKind, CsvConfig, DateOrder};
use super::table::Table;
pub use dates::UnixUnit;
pub use numbers::NumberFormat;

/// How the cells of a column are written, if not as plain numbers, ISO dates or names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Format {
    /// Numbers.
    Number(NumberFormat),
    /// Dates, or dates and times; those with an offset from UTC are converted to UTC.
    Date {
        /// The order of day, month and year.
        order: DateOrder,
    },
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
            Self::Date { order } => scanner::parse(cell, *order).map(|t| t.to_string()),
            Self::Unix { unit } => unit.parse(cell).map(|t| t.to_string()),
        }
    }

    /// What was found, for people.
    pub fn describe(&self) -> String {
        match self {
            Self::Number(format) => format.describe(),
            Self::Date { order } => format!("dates, {}", order.describe()),
            Self::Unix { unit } => format!("Unix times in {}", unit.describe()),
        }
    }
}

/// Empties the cells that mark missing values, and notes which did.
pub fn clear_missing(table: &mut Table, csv: &CsvConfig) {
    let markers: Vec<(&str, Option<f64>)> =
        csv.missing.iter().map(|m| (m.as_str(), cells::number(m))).collect();
    let own = |cell: &str| {
        markers.iter().any(|(text, number)| {
            *text == cell || number.is_some_and(|number| cells::number(cell) == Some(number))
        })
    };
    let mut found = BTreeMap::<String, usize>::new();
    for column in &mut table.columns {
        for cell in column.iter_mut() {
            let missing = (csv.default_missing && cells::marks_missing(cell)) || own(cell);
            if missing {
                *found.entry(std::mem::take(cell)).or_default() += 1;
            }
        }
    }
    if !found.is_empty() {
        let found: Vec<String> =
            found.iter().map(|(marker, count)| format!("`{marker}` {count} times")).collect();
        table.notes.push(format!("read as missing: {}", found.join(", ")));
    }
}

/// Finds the format of every column, given the types that the experiment sets.
///
/// # Errors
/// If a column can be read in two ways, and nothing says which is right.
pub fn find(
    table: &Table,
    types: &BTreeMap<String, ColumnKind>,
    csv: &CsvConfig,
) -> Result<Formats, DataError> {
    let mut formats = Formats::new();
    // Columns that leave a choice follow those that do not.
    let mut open = vec![];
    let mut decimal = csv.decimal;
    for (at, name) in table.names.iter().enumerate() {
        let present: Vec<&str> =
            table.columns[at].iter().map(String::as_str).filter(|cell| !cell.is_empty()).collect();
        let given = types.get(name).copied();
        if present.is_empty() || matches!(given, Some(ColumnKind::Category | ColumnKind::Boolean)) {
            continue;
        }
        let all_plain = present.iter().all(|cell| cells::number(cell).is_some());
        if given != Some(ColumnKind::Number)
            && let Some(format) = dates::find(&present, all_plain, given, name, csv.dates)
                .map_err(|sample| ambiguous_date(table, at, &sample))?
        {
            formats.insert(name.clone(), format);
            continue;
        }
        if given == Some(ColumnKind::Timestamp) {
            continue;
        }
        match numbers::find(&present, all_plain, given, csv) {
            numbers::Found::No => {}
            numbers::Found::One(format) => {
                if format.has_decimals(&present) {
                    decimal = decimal.or(Some(format.decimal));
                }
                // Brackets and other signs are not in the standard notation either.
                let odd = |cell: &&str| cells::number(cell).is_none() && format.plain(cell).is_some();
                if !format.is_plain() || present.iter().any(odd) {
                    formats.insert(name.clone(), Format::Number(format));
                }
            }
            numbers::Found::Either { decimals, groups } => {
                open.push((at, decimals, groups));
            }
        }
    }
    for (at, as_decimal, as_groups) in open {
        // In `1.234;5,6` the point groups digits; without such a neighbour, it is a decimal point.
        let format = match decimal {
            Some(found) if found == as_decimal.decimal => as_decimal,
            Some(_) => as_groups,
            None if as_decimal.is_plain() && !mixed(&table.columns[at], table.delimiter) => as_decimal,
            // Commas also separate cells, so these were quoted: an English export.
            None if table.delimiter == Some(',') => as_groups,
            None => {
                let cell = table.columns[at].iter().find(|cell| as_decimal.separates(cell));
                let cell = cell.cloned().unwrap_or_default();
                let reason = format!(
                    "holds numbers such as \"{cell}\", in which the separator may group thousands or begin \
                     the decimals; set `data.csv.decimal` to \".\" or \",\""
                );
                return Err(DataError::Treatment { column: table.names[at].clone(), reason });
            }
        };
        if !format.is_plain() {
            formats.insert(table.names[at].clone(), Format::Number(format));
        }
    }
    Ok(formats)
}

/// Whether cells such as `1.189` stand beside whole numbers below a thousand, where commas are not the delimiter:
/// so are thousands written in many countries.
fn mixed(cells: &[String], delimiter: Option<char>) -> bool {
    let whole = |cell: &String| !cell.is_empty() && cell.bytes().all(|b| b.is_ascii_digit());
    let mut whole = cells.iter().filter(|cell| whole(cell)).peekable();
    delimiter != Some(',') && whole.peek().is_some() && whole.all(|cell| cell.len() <= 3)
}

fn ambiguous_date(table: &Table, at: usize, sample: &str) -> DataError {
    let reason = format!(
        "holds dates such as \"{sample}\", in which day, month and year may stand in several orders; set \
         `data.csv.dates` to \"dmy\", \"mdy\" or \"ymd\""
    );
    DataError::Treatment { column: table.names[at].clone(), reason }
}

/// Rewrites the cells of a table that are written in `formats`. Others stay as they are, to be reported where
/// they are used.
pub fn apply(table: &mut Table, formats: &Formats) {
    for (name, cells) in table.names.iter().zip(&mut table.columns) {
        let Some(format) = formats.get(name) else { continue };
        for cell in cells.iter_mut().filter(|cell| !cell.is_empty()) {
            if let Some(plain) = format.plain(cell) {
                *cell = plain;
            }
        }
    }
}
