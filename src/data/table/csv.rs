//! Text tables, read block by block. What encoding, delimiter, comments and header a file has is found by looking,
//! unless the experiment says.

use std::path::Path;

use super::column::Column;
use super::look::{Looked, decode, encoding, is_header, known_text};
use super::records::{Dialect, Part, Problem, Record, Wrong};
use super::source::{Contents, Stream};
use super::spill::Spill;
use super::{HEADER_AND_ROWS, MAX_COLUMNS, Table};
use crate::base::parallel;
use crate::base::parallel::prelude::*;
use crate::base::text::Encoding;
use crate::data::DataError;
use crate::data::config::CsvConfig;

/// What is said of a file without names.
pub const NO_HEADER: &str = "there is no header line, so columns are called c1, c2, ...";

/// Bytes in which the first lines are looked for, and that are read at a time.
const BLOCK: usize = 1 << 24;

/// Pieces of a block that are read side by side. What is read depends on neither.
const PIECES: usize = 8;

/// Blocks that are in memory before their columns go to a file, if there is one.
const SPILLED: usize = 4;

/// Why a table cannot be read on.
enum Stop {
    /// For the user.
    Error(DataError),
    /// Some bytes are no UTF-8, so all are in another encoding.
    Encoding,
}

/// Reads the text of a table, which `again` reads once more if its encoding is not the expected one. `expected` are
/// column names that a header would hold.
///
/// # Errors
/// If it is not a table; the message gives file, line and column.
pub fn read(
    path: &Path,
    stream: Stream,
    again: &dyn Fn() -> Result<Contents, DataError>,
    csv: &CsvConfig,
    expected: &[&str],
    mut spill: Option<&mut Spill>,
) -> Result<Table, DataError> {
    let io = |e: std::io::Error| DataError::Io { path: path.into(), reason: e.to_string() };
    let reading = Reading::begin(path, stream, csv, vec![]);
    match reading.and_then(|reading| reading.finish(expected, spill.as_deref_mut())) {
        Ok(table) => return Ok(table),
        Err(Stop::Error(error)) => return Err(error),
        Err(Stop::Encoding) if spill.is_some() => {
            let reason = "this is not text in UTF-8, and other encodings are read in memory; save it as UTF-8, or \
                          set `data.memory.rows` = \"host\"";
            return Err(DataError::Io { path: path.into(), reason: reason.into() });
        }
        Err(Stop::Encoding) => {}
    }
    // Only all bytes tell their encoding, so they are read again.
    let bytes = match again()? {
        Contents::Text(stream) => stream.all().map_err(io)?,
        Contents::Json(bytes) => bytes,
        #[cfg(feature = "parquet")]
        Contents::Parquet => vec![],
    };
    let mut notes = vec![];
    let text = decode(path, &bytes, csv, &mut notes)?;
    drop(bytes);
    let csv = CsvConfig { encoding: Some("utf-8".into()), ..csv.clone() };
    let reading = Reading::begin(path, Stream::of(text), &csv, notes);
    reading.and_then(|reading| reading.finish(expected, None)).map_err(|stop| match stop {
        Stop::Error(error) => error,
        Stop::Encoding => DataError::NotText { path: path.into(), line: 1, encoding: "UTF-8" },
    })
}

/// A table while its text is read, block by block.
struct Reading<'a> {
    path: &'a Path,
    csv: &'a CsvConfig,
    stream: Stream,
    delimiter: char,
    dialect: Dialect,
    notes: Vec<String>,
    /// Lines before those in `stream`.
    line: u64,
}

impl<'a> Reading<'a> {
    /// Finds how a text is written.
    fn begin(
        path: &'a Path,
        mut stream: Stream,
        csv: &'a CsvConfig,
        mut notes: Vec<String>,
    ) -> Result<Self, Stop> {
        let io = |e: std::io::Error| Stop::Error(DataError::Io { path: path.into(), reason: e.to_string() });
        let named = csv.encoding.as_ref().and_then(|name| Encoding::for_label(name.as_bytes()));
        loop {
            stream.fill(BLOCK.max(stream.bytes.len())).map_err(io)?;
            if encoding(&stream.bytes, named).is_some_and(|found| found != Encoding::UTF_8) {
                return Err(Stop::Encoding);
            }
            let text = known_text(&stream.bytes, stream.ended).ok_or(Stop::Encoding)?;
            let looked = Looked::at(text, csv);
            if !(looked.complete || stream.ended) {
                continue;
            }
            if text.trim_ascii().is_empty() {
                return Err(Stop::Error(DataError::Empty { path: path.into(), expected: HEADER_AND_ROWS }));
            }
            if looked.comments > 0 {
                notes.push(format!("the first {} are comments", lines(looked.comments)));
            }
            let delimiter = looked.delimiter;
            notes.push(format!("cells are separated by {}", name_of(delimiter)));
            let comment = match csv.comment.as_ref().map(|c| c.as_bytes()) {
                Some(&[byte]) => Some(byte),
                _ => None,
            };
            let (start, line) = (looked.start, looked.skipped as u64);
            stream.bytes.drain(..start);
            let dialect = Dialect { delimiter: delimiter as u8, comment };
            return Ok(Self { path, csv, stream, delimiter, dialect, notes, line });
        }
    }

    /// Reads the cells, into a file if there is one.
    fn finish(mut self, expected: &[&str], spill: Option<&mut Spill>) -> Result<Table, Stop> {
        let (first, first_line) = self.first()?;
        let mut table = Table {
            path: self.path.into(),
            columns: vec![Column::default(); first.len()],
            delimiter: Some(self.delimiter),
            ..Table::default()
        };
        let head = Head { cells: first, line: first_line, expected, given: self.csv.header };
        let spills = spill.is_some();
        self.records(&mut table, &head, spill)?;
        head.apply(&mut table);
        let mut notes = self.notes;
        notes.append(&mut table.notes);
        table.notes = notes;
        if !spills {
            leave_out_row_numbers(&mut table);
        }
        Ok(table)
    }

    fn fill(&mut self, count: usize) -> Result<(), Stop> {
        let path = self.path;
        self.stream
            .fill(count)
            .map_err(|e| Stop::Error(DataError::Io { path: path.into(), reason: e.to_string() }))
    }

    /// The cells of the first record, and its line.
    fn first(&mut self) -> Result<(Vec<String>, u64), Stop> {
        while !self.stream.ended && self.dialect.cuts(&self.stream.bytes, 1).is_empty() {
            self.fill(self.stream.bytes.len())?;
        }
        let text = known_text(&self.stream.bytes, self.stream.ended).ok_or(Stop::Encoding)?;
        let path = self.path;
        let first = self.dialect.first(text, MAX_COLUMNS);
        let first = first.map_err(|wrong| self.malformed(&wrong, self.line + 1, 0))?;
        let Some(Record { cells, count, end, line }) = first else {
            return Err(Stop::Error(DataError::Empty { path: path.into(), expected: HEADER_AND_ROWS }));
        };
        if count > MAX_COLUMNS {
            let error = DataError::TooManyColumns { path: path.into(), found: count, limit: MAX_COLUMNS };
            return Err(Stop::Error(error));
        }
        let first_line = self.line + line + 1;
        self.line += text[..end].bytes().filter(|&b| b == b'\n').count() as u64;
        self.stream.bytes.drain(..end);
        Ok((cells, first_line))
    }

    /// Reads all records that follow.
    fn records(&mut self, table: &mut Table, head: &Head, mut spill: Option<&mut Spill>) -> Result<(), Stop> {
        let mut block = std::mem::take(&mut self.stream.bytes);
        // Two blocks take turns: an allocator that sees large ones come and go keeps more memory.
        let mut spare = vec![];
        let (mut used, mut size, mut blocks) = (0, BLOCK, 0);
        loop {
            let mut cuts = self.dialect.cuts(&block, PIECES);
            if self.stream.ended && cuts.last() != Some(&block.len()) {
                cuts.push(block.len());
            }
            let end = cuts.last().copied().unwrap_or(0);
            // A record longer than a block.
            size = if end == 0 { 2 * size } else { BLOCK };
            self.stream.bytes = std::mem::take(&mut spare);
            self.stream.bytes.clear();
            self.stream.bytes.extend_from_slice(&block[end..]);
            let more = size.saturating_sub(self.stream.bytes.len()).max(1);
            let ended = self.stream.ended;
            let columns: Vec<bool> = table.columns.iter().map(Column::is_texts).collect();
            let dialect = self.dialect;
            let (parts, filled) =
                parallel::join(|| pieces(&block, &cuts, dialect, &columns), || self.fill(more));
            for part in parts {
                self.append(table, part)?;
            }
            filled?;
            blocks += 1;
            if let Some(spill) = spill.as_deref_mut().filter(|_| ended || blocks % SPILLED == 0) {
                head.apply(table);
                spill.take(table).map_err(Stop::Error)?;
            }
            if ended {
                return Ok(());
            }
            if let (0, Some(size), 1..) = (used, self.stream.size, end) {
                let rows = table.lines.len() as f64 * (size as f64 / end as f64 - 1.0).max(0.0) * 1.01;
                if spill.is_none() {
                    table.columns.par_iter_mut().for_each(|column| column.reserve(rows as usize));
                }
                table.lines.reserve_exact(rows as usize);
            }
            used += end;
            spare = std::mem::replace(&mut block, std::mem::take(&mut self.stream.bytes));
        }
    }

    /// What to say of a record after line `before`, in a table of `columns`.
    fn malformed(&self, wrong: &Wrong, before: u64, columns: usize) -> Stop {
        let reason = match wrong.problem {
            Problem::Cells(cells) => format!(
                "the row has {cells} cells, the first line {columns}; quote cells that hold the delimiter, set \
                 `data.csv.comment` if the line is a comment, or remove it"
            ),
            Problem::Unclosed => "a cell begins with a quote that is never closed, so that all lines after it would be \
                                  part of this cell; close it, or write `\"\"\"` where a cell begins with a quote"
                .into(),
            Problem::Stray => "a cell begins with a quote, and the next quote, some lines later, stands before other text, so \
                               that the lines between would be part of this cell; write `\"\"\"` where a cell begins with a \
                               quote"
                .into(),
        };
        Stop::Error(DataError::Malformed { path: self.path.into(), line: before + wrong.line, reason })
    }

    fn append(&mut self, table: &mut Table, part: Result<Part, PieceError>) -> Result<(), Stop> {
        let before = self.line + 1;
        let Part { columns, lines, ends } = part.map_err(|error| match error {
            PieceError::Encoding => Stop::Encoding,
            PieceError::Wrong(wrong) => self.malformed(&wrong, before, table.columns.len()),
        })?;
        table.lines.extend(lines.iter().map(|line| before + line));
        table.columns.par_iter_mut().zip(columns).for_each(|(column, more)| column.append(more));
        self.line += ends;
        Ok(())
    }
}

/// The first record, which names the columns or is a row.
struct Head<'a> {
    cells: Vec<String>,
    line: u64,
    expected: &'a [&'a str],
    given: Option<bool>,
}

impl Head<'_> {
    /// Names the columns of a table, if they are not yet.
    fn apply(&self, table: &mut Table) {
        if !table.names.is_empty() {
            return;
        }
        if self.given.unwrap_or_else(|| is_header(&self.cells, &table.columns, self.expected)) {
            table.names.clone_from(&self.cells);
            return;
        }
        table.notes.push(NO_HEADER.into());
        let columns =
            std::mem::take(&mut table.columns).into_par_iter().zip(&self.cells).map(|(column, cell)| {
                let mut all: Column = [cell].into_iter().collect();
                all.append(column);
                all
            });
        table.columns = columns.collect();
        table.lines.insert(0, self.line);
        table.names = (1..=table.columns.len()).map(|number| format!("c{number}")).collect();
    }
}

enum PieceError {
    Encoding,
    Wrong(Wrong),
}

/// Reads the records between cuts, side by side. `texts` says which columns are known to be texts.
fn pieces(block: &[u8], cuts: &[usize], dialect: Dialect, texts: &[bool]) -> Vec<Result<Part, PieceError>> {
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ranges: Vec<(usize, usize)> = starts.zip(cuts.iter().copied()).collect();
    let read = |(start, end): (usize, usize)| {
        let text = std::str::from_utf8(&block[start..end]).map_err(|_| PieceError::Encoding)?;
        let column = |&texts: &bool| if texts { Column::of_texts() } else { Column::default() };
        dialect.read(text, texts.iter().map(column).collect()).map_err(PieceError::Wrong)
    };
    ranges.into_par_iter().map(read).collect()
}

fn lines(count: usize) -> String {
    if count == 1 { "line".into() } else { format!("{count} lines") }
}

fn name_of(delimiter: char) -> String {
    match delimiter {
        ',' => "commas".into(),
        ';' => "semicolons".into(),
        '\t' => "tabs".into(),
        other => format!("`{other}`"),
    }
}

/// Leaves out an unnamed first column that counts rows, as data frames are often saved with one.
fn leave_out_row_numbers(table: &mut Table) {
    if table.names.len() < 2 || !table.names[0].is_empty() {
        return;
    }
    if counts_rows(&table.columns[0]) {
        leave_out_first(table);
    }
}

/// Whether the cells of a column are numbers of which each is one more than the one before.
pub fn counts_rows(column: &Column) -> bool {
    let number = column.numbers();
    let pairs = (0..column.len()).map(|row| (number(row), row.checked_sub(1).and_then(&number)));
    pairs
        .enumerate()
        .all(|(row, (own, before))| own.is_some() && (row == 0 || own == before.map(|x| x + 1.0)))
}

/// Leaves out the first column, which counts rows; its cells may be in a file.
pub fn leave_out_first(table: &mut Table) {
    table.names.remove(0);
    table.columns.remove(0);
    table.notes.push("the unnamed first column counts rows and is left out".into());
}
