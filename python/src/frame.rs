//! Frames of Python as a table of the library. Their memory is read where it lies: NumPy's through the buffer protocol,
//! Arrow's through its C interface. What is made are the table's own cells, once.

use std::collections::BTreeSet;

use gridlight::base::names::normal;
use gridlight::data::config::ColumnKind;
use gridlight::data::table::{MAX_COLUMNS, Table};
use gridlight::experiment::Experiment;
use pyo3::prelude::*;
use sha2::{Digest, Sha256};

use crate::cells::{Cells, Unread};
use crate::failure::{Failure, input};
use crate::{arrow, buffers};

/// A frame whose columns were read.
#[pyclass(module = "gridlight._gridlight")]
#[derive(Default)]
pub struct Frame {
    table: Table,
    hash: Sha256,
    /// Columns of texts, whatever these look like.
    texts: BTreeSet<String>,
    has_markers: bool,
    notes: Vec<String>,
    /// `None` before the first column.
    rows: Option<usize>,
}

/// What a column holds, as far as its cells do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Cells tell.
    Plain,
    /// Texts, which are names even if they look like numbers or dates.
    Text,
    /// Instants, in UTC.
    Instant,
}

impl Frame {
    /// Adds a column, or why it is not read.
    ///
    /// # Errors
    /// If it has not as many rows as those before.
    pub fn add(&mut self, name: &str, rows: usize, read: Result<(Kind, Cells), Unread>) -> PyResult<()> {
        let name = &*normal(name);
        if self.table.names.len() == MAX_COLUMNS {
            return Err(input(format!("frame: at most {MAX_COLUMNS} columns are supported")));
        }
        let before = *self.rows.get_or_insert(rows);
        if before != rows {
            let reason = format!(
                "column `{name}` has {rows} values and the columns before it have {before}; give as many for each"
            );
            return Err(input(reason));
        }
        let (kind, cells) = match read {
            Ok(read) => read,
            Err(why) => {
                self.table.unread.push((name.into(), why));
                return Ok(());
            }
        };
        self.hash.update((name.len() as u64).to_le_bytes());
        self.hash.update(name);
        self.hash.update([kind as u8]);
        self.hash.update(cells.digest());
        if cells.empty_texts > 0 {
            self.notes.push(format!(
                "column `{name}`: empty texts, {} of them, are read as missing",
                cells.empty_texts
            ));
        }
        let at = self.table.names.len();
        if kind != Kind::Text {
            self.table.typed.insert(at);
        }
        match kind {
            Kind::Plain => {}
            Kind::Text => {
                self.texts.insert(name.into());
                self.has_markers |= cells.has_markers;
            }
            Kind::Instant => {
                self.table.utc.push(at);
                self.notes.push(format!("column `{name}`: times with a zone are read in UTC"));
            }
        }
        self.table.names.push(name.into());
        self.table.columns.push(cells.column);
        Ok(())
    }

    /// The table and its digest. The frame is empty afterwards.
    pub fn take(&mut self) -> (Table, String) {
        let digest = std::mem::take(&mut self.hash).finalize();
        let mut table = std::mem::take(&mut self.table);
        // Counted as frames are: from 0.
        table.lines = (0..self.rows.take().unwrap_or(0) as u64).collect();
        (table, digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Refuses columns that a model would read and that hold no cells, and changes the experiment as [`Frame::adapt`].
    ///
    /// # Errors
    /// If there is such a column, and the experiment does not say that it is left out.
    pub fn prepare(&mut self, experiment: &mut Experiment) -> Result<(), Failure> {
        let config = &experiment.data;
        let all = config.features.is_none() && config.text.as_ref().is_none_or(|text| text.column.is_none());
        let refused = self.table.unread.iter().find(|(name, _)| all && !config.exclude.contains(name));
        if let Some((name, why)) = refused {
            let reason =
                format!("column `{name}`: {why}; or leave it out, with `data.exclude` or `data.features`");
            return Err(Failure::Input(reason));
        }
        self.adapt(experiment);
        Ok(())
    }

    /// Changes an experiment so that cells are what they were in the frame: texts are names. Whatever they look like, they
    /// are not read as dates or numbers, unless the experiment needs them as such.
    pub fn adapt(&mut self, experiment: &mut Experiment) {
        let config = &mut experiment.data;
        // There is nothing to leave out: they were not read.
        config.exclude.retain(|name| self.table.unread.iter().all(|(unread, _)| unread != name));
        let targets = config.target.iter().flat_map(|target| target.names().to_vec()).collect::<Vec<_>>();
        let is_read = |name: &String| {
            let named = targets.contains(name) || config.features.as_ref().is_some_and(|f| f.contains(name));
            named || config.features.is_none() && !config.exclude.contains(name)
        };
        // Whose cells have another meaning, as the experiment says.
        let window = config.window.as_ref();
        let times = window.and_then(|window| window.time.as_ref()).into_iter().chain(config.split.column());
        let times: Vec<String> = times.chain(config.weight.as_ref()).cloned().collect();
        let names: Vec<String> =
            self.texts.iter().filter(|name| is_read(name) && !times.contains(name)).cloned().collect();
        if config.reshape.is_none() {
            let given = &config.types;
            let is_text = |name: &String| {
                self.texts.contains(name) && !times.contains(name) && !given.contains_key(name)
            };
            let at = self.table.names.iter().enumerate().filter(|(_, name)| is_text(name)).map(|(at, _)| at);
            self.table.typed.extend(at);
            for name in names {
                config.types.entry(name).or_insert(ColumnKind::Category);
            }
        }
        // In a frame, what is missing is missing, and "NA" is a text.
        config.csv.default_missing &= !self.has_markers;
    }
}

#[pymethods]
impl Frame {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Adds all columns of an Arrow stream, the capsule that `__arrow_c_stream__` returns; returns the number of rows.
    fn arrow(&mut self, stream: &Bound<'_, PyAny>) -> PyResult<usize> {
        arrow::read(self, stream)
    }

    /// Adds the columns of an array with two dimensions.
    fn matrix(&mut self, names: Vec<String>, array: &Bound<'_, PyAny>) -> PyResult<()> {
        buffers::matrix(self, &names, array)
    }

    /// Adds a column of numbers, those missing that a mask of bytes says.
    #[pyo3(signature = (name, array, mask=None))]
    fn numbers(
        &mut self,
        name: &str,
        array: &Bound<'_, PyAny>,
        mask: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        buffers::numbers(self, name, array, mask)
    }

    /// Adds a column of bytes that are 0 or 1, those missing that a mask says.
    #[pyo3(signature = (name, array, mask=None))]
    fn booleans(
        &mut self,
        name: &str,
        array: &Bound<'_, PyAny>,
        mask: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        buffers::booleans(self, name, array, mask)
    }

    /// Adds a column of times: so many nanoseconds each, times a whole number since 1970; the smallest number is missing.
    fn times(
        &mut self,
        name: &str,
        array: &Bound<'_, PyAny>,
        nanoseconds: i64,
        instants: bool,
    ) -> PyResult<()> {
        buffers::times(self, name, array, nanoseconds, instants)
    }

    /// Adds a column of texts, `None` where one is missing.
    fn texts(&mut self, name: &str, texts: &Bound<'_, PyAny>) -> PyResult<()> {
        buffers::texts(self, name, texts)
    }

    /// Adds a column of Python's numbers, booleans, times or `None`, one kind of them.
    fn objects(&mut self, name: &str, values: &Bound<'_, PyAny>) -> PyResult<()> {
        buffers::objects(self, name, values)
    }

    /// Adds a column of names by their numbers, -1 where one is missing.
    fn coded(&mut self, name: &str, codes: &Bound<'_, PyAny>, names: Vec<String>) -> PyResult<()> {
        buffers::coded(self, name, codes, &names)
    }

    /// What there is to know of how it was read.
    fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Says why a column is not read; it must not be used then.
    fn unread(&mut self, name: &str, rows: usize, why: String) -> PyResult<()> {
        self.add(name, rows, Err(why))
    }
}
