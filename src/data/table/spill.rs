//! The columns of a table that is larger than memory, in a file of their own, one after the other in parts.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{Column, Table};
use crate::data::DataError;

/// A file of columns. It has no name, and is gone when it is closed.
#[derive(Debug)]
pub struct Spill {
    file: File,
    folder: PathBuf,
    end: u64,
    /// Where the parts of each column begin, and their bytes.
    parts: Vec<Vec<(u64, usize)>>,
    /// Names of the columns of the first file.
    names: Vec<String>,
}

impl Spill {
    /// A file in this folder.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(folder: &Path) -> Result<Self, DataError> {
        let made = tempfile::tempfile_in(folder);
        let file = made.map_err(|e| failed(folder, &e))?;
        Ok(Self { file, folder: folder.into(), end: 0, parts: vec![], names: vec![] })
    }

    /// Moves the cells of a table to the file: those of a part of it, whose columns are named.
    ///
    /// # Errors
    /// If the disk is full or fails, or the columns are not those of the parts before it.
    pub fn take(&mut self, table: &mut Table) -> Result<(), DataError> {
        if self.parts.is_empty() {
            self.parts = vec![vec![]; table.columns.len()];
            self.names.clone_from(&table.names);
        }
        if self.names != table.names {
            let reason = "its columns are not those of the file before it, in the same order; tables that are read \
                          from disk must have the same columns";
            return Err(DataError::Malformed { path: table.path.clone(), line: 1, reason: reason.into() });
        }
        let mut bytes = vec![];
        for (column, parts) in table.columns.iter_mut().zip(&mut self.parts) {
            bytes.clear();
            std::mem::take(column).write(&mut bytes);
            self.file.write_all(&bytes).map_err(|e| failed(&self.folder, &e))?;
            parts.push((self.end, bytes.len()));
            self.end += bytes.len() as u64;
        }
        Ok(())
    }

    /// Forgets the first column.
    pub(super) fn leave_out_first(&mut self) {
        self.parts.remove(0);
    }

    /// Reads all cells of a column.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn column(&mut self, at: usize) -> Result<Column, DataError> {
        let mut column = Column::default();
        for &(start, count) in &self.parts[at] {
            let mut bytes = vec![0; count];
            let read = self.file.seek(SeekFrom::Start(start)).and_then(|_| self.file.read_exact(&mut bytes));
            read.map_err(|e| failed(&self.folder, &e))?;
            let damaged = io::Error::new(io::ErrorKind::InvalidData, "the file of columns was changed");
            column.append(Column::of_bytes(&bytes).ok_or_else(|| failed(&self.folder, &damaged))?);
        }
        Ok(column)
    }
}

/// The error of a file in a folder that others cannot see.
fn failed(folder: &Path, error: &io::Error) -> DataError {
    let reason = format!("the file of columns, which is kept here (`data.memory.scratch`): {error}");
    DataError::Io { path: folder.into(), reason }
}
