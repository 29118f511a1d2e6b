//! The columns of a table in a file, of which few are in memory at a time.

use std::path::Path;
use std::sync::OnceLock;

use super::super::config::{ColumnKind, DataConfig, Targets};
use super::super::formats::{self, Formats};
use super::super::read::is_unused;
use super::super::table::{Spill, Table};
use super::super::{DataError, fit};

/// A table whose cells are in a file.
pub struct Columns<'a> {
    config: &'a DataConfig,
    /// The table, without cells.
    pub head: Table,
    spill: Spill,
    /// How columns are written.
    pub formats: Formats,
    /// The types that are known by now.
    kinds: Vec<Option<ColumnKind>>,
}

impl<'a> Columns<'a> {
    /// Reads a table into a file in `folder`, and finds how its columns are written.
    ///
    /// # Errors
    /// If it cannot be read, or a column can be read in two ways.
    pub fn read(path: &Path, config: &'a DataConfig, folder: &Path) -> Result<Self, DataError> {
        let features = config.features.iter().flatten();
        let targets = config.target.iter().flat_map(Targets::names);
        let named =
            targets.chain(&config.weight).chain(features).chain(&config.exclude).chain(config.types.keys());
        let named: Vec<&str> = named.map(String::as_str).collect();
        let mut spill = Spill::create(folder)?;
        let mut head = Table::spilled(path, &config.csv, &named, &mut spill)?;
        head.lines.shrink_to_fit();
        let kinds = vec![None; head.names.len()];
        let mut columns = Self { config, head, spill, formats: Formats::new(), kinds };
        let (mut looked, mut missing) = (vec![], std::collections::BTreeMap::new());
        for at in 0..columns.head.names.len() {
            let mut table = columns.part(&[at])?;
            for (marker, count) in formats::emptied(&mut table, &config.csv) {
                *missing.entry(marker).or_default() += count;
            }
            looked.push((table.names[0].clone(), formats::look(&table, 0, &config.types, &config.csv)));
            columns.put_back(table, &[at]);
        }
        formats::note_missing(&mut columns.head.notes, &missing);
        columns.formats =
            formats::choose(looked.into_iter(), &config.csv, columns.head.delimiter, &|name| {
                is_unused(config, name)
            })?;
        Ok(columns)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.head.lines.len()
    }

    /// Some columns as they are written, with the lines of all rows.
    fn part(&mut self, at: &[usize]) -> Result<Table, DataError> {
        let mut table = Table {
            path: self.head.path.clone(),
            names: at.iter().map(|&at| self.head.names[at].clone()).collect(),
            notes: self.head.notes.clone(),
            delimiter: self.head.delimiter,
            utc: (0..at.len()).filter(|&own| self.head.utc.contains(&at[own])).collect(),
            unread: self.head.unread.clone(),
            ..Table::default()
        };
        for &at in at {
            table.columns.push(self.spill.column(at)?);
        }
        table.lines = std::mem::take(&mut self.head.lines);
        Ok(table)
    }

    fn put_back(&mut self, table: Table, at: &[usize]) {
        self.head.lines = table.lines;
        for (&at, kind) in at.iter().zip(&table.kinds) {
            self.kinds[at] = kind.get().copied();
        }
    }

    /// What `f` makes of a table of these columns alone, in this order.
    ///
    /// # Errors
    /// If the file of columns cannot be read, or `f` fails.
    pub fn with<T>(
        &mut self,
        at: &[usize],
        f: impl FnOnce(&Table) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        let mut table = self.part(at)?;
        formats::emptied(&mut table, &self.config.csv);
        formats::apply(&mut table, &self.formats)?;
        let known = |&at: &usize| self.kinds[at].map_or_else(OnceLock::new, OnceLock::from);
        table.kinds = at.iter().map(known).collect();
        let result = f(&table);
        self.put_back(table, at);
        result
    }

    /// Whether rows without a value in a feature are left out.
    pub fn drops(&mut self, at: usize) -> Result<bool, DataError> {
        let config = self.config;
        self.with(&[at], |table| Ok(*fit::column_fill(config, table, 0) == super::super::config::Fill::Drop))
    }
}
