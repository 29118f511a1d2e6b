//! Reads the tables of an experiment: the first finds how columns are written, others are read alike.

use std::collections::BTreeMap;
use std::path::Path;

use super::config::{ColumnKind, CsvConfig, DataConfig, ReshapeConfig, Targets};
use super::fitted::Fitted;
use super::formats::{self, Formats};
use super::table::Table;
use super::{DataError, derive, is_target};

/// Reads the table that an experiment trains on, and finds how its columns are written.
///
/// # Errors
/// If it cannot be read, or a column can be read in two ways.
pub fn first(path: &Path, config: &DataConfig) -> Result<(Table, Formats), DataError> {
    let features = config.features.iter().flatten();
    let text = config.text.as_ref().and_then(|text| text.column.as_ref());
    let named = config
        .target
        .iter()
        .flat_map(Targets::names)
        .chain(&config.weight)
        .chain(features)
        .chain(&config.exclude)
        .chain(text)
        .chain(config.types.keys());
    let mut table = Table::read(path, &config.csv, &named.map(String::as_str).collect::<Vec<_>>())?;
    formats::clear_missing(&mut table, &config.csv);
    // The texts of rows are read as they are, even if all of them look like numbers or dates.
    let mut types = config.types.clone();
    types.extend(text.map(|column| (column.clone(), ColumnKind::Category)));
    let formats = formats::find(&table, &types, &config.csv, &|name| is_unused(config, name))?;
    formats::apply(&mut table, &formats)?;
    Ok((finish(table, &config.derive, config.reshape.as_ref())?, formats))
}

/// Whether a column is neither a feature nor a target.
pub(super) fn is_unused(config: &DataConfig, name: &str) -> bool {
    let named = |names: &[String]| names.iter().any(|n| n == name);
    (named(&config.exclude) || config.features.as_ref().is_some_and(|features| !named(features)))
        && !is_target(config, name)
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
        self.finish(Table::read(path, self.csv, expected)?)
    }

    /// A table that was read, with its cells as later stages read them.
    fn finish(&self, mut table: Table) -> Result<Table, DataError> {
        formats::clear_missing(&mut table, self.csv);
        formats::apply(&mut table, self.formats)?;
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

/// Some rows for a model to try, evenly chosen from a table and as they are written: the names of the columns without
/// the targets and what is `excluded`, and the rows.
///
/// # Errors
/// If it cannot be read.
pub fn examples(
    fitted: &Fitted,
    path: &Path,
    count: usize,
    excluded: &[String],
) -> Result<Vec<Vec<String>>, DataError> {
    let table = as_written(fitted, path)?;
    let targets = fitted.target.columns();
    let is_read = |name: &String| !targets.contains(&name.as_str()) && !excluded.contains(name);
    let kept: Vec<usize> = (0..table.names.len()).filter(|&at| is_read(&table.names[at])).collect();
    let rows = table.lines.len();
    let count = count.min(rows);
    let names = kept.iter().map(|&at| table.names[at].clone()).collect();
    let row = |at: usize| {
        let row = at * rows / count;
        kept.iter().map(|&column| table.cell(column, row).into_owned()).collect()
    };
    Ok(std::iter::once(names).chain((0..count).map(row)).collect())
}

/// Reads a table for a model.
///
/// # Errors
/// If it cannot be read.
pub fn alike(fitted: &Fitted, path: &Path) -> Result<Table, DataError> {
    of_run(fitted).read(path, &expected(fitted))
}

/// Reads rows in memory for a model; messages call them `name`.
///
/// # Errors
/// If they are no table.
pub fn alike_in_memory(fitted: &Fitted, name: &Path, rows: RowsInMemory) -> Result<Table, DataError> {
    let table = match rows {
        RowsInMemory::Text(bytes) => Table::of_bytes(name, bytes, &fitted.csv, &expected(fitted))?,
        RowsInMemory::Objects(rows) => Table::of_objects(name, rows)?,
    };
    of_run(fitted).finish(table)
}

/// How tables are read for a model.
fn of_run(fitted: &Fitted) -> Alike<'_> {
    let Fitted { csv, formats, derive, reshape, .. } = fitted;
    Alike { csv, formats, derive, reshape: reshape.as_ref() }
}

/// Rows that are in memory.
#[derive(Clone, Copy, Debug)]
pub enum RowsInMemory<'a> {
    /// A text table, or JSON, as a file would hold it.
    Text(&'a [u8]),
    /// JSON objects, one for each row.
    Objects(&'a [serde_json::Value]),
}

/// Column names that a header would hold.
fn expected(fitted: &Fitted) -> Vec<&str> {
    let ids = fitted
        .graph
        .iter()
        .map(|graph| &graph.id)
        .chain(fitted.graphs.iter().map(|graphs| &graphs.config.id));
    let id = ids.filter_map(Option::as_deref);
    let columns = fitted.columns.iter().map(|column| column.name.as_str());
    let text = fitted.documents.iter().filter_map(|documents| documents.column.as_deref());
    columns.chain(fitted.target.name()).chain(id).chain(text).collect()
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
