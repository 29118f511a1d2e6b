//! Reads the tables of an experiment: the first finds how columns are written, others are read alike.

use std::collections::BTreeMap;
use std::path::Path;

use super::config::{CsvConfig, DataConfig, ReshapeConfig, Targets};
use super::fitted::Fitted;
use super::formats::{self, Formats};
use super::table::Table;
use super::{DataError, derive};

/// Reads the table that an experiment trains on, and finds how its columns are written.
///
/// # Errors
/// If it cannot be read, or a column can be read in two ways.
pub fn first(path: &Path, config: &DataConfig) -> Result<(Table, Formats), DataError> {
    let features = config.features.iter().flatten();
    let named = config
        .target
        .iter()
        .flat_map(Targets::names)
        .chain(&config.weight)
        .chain(features)
        .chain(&config.exclude)
        .chain(config.types.keys());
    let mut table = Table::read(path, &config.csv, &named.map(String::as_str).collect::<Vec<_>>())?;
    formats::clear_missing(&mut table, &config.csv);
    let formats = formats::find(&table, &config.types, &config.csv)?;
    formats::apply(&mut table, &formats);
    Ok((finish(table, &config.derive, config.reshape.as_ref())?, formats))
}

/// How other files are read like the first.
pub struct Alike<'a> {
    /// How their text is written.
    pub csv: &'a CsvConfig,
    /// How their columns are written.
    pub formats: &'a Formats,
    /// Columns computed from others.
    pub derive: &'a BTreeMap<String, String>,
    /// How rows are reshaped.
    pub reshape: Option<&'a ReshapeConfig>,
}

impl Alike<'_> {
    /// Reads a table; `expected` are column names that a header would hold.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(&self, path: &Path, expected: &[&str]) -> Result<Table, DataError> {
        let mut table = Table::read(path, self.csv, expected)?;
        formats::clear_missing(&mut table, self.csv);
        formats::apply(&mut table, self.formats);
        finish(table, self.derive, self.reshape)
    }
}

/// Reads a table for a model as it is written: markers of missing values, units and dates stay in its cells.
///
/// # Errors
/// If it cannot be read.
pub fn as_written(fitted: &Fitted, path: &Path) -> Result<Table, DataError> {
    Table::read(path, &fitted.csv, &expected(fitted))
}

/// Reads a table for a model.
///
/// # Errors
/// If it cannot be read.
pub fn alike(fitted: &Fitted, path: &Path) -> Result<Table, DataError> {
    let Fitted { csv, formats, derive, reshape, .. } = fitted;
    let reading = Alike { csv, formats, derive, reshape: reshape.as_ref() };
    reading.read(path, &expected(fitted))
}

/// Column names that a header would hold.
fn expected(fitted: &Fitted) -> Vec<&str> {
    fitted.columns.iter().map(|column| column.name.as_str()).chain(fitted.target.name()).collect()
}

/// Adds the derived columns, and reshapes the rows.
fn finish(
    mut table: Table,
    derive: &BTreeMap<String, String>,
    reshape: Option<&ReshapeConfig>,
) -> Result<Table, DataError> {
    derive::add_columns(&mut table, derive)?;
    if let Some(reshape) = reshape {
        table = reshape.apply(&table)?;
    }
    table.settle();
    Ok(table)
}
