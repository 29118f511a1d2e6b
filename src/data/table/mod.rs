//! Tables as stored in files: named columns of text cells; an empty cell is a missing value.

mod delta;
mod pages;
mod parquet;

use std::path::{Path, PathBuf};

use super::DataError;

/// Maximum columns, checked before anything is built from the header.
pub const MAX_COLUMNS: usize = 100_000;

/// A table of text cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The file, for messages.
    pub path: PathBuf,
    /// Column names.
    pub names: Vec<String>,
    /// Cells per column.
    pub columns: Vec<Vec<String>>,
    /// Line of each row in the file (or its number, for Parquet), for messages.
    pub lines: Vec<u64>,
}

impl Table {
    /// Reads a CSV file (comma, semicolon or tab) or a Parquet file (by its `.parquet` ending).
    ///
    /// # Errors
    /// If the file cannot be read or is not a table; the message gives file, line and column.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let table = match path.extension().and_then(|e| e.to_str()) {
            Some("parquet") => parquet::read(path)?,
            _ => read_csv(path)?,
        };
        if table.lines.is_empty() {
            return Err(DataError::Empty { path: path.into() });
        }
        let mut sorted: Vec<&String> = table.names.iter().collect();
        sorted.sort();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(DataError::DuplicateColumn { path: path.into(), column: pair[0].clone() });
        }
        Ok(table)
    }

    /// The position of a column.
    ///
    /// # Errors
    /// If there is no column of this name; the message suggests the nearest name.
    pub fn find(&self, name: &str) -> Result<usize, DataError> {
        self.names.iter().position(|n| n == name).ok_or_else(|| DataError::MissingColumn {
            path: self.path.clone(),
            column: name.into(),
            hint: crate::base::names::nearest(name, self.names.iter().map(String::as_str)),
        })
    }

    /// A cell.
    pub fn cell(&self, column: usize, row: usize) -> &str {
        &self.columns[column][row]
    }
}

fn read_csv(path: &Path) -> Result<Table, DataError> {
    let io = |source: std::io::Error| DataError::Io { path: path.into(), reason: source.to_string() };
    let bytes = std::fs::read(path).map_err(io)?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(DataError::Empty { path: path.into() });
    }
    let text = std::str::from_utf8(&bytes).map_err(|e| {
        let line = 1 + bytes[..e.valid_up_to()].iter().filter(|&&b| b == b'\n').count() as u64;
        DataError::NotUtf8 { path: path.into(), line }
    })?;
    let text = text.trim_start_matches('\u{feff}');
    let header = text.split(['\n', '\r']).next().unwrap_or_default();
    let count = |c: char| header.matches(c).count();
    let delimiter = [',', ';', '\t'].into_iter().max_by_key(|&c| (count(c), c == ',')).unwrap_or(',');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter as u8)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let malformed = |e: csv::Error| {
        let line = e.position().map_or(1, csv::Position::line);
        let reason = match e.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("the row has {len} cells, the header {expected_len}")
            }
            other => format!("{other:?}"),
        };
        DataError::Malformed { path: path.into(), line, reason }
    };
    let header = reader.headers().map_err(malformed)?;
    if header.len() > MAX_COLUMNS {
        return Err(DataError::TooManyColumns { path: path.into(), found: header.len(), limit: MAX_COLUMNS });
    }
    let names: Vec<String> = header.iter().map(String::from).collect();
    let mut columns = vec![vec![]; names.len()];
    let mut lines = vec![];
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(malformed)? {
        lines.push(record.position().map_or(0, csv::Position::line));
        for (column, cell) in columns.iter_mut().zip(record.iter()) {
            column.push(cell.to_string());
        }
    }
    Ok(Table { path: path.into(), names, columns, lines })
}
