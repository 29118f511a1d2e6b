//! Tables as stored in files: named columns of cells; an empty cell is a missing value.

mod column;
mod csv;
#[cfg(feature = "parquet")]
mod delta;
pub mod given;
mod json;
mod look;
#[cfg(feature = "parquet")]
mod pages;
#[cfg(feature = "parquet")]
mod parquet;
mod records;
mod source;
mod spill;
mod written;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub use column::{Cell, Column};
pub(super) use source::files;
pub use spill::Spill;

use super::DataError;
use super::config::{ColumnKind, CsvConfig};
use crate::base::names::normal;
use crate::base::order::Order;

/// What a text table consists of.
const HEADER_AND_ROWS: &str = "a header line and rows";

/// Maximum columns, checked before anything is built from the header.
pub const MAX_COLUMNS: usize = 100_000;

/// A table of cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The file, for messages.
    pub path: PathBuf,
    /// Column names.
    pub names: Vec<String>,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Line of each row in the file (or its number, for Parquet), for messages.
    pub lines: Vec<u64>,
    /// How the file was read, for people.
    pub notes: Vec<String>,
    /// What separates the cells of a text table.
    pub delimiter: Option<char>,
    /// Positions of the columns whose times are instants, written without their offset, which is UTC.
    pub utc: Vec<usize>,
    /// Of those, the columns whose times were no instants in the training rows.
    pub foreign: Vec<usize>,
    /// Positions of columns whose cells were numbers or times before they were cells, and are read as they are.
    pub typed: BTreeSet<usize>,
    /// Names of columns that are not read, and why: what they hold, and what to do.
    pub unread: Vec<(String, String)>,
    /// First row and name of each further file whose rows were appended.
    pub appended: Vec<(usize, PathBuf)>,
    /// Types of the columns that were asked for, once cells no longer change ([`Table::settle`]).
    pub kinds: Vec<OnceLock<ColumnKind>>,
}

impl Table {
    /// Reads a table: delimited text, JSON lines or Parquet, told by their contents, compressed or not; several
    /// files with the same columns if `path` is a pattern such as `data/2024-*.csv`. `expected` are column names
    /// that a header would hold.
    ///
    /// # Errors
    /// If a file cannot be read or is not a table; the message gives file, line and column.
    pub fn read(path: &Path, csv: &CsvConfig, expected: &[&str]) -> Result<Self, DataError> {
        Self::read_files(path, csv, expected, None)
    }

    /// Reads a table as [`Table::read`], with the cells of its columns in a file, and not in memory.
    ///
    /// # Errors
    /// As [`Table::read`]; if it is JSON, or not in UTF-8; or if the disk is full.
    pub fn spilled(
        path: &Path,
        csv: &CsvConfig,
        expected: &[&str],
        spill: &mut Spill,
    ) -> Result<Self, DataError> {
        let mut table = Self::read_files(path, csv, expected, Some(spill))?;
        if table.names.first().is_some_and(String::is_empty) && table.names.len() > 1 {
            let first = spill.column(0)?;
            if csv::counts_rows(&first) {
                spill.leave_out_first();
                csv::leave_out_first(&mut table);
            }
        }
        Ok(table)
    }

    fn read_files(
        path: &Path,
        csv: &CsvConfig,
        expected: &[&str],
        mut spill: Option<&mut Spill>,
    ) -> Result<Self, DataError> {
        if given::is_name(path) {
            return given::take(path)?.checked(path, "rows");
        }
        let mut files = files(path)?.into_iter();
        let first = files.next().unwrap_or_else(|| path.into());
        let mut table = Self::of_file(&first, csv, expected, spill.as_deref_mut())?;
        let count = 1 + files.len();
        for file in files {
            let next = Self::of_file(&file, csv, expected, spill.as_deref_mut())?;
            table.check_zones(&next)?;
            match spill {
                Some(_) => table.lines.extend(next.lines),
                None => table.append(next)?,
            }
        }
        if count > 1 {
            table.notes.push(format!("{count} files make one table"));
        }
        Ok(table)
    }

    /// That the times of a file that continues this table are instants where those of this one are.
    fn check_zones(&self, other: &Self) -> Result<(), DataError> {
        let is_instant = |table: &Self, name| table.find(name).is_ok_and(|at| table.utc.contains(&at));
        if let Some(name) = self.names.iter().find(|name| is_instant(self, name) != is_instant(other, name)) {
            let reason = format!(
                "column `{name}` holds times with a zone here or in {}, and times without one in the other",
                self.path.display()
            );
            return Err(DataError::Malformed { path: other.path.clone(), line: 1, reason });
        }
        Ok(())
    }

    /// Appends the rows of a table with the same columns.
    fn append(&mut self, other: Self) -> Result<(), DataError> {
        if let Some(name) = other.names.iter().find(|name| !self.names.contains(name)) {
            let reason = format!("column `{name}` is not in {}, which comes before it", self.path.display());
            return Err(DataError::Malformed { path: other.path, line: 1, reason });
        }
        self.appended.push((self.lines.len(), other.path.clone()));
        let places = self.names.iter().map(|name| other.find(name)).collect::<Result<Vec<_>, _>>()?;
        let mut columns = other.columns;
        for (column, at) in self.columns.iter_mut().zip(places) {
            column.append(std::mem::take(&mut columns[at]));
        }
        self.lines.extend(other.lines);
        Ok(())
    }

    /// The file that a row is in, for messages.
    pub fn file_of(&self, row: usize) -> PathBuf {
        let last = self.appended.iter().rev().find(|(first, _)| *first <= row);
        last.map_or_else(|| self.path.clone(), |(_, path)| path.clone())
    }

    fn of_file(
        path: &Path,
        csv: &CsvConfig,
        expected: &[&str],
        spill: Option<&mut Spill>,
    ) -> Result<Self, DataError> {
        Self::of_contents(path, &|| source::open(path), csv, expected, spill)
    }

    /// Reads a table in memory: text that is not compressed. Messages call it `path`.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn of_bytes(
        path: &Path,
        bytes: &[u8],
        csv: &CsvConfig,
        expected: &[&str],
    ) -> Result<Self, DataError> {
        Self::of_contents(path, &|| source::of_bytes(path, bytes), csv, expected, None)
    }

    /// Makes a table of JSON objects, row by row. Messages call it `path`, and a row's number its line.
    ///
    /// # Errors
    /// If a row is no object with plain values, or there is none.
    pub fn of_objects(path: &Path, rows: &[serde_json::Value]) -> Result<Self, DataError> {
        json::of_objects(path, rows)?.checked(path, "a JSON object for each row")
    }

    fn of_contents(
        path: &Path,
        open: &dyn Fn() -> Result<source::Contents, DataError>,
        csv: &CsvConfig,
        expected: &[&str],
        spill: Option<&mut Spill>,
    ) -> Result<Self, DataError> {
        let (table, wanted) = match open()? {
            #[cfg(feature = "parquet")]
            source::Contents::Parquet => (parquet::read(path, spill)?, "rows"),
            source::Contents::Json(_) if spill.is_some() => {
                let reason = "JSON is read into memory; convert it to CSV or Parquet, or set `data.memory.rows` = \
                              \"host\"";
                return Err(DataError::Io { path: path.into(), reason: reason.into() });
            }
            source::Contents::Json(bytes) => (json::read(path, &bytes)?, "a JSON object in each line"),
            source::Contents::Text(stream) => {
                (csv::read(path, stream, open, csv, expected, spill)?, HEADER_AND_ROWS)
            }
        };
        table.checked(path, wanted)
    }

    /// Itself, if it has rows and columns of different names.
    fn checked(self, path: &Path, wanted: &'static str) -> Result<Self, DataError> {
        let mut table = self;
        if table.lines.is_empty() {
            return Err(DataError::Empty { path: path.into(), expected: wanted });
        }
        for name in &mut table.names {
            if let Cow::Owned(normal) = normal(name) {
                *name = normal;
            }
        }
        let mut sorted: Vec<&String> = table.names.iter().collect();
        sorted.order();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(DataError::DuplicateColumn { path: path.into(), column: pair[0].clone() });
        }
        Ok(table)
    }

    /// The position of a column.
    ///
    /// # Errors
    /// If there is no column of this name, or it was not read; the message suggests the nearest name.
    pub fn find(&self, name: &str) -> Result<usize, DataError> {
        self.names.iter().position(|n| n == name).ok_or_else(|| {
            let mut hint = crate::base::names::nearest(name, self.names.iter().map(String::as_str));
            if self.notes.iter().any(|note| note == csv::NO_HEADER) {
                hint += "; its first line looks like data, not like names: set `data.csv.header` = true if it holds names";
            }
            if let Some((_, why)) = self.unread.iter().find(|(unread, _)| unread == name) {
                hint = format!("; {why}");
            }
            DataError::MissingColumn { path: self.path.clone(), column: name.into(), hint }
        })
    }

    /// Keeps the types of columns from now on; cells must not change any more.
    pub fn settle(&mut self) {
        self.kinds = vec![OnceLock::new(); self.columns.len()];
    }

    /// A cell as it is written; empty if the value is missing.
    pub fn cell(&self, column: usize, row: usize) -> Cow<'_, str> {
        self.columns[column].text(row)
    }

    /// Whether the value of a cell is missing.
    pub fn is_missing(&self, column: usize, row: usize) -> bool {
        self.columns[column].is_missing(row)
    }
}
