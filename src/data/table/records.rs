//! Cuts delimited text into records and cells, with the rules of the `csv` crate: quotes count at the start of a cell
//! alone, `""` inside is a quote, records end with any of the usual line ends, and lines without cells are skipped.

use std::borrow::Cow;

use super::column::Column;
use super::written::Written;

/// What separates cells, and begins comments.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// Separates cells.
    pub delimiter: u8,
    /// Begins a line that is skipped.
    pub comment: Option<u8>,
}

/// The cells of some records.
#[derive(Debug, Default)]
pub struct Part {
    /// Columns.
    pub columns: Vec<Column>,
    /// The line of each record, counted from 0.
    pub lines: Vec<u64>,
    /// Line ends.
    pub ends: u64,
}

/// A record by itself.
#[derive(Debug, PartialEq)]
pub struct Record {
    /// Its cells.
    pub cells: Vec<String>,
    /// Number of cells.
    pub count: usize,
    /// Where it ends.
    pub end: usize,
    /// Its line, counted from 0.
    pub line: u64,
}

/// A record that is none.
#[derive(Debug, PartialEq)]
pub struct Wrong {
    /// Its line, counted from 0; of a quote that is never closed, the one that it is in.
    pub line: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a record.
#[derive(Debug, PartialEq)]
pub enum Problem {
    /// It has another number of cells: this one.
    Cells(usize),
    /// A quote begins a cell and the rest of the text, since none closes it.
    Unclosed,
    /// A quote begins a cell of several lines, and text follows the one that closes it: most likely, each stands for itself.
    Stray,
}

impl Dialect {
    /// Whether a byte ends a cell.
    fn ends_cell(self, byte: u8) -> bool {
        byte == self.delimiter || byte == b'\n' || byte == b'\r'
    }

    /// Passes lines without cells and comments. True if a record begins at `at`.
    fn find_record(self, bytes: &[u8], at: &mut usize, line: &mut u64) -> bool {
        while let Some(&byte) = bytes.get(*at) {
            match byte {
                b'\n' => *line += 1,
                b'\r' => {}
                _ if self.comment == Some(byte) => {
                    let end = bytes[*at..].iter().position(|&b| b == b'\n');
                    *line += u64::from(end.is_some());
                    *at = end.map_or(bytes.len() - 1, |end| *at + end);
                }
                _ => return true,
            }
            *at += 1;
        }
        false
    }

    /// The cell that begins at `at`, which is then where it ends.
    ///
    /// # Errors
    /// If a quote begins it that is never closed, or closed within a later line's text.
    fn cell<'t>(self, text: &'t str, at: &mut usize, line: &mut u64) -> Result<Cow<'t, str>, Wrong> {
        let bytes = text.as_bytes();
        let end_from = |from: usize| {
            bytes[from..].iter().position(|&b| self.ends_cell(b)).map_or(bytes.len(), |end| from + end)
        };
        if bytes.get(*at) != Some(&b'"') {
            let end = end_from(*at);
            let cell = &text[*at..end];
            *at = end;
            return Ok(cell.trim().into());
        }
        let start = *at + 1;
        let quote =
            |from: usize| bytes[from..].iter().position(|&b| b == b'"').map_or(bytes.len(), |end| from + end);
        let mut close = quote(start);
        let mut cell = Cow::Borrowed(&text[start..close]);
        while bytes.get(close + 1) == Some(&b'"') {
            let next = quote(close + 2);
            cell.to_mut().push_str(&text[close + 1..next]);
            close = next;
        }
        if close == bytes.len() {
            return Err(Wrong { line: *line, problem: Problem::Unclosed });
        }
        let lines = cell.bytes().filter(|&b| b == b'\n').count() as u64;
        let after = close + 1;
        *at = end_from(after);
        if lines > 0 && !text[after..*at].trim().is_empty() {
            return Err(Wrong { line: *line, problem: Problem::Stray });
        }
        *line += lines;
        if *at > after {
            cell.to_mut().push_str(&text[after..*at]);
        }
        Ok(match cell {
            Cow::Borrowed(cell) => cell.trim().into(),
            Cow::Owned(cell) => cell.trim().to_string().into(),
        })
    }

    /// The first record, if there is one; no more than `most` of its cells are kept.
    ///
    /// # Errors
    /// If a quote in it is never closed.
    pub fn first(self, text: &str, most: usize) -> Result<Option<Record>, Wrong> {
        let (mut end, mut at_line) = (0, 0);
        if !self.find_record(text.as_bytes(), &mut end, &mut at_line) {
            return Ok(None);
        }
        let mut record = Record { cells: vec![], count: 0, end, line: at_line };
        loop {
            let cell = self.cell(text, &mut end, &mut at_line)?;
            if record.count < most {
                record.cells.push(cell.into_owned());
            }
            record.count += 1;
            if text.as_bytes().get(end) != Some(&self.delimiter) {
                return Ok(Some(Record { end, ..record }));
            }
            end += 1;
        }
    }

    /// Reads records into `columns`, which are empty.
    ///
    /// # Errors
    /// If a record does not have as many cells, or a quote is never closed.
    pub fn read(self, text: &str, mut columns: Vec<Column>) -> Result<Part, Wrong> {
        let bytes = text.as_bytes();
        // Where numbers may hold the delimiter, they are no shorter way to their end.
        let fast = !matches!(self.delimiter, b'.' | b'-');
        let (mut at, mut line, mut lines) = (0, 0, vec![]);
        while self.find_record(bytes, &mut at, &mut line) {
            lines.push(line);
            let mut cells = 0;
            loop {
                let number = if fast { Written::scan(&bytes[at..]) } else { None };
                let ends = |length: usize| bytes.get(at + length).is_none_or(|&b| self.ends_cell(b));
                if let Some((number, length)) = number.filter(|(_, length)| ends(*length)) {
                    if let Some(column) = columns.get_mut(cells) {
                        column.push_written(number);
                    }
                    at += length;
                } else {
                    let cell = self.cell(text, &mut at, &mut line)?;
                    if let Some(column) = columns.get_mut(cells) {
                        column.push(&cell);
                    }
                }
                cells += 1;
                if bytes.get(at) != Some(&self.delimiter) {
                    break;
                }
                at += 1;
            }
            if cells != columns.len() {
                let line = lines.last().copied().unwrap_or(0);
                return Err(Wrong { line, problem: Problem::Cells(cells) });
            }
        }
        Ok(Part { columns, lines, ends: line })
    }

    /// Where to cut `bytes`, which begin with a record, into about `count` pieces of whole records: the ends of the
    /// pieces, the last one being the end of the last record that is known to be complete. Empty if none is.
    pub fn cuts(self, bytes: &[u8], count: usize) -> Vec<usize> {
        let step = bytes.len() / count.max(1) + 1;
        if !bytes.contains(&b'"') {
            let Some(last) = bytes.iter().rposition(|&b| b == b'\n') else { return vec![] };
            let mut ends = vec![];
            while ends.last().is_none_or(|&end| end <= last) {
                let from = (ends.last().map_or(0, |&end: &usize| end) + step).min(last);
                let length = bytes[from..].iter().position(|&b| b == b'\n').unwrap_or(0);
                ends.push(from + length + 1);
            }
            return ends;
        }
        let (mut ends, mut last) = (vec![], 0);
        let mut state = State::Record;
        for (at, &byte) in bytes.iter().enumerate() {
            state = match (state, byte) {
                (State::Comment, b'\n') => State::Record,
                (State::Comment, _) => State::Comment,
                (State::Quoted, b'"') => State::Closed,
                (State::Quoted, _) => State::Quoted,
                (_, b'\n' | b'\r') => State::Record,
                (State::Closed, b'"') => State::Quoted,
                (State::Record, _) if self.comment == Some(byte) => State::Comment,
                (_, _) if byte == self.delimiter => State::Cell,
                (State::Record | State::Cell, b'"') => State::Quoted,
                _ => State::Inside,
            };
            if byte == b'\n' && state == State::Record {
                last = at + 1;
                if last >= ends.last().map_or(0, |&end: &usize| end) + step {
                    ends.push(last);
                }
            }
        }
        if last > ends.last().copied().unwrap_or(0) {
            ends.push(last);
        }
        ends
    }
}

/// Where a byte stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// At the start of a record.
    Record,
    /// At the start of a cell.
    Cell,
    /// Inside a cell without quotes.
    Inside,
    /// Inside quotes.
    Quoted,
    /// After a quote that may have closed the cell.
    Closed,
    /// In a line that is skipped.
    Comment,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    /// Records as the `csv` crate reads them.
    fn expected(text: &str, dialect: Dialect) -> Vec<Vec<String>> {
        let mut reader = ::csv::ReaderBuilder::new();
        reader.delimiter(dialect.delimiter).comment(dialect.comment).trim(::csv::Trim::All);
        let mut reader = reader.has_headers(false).flexible(true).from_reader(text.as_bytes());
        reader.records().map(|record| record.unwrap().iter().map(String::from).collect()).collect()
    }

    /// The records, and whether a quote that is never closed ended them.
    fn found(text: &str, dialect: Dialect) -> (Vec<Vec<String>>, bool) {
        let (mut at, mut records) = (0, vec![]);
        loop {
            match dialect.first(&text[at..], usize::MAX) {
                Ok(Some(record)) => {
                    at += record.end;
                    records.push(record.cells);
                }
                Ok(None) => return (records, false),
                Err(wrong) => {
                    assert!(!matches!(wrong.problem, Problem::Cells(_)));
                    return (records, true);
                }
            }
        }
    }

    fn dialect() -> impl Strategy<Value = Dialect> {
        (proptest::sample::select(&b",;.-"[..]), proptest::option::of(Just(b'#')))
            .prop_map(|(delimiter, comment)| Dialect { delimiter, comment })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, rng_seed: RngSeed::Fixed(3), ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_cut_as_the_csv_crate_does(text in "[a1.,;\" \n\r#\\-\u{e9}]{0,40}", dialect in dialect()) {
            let text = text + "\n";
            let mut expected = expected(&text, dialect);
            let (found, ended) = found(&text, dialect);
            // That crate closes a quote at the end of the text, and takes text after a quote that closes a cell.
            let is_whole = expected.len() == found.len();
            prop_assert!(is_whole != ended, "{} of {} records", found.len(), expected.len());
            expected.truncate(found.len());
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn pieces_are_read_like_the_whole(
            rows in proptest::collection::vec(("[a1.\u{e9}]{1,4}", "\"([a,\n#]|\"\"|\r\n){0,6}\"|\"([a,#]|\"\"){0,6}\"b", "-?[0-9]{0,3}"), 1..20),
            end in proptest::sample::select(&["\n", "\r\n", "\n\n"][..]),
            count in 1usize..9,
            comment in proptest::option::of(Just(b'#')),
        ) {
            let text: String = rows.iter().map(|(a, b, c)| format!("{a},{b},{c}{end}")).collect();
            let dialect = Dialect { delimiter: b',', comment };
            let whole = dialect.read(&text, vec![Column::default(); 3]).unwrap();
            prop_assert_eq!(whole.lines.len(), rows.len());
            let (mut columns, mut lines, mut start, mut line) = (vec![Column::default(); 3], vec![], 0, 0);
            for cut in dialect.cuts(text.as_bytes(), count) {
                let part = dialect.read(&text[start..cut], vec![Column::default(); 3]).unwrap();
                columns.iter_mut().zip(part.columns).for_each(|(column, more)| column.append(more));
                lines.extend(part.lines.iter().map(|l| line + l));
                (start, line) = (cut, line + part.ends);
            }
            prop_assert_eq!(start, text.len());
            prop_assert_eq!((columns, lines), (whole.columns, whole.lines));
        }
    }

    #[test]
    fn a_record_with_too_few_cells_is_told_with_its_line() {
        let dialect = Dialect { delimiter: b',', comment: Some(b'#') };
        let text = "1,\"x\ny\"\r\n#,\n\n3\n";
        let wrong = dialect.read(text, vec![Column::default(); 2]).unwrap_err();
        assert_eq!(wrong, Wrong { line: 4, problem: Problem::Cells(1) });
    }

    #[test]
    fn quotes_at_the_start_of_two_cells_are_told_with_the_first_line() {
        let dialect = Dialect { delimiter: b',', comment: None };
        let wrong = dialect.read("1,x\n2,\"y\n3,\"z\n4,u\n", vec![Column::default(); 2]).unwrap_err();
        assert_eq!(wrong, Wrong { line: 1, problem: Problem::Stray });
        // In one line, text may follow.
        let part = dialect.read("1,\"x\" y\n2,\"z\n\" \n", vec![Column::default(); 2]).unwrap();
        assert_eq!(part.columns[1].text(0), "x y");
    }

    #[test]
    fn a_quote_that_is_never_closed_is_told_with_its_line() {
        let dialect = Dialect { delimiter: b',', comment: None };
        for text in ["1,\"x\ny\"\r\n2,\"z\n3,u\n", "1,\"x\ny\"\r\n2,\"z\"\"", "1,\"x\ny\"\r\n2,\""] {
            let wrong = dialect.read(text, vec![Column::default(); 2]).unwrap_err();
            assert_eq!(wrong, Wrong { line: 2, problem: Problem::Unclosed }, "{text:?}");
        }
    }
}
