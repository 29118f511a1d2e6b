//! Columns of a file as they are written there, to stand beside predictions.

use std::path::Path;

use super::fitted::Fitted;
use super::table::Table;
use super::{DataError, read};
use crate::base::names::normal;

/// Some columns of a table, with the texts of their cells.
#[derive(Clone, Debug)]
pub struct Kept {
    table: Table,
    /// Positions of the columns.
    columns: Vec<usize>,
}

impl Kept {
    /// Reads a table like the one that a model was trained on, and keeps the columns whose names `wanted`
    /// lists, separated by commas, or all. Markers of missing values and units stay as they are written.
    ///
    /// # Errors
    /// If the rows are not those of a table, or there is no such column.
    pub fn read(fitted: &Fitted, path: &Path, wanted: Option<&str>) -> Result<Self, DataError> {
        if let Some(reason) = without_rows(fitted) {
            return Err(DataError::Io { path: path.into(), reason: format!("--keep {reason}") });
        }
        let table = read::as_written(fitted, path)?;
        let columns = match wanted {
            None => (0..table.names.len()).collect(),
            Some(wanted) => named(&table, &normal(wanted))?,
        };
        Ok(Self { table, columns })
    }

    /// Names of the columns.
    pub fn titles(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|&column| self.table.names[column].as_str())
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.table.lines.len()
    }

    /// The cells of a row.
    pub fn cells(&self, row: usize) -> Vec<String> {
        let cell = |&column: &usize| {
            let cell = self.table.cell(column, row);
            // Without its offset, an instant would be a time of any place.
            match self.table.utc.contains(&column) && !cell.is_empty() {
                true => format!("{cell}Z"),
                false => cell.into_owned(),
            }
        };
        self.columns.iter().map(cell).collect()
    }
}

/// Why a model predicts no rows of a table, if it does not.
fn without_rows(fitted: &Fitted) -> Option<&'static str> {
    let pieces = fitted.documents.as_ref().is_some_and(|documents| documents.column.is_none());
    if fitted.target.text().is_some() || pieces {
        return Some("is for the columns of a table; a text has none");
    }
    if fitted.image.as_ref().is_some_and(|image| image.columns.is_empty()) {
        return Some("is for the columns of a table; predictions of pictures name the files without it");
    }
    if fitted.window.is_some() {
        return Some(
            "is for tables whose rows are predicted one by one; forecasts of series are of several rows, and \
             name the series and the time without it",
        );
    }
    let reason = "is for tables whose rows are predicted one by one; [data.reshape] made these of several";
    fitted.reshape.as_ref().map(|_| reason)
}

/// The columns of a list of names; a name may hold commas if it stands alone.
fn named(table: &Table, wanted: &str) -> Result<Vec<usize>, DataError> {
    if let Ok(column) = table.find(wanted) {
        return Ok(vec![column]);
    }
    if wanted.split(',').any(|name| name.trim().is_empty()) {
        let reason = "--keep names a column without a name; list columns as in --keep id,street, or give --keep \
                      alone to keep all";
        return Err(DataError::Io { path: table.path.clone(), reason: reason.into() });
    }
    let mut columns = vec![];
    for name in wanted.split(',').map(str::trim) {
        let column = table.find(name)?;
        if columns.contains(&column) {
            let reason = format!("--keep names the column `{name}` twice; leave one out");
            return Err(DataError::Io { path: table.path.clone(), reason });
        }
        columns.push(column);
    }
    Ok(columns)
}
