//! Text tables: what encoding, delimiter, comments and header a file has is found by looking, unless the
//! experiment says.

use std::path::Path;

use super::{MAX_COLUMNS, Table};
use crate::data::DataError;
use crate::data::cells;
use crate::data::config::CsvConfig;

/// Delimiters that are tried, the commonest first.
const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];

/// What is said of a file without names.
pub const NO_HEADER: &str = "there is no header line, so columns are called c1, c2, ...";

/// Lines that are looked at to find the delimiter.
const LOOKED_AT: usize = 50;

/// Reads the text of a table. `expected` are column names that a header would hold.
///
/// # Errors
/// If it is not a table; the message gives file, line and column.
pub fn read(path: &Path, bytes: &[u8], csv: &CsvConfig, expected: &[&str]) -> Result<Table, DataError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(DataError::Empty { path: path.into() });
    }
    let mut notes = vec![];
    let text = decode(path, bytes, csv, &mut notes)?;
    let (text, skipped) = skip_comments(text.trim_start_matches('\u{feff}'), csv);
    if skipped > 0 {
        notes.push(format!("the first {} are comments", lines(skipped)));
    }
    // Excel's own way to name the delimiter.
    let named = text.strip_prefix("sep=").and_then(|rest| {
        let (line, after) = rest.split_once('\n')?;
        let delimiter = line.chars().next().filter(char::is_ascii)?;
        (line.trim_end().len() <= 1).then_some((delimiter, after))
    });
    let (text, skipped) = named.map_or((text, skipped), |(_, after)| (after, skipped + 1));
    let delimiter = csv.delimiter.or(named.map(|(delimiter, _)| delimiter));
    let delimiter = delimiter.unwrap_or_else(|| find_delimiter(text));
    notes.push(format!("cells are separated by {}", name_of(delimiter)));
    let mut reader = ::csv::ReaderBuilder::new();
    reader.delimiter(delimiter as u8).trim(::csv::Trim::All).has_headers(false);
    if let Some(&[byte]) = csv.comment.as_ref().map(|c| c.as_bytes()) {
        reader.comment(Some(byte));
    }
    let mut reader = reader.from_reader(text.as_bytes());
    let malformed = |e: ::csv::Error| {
        let line = e.position().map_or(1, ::csv::Position::line) + skipped as u64;
        let reason = match e.kind() {
            ::csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!(
                    "the row has {len} cells, the first line {expected_len}; quote cells that hold the delimiter, set \
                     `data.csv.comment` if the line is a comment, or remove it"
                )
            }
            other => format!("{other:?}"),
        };
        DataError::Malformed { path: path.into(), line, reason }
    };
    let mut record = ::csv::StringRecord::new();
    if !reader.read_record(&mut record).map_err(malformed)? {
        return Err(DataError::Empty { path: path.into() });
    }
    if record.len() > MAX_COLUMNS {
        return Err(DataError::TooManyColumns { path: path.into(), found: record.len(), limit: MAX_COLUMNS });
    }
    let first: Vec<String> = record.iter().map(String::from).collect();
    let mut columns = vec![vec![]; first.len()];
    let mut lines = vec![];
    while reader.read_record(&mut record).map_err(malformed)? {
        lines.push(record.position().map_or(0, ::csv::Position::line) + skipped as u64);
        for (column, cell) in columns.iter_mut().zip(record.iter()) {
            column.push(cell.to_string());
        }
    }
    let header = csv.header.unwrap_or_else(|| is_header(&first, &columns, expected));
    let names = if header {
        first
    } else {
        notes.push(NO_HEADER.into());
        for (column, cell) in columns.iter_mut().zip(first) {
            column.insert(0, cell);
        }
        lines.insert(0, 1 + skipped as u64);
        (1..=columns.len()).map(|number| format!("c{number}")).collect()
    };
    let mut table = Table {
        path: path.into(),
        names,
        columns,
        lines,
        notes,
        delimiter: Some(delimiter),
        ..Table::default()
    };
    leave_out_row_numbers(&mut table);
    Ok(table)
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

/// The text, from the encoding that the experiment, a byte order mark or the bytes tell.
fn decode(path: &Path, bytes: &[u8], csv: &CsvConfig, notes: &mut Vec<String>) -> Result<String, DataError> {
    let named = csv.encoding.as_ref().and_then(|name| encoding_rs::Encoding::for_label(name.as_bytes()));
    let marked = encoding_rs::Encoding::for_bom(bytes).map(|(encoding, _)| encoding);
    let zeros = |odd: usize| bytes.iter().skip(odd).step_by(2).take(64).filter(|&&b| b == 0).count();
    let looked = bytes.len().min(128) / 2;
    let encoding = match named.or(marked) {
        Some(encoding) => encoding,
        None if looked > 2 && 2 * zeros(1) > looked => encoding_rs::UTF_16LE,
        None if looked > 2 && 2 * zeros(0) > looked => encoding_rs::UTF_16BE,
        None if std::str::from_utf8(bytes).is_ok() => encoding_rs::UTF_8,
        None => encoding_rs::WINDOWS_1252,
    };
    let (text, _, wrong) = encoding.decode(bytes);
    if encoding != encoding_rs::UTF_8 {
        notes.push(format!("the text is read as {}", encoding.name()));
    }
    let control = |b: &u8| *b < 9;
    if wrong || (encoding == encoding_rs::WINDOWS_1252 && named.is_none() && bytes.iter().any(control)) {
        let valid = std::str::from_utf8(bytes).err().map_or(0, |e| e.valid_up_to());
        let line = 1 + bytes[..valid].iter().filter(|&&b| b == b'\n').count() as u64;
        return Err(DataError::NotText { path: path.into(), line, encoding: encoding.name() });
    }
    Ok(text.into_owned())
}

/// The text after the comments before the header, and how many lines they are. A line that begins with `#` and has
/// the cells of the line after it is a header.
fn skip_comments<'t>(text: &'t str, csv: &CsvConfig) -> (&'t str, usize) {
    let sign = csv.comment.as_deref().unwrap_or("#");
    let mut rest = text;
    let mut skipped = 0;
    while rest.starts_with(sign) {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let next = after.lines().next().unwrap_or_default();
        let cells = |line: &str| DELIMITERS.map(|d| line.matches(d).count()).into_iter().max();
        let like_next = !next.starts_with(sign) && cells(line) == cells(next) && cells(line) > Some(0);
        if after.is_empty() || (csv.comment.is_none() && like_next) {
            break;
        }
        rest = after;
        skipped += 1;
    }
    (rest, skipped)
}

/// The delimiter that cuts the first lines into the same number of cells, outside of quotes.
fn find_delimiter(text: &str) -> char {
    let mut counts: Vec<[usize; DELIMITERS.len()]> = vec![[0; DELIMITERS.len()]];
    let mut quoted = false;
    for c in text.chars() {
        if c == '"' {
            quoted = !quoted;
        } else if c == '\n' && !quoted {
            if counts.len() == LOOKED_AT {
                break;
            }
            counts.push([0; DELIMITERS.len()]);
        } else if let (false, Some(at)) = (quoted, DELIMITERS.iter().position(|&d| d == c)) {
            let line = counts.len() - 1;
            counts[line][at] += 1;
        }
    }
    // A last line without an end may be cut short or empty.
    counts.retain(|line| line.iter().any(|&count| count > 0));
    let score = |at: usize| {
        let Some(header) = counts.first().map(|line| line[at]).filter(|&count| count > 0) else {
            return (0, 0, 0);
        };
        let alike = counts.iter().filter(|line| line[at] == header).count();
        (100 * alike / counts.len(), header, DELIMITERS.len() - at)
    };
    let best = (0..DELIMITERS.len()).max_by_key(|&at| score(at)).unwrap_or(0);
    DELIMITERS[best]
}

/// Whether the first line holds names: it holds one that is expected, or no numbers where the rows below hold
/// numbers alone.
fn is_header(first: &[String], columns: &[Vec<String>], expected: &[&str]) -> bool {
    if first.iter().any(|cell| expected.contains(&cell.as_str())) {
        return true;
    }
    let number = |cell: &String| cells::number(cell).is_some();
    let numeric = |column: &[String]| {
        let mut present = column
            .iter()
            .take(1000)
            .filter(|cell| !cell.is_empty() && !cells::marks_missing(cell))
            .peekable();
        present.peek().is_some() && present.all(number)
    };
    let of_numbers: Vec<&String> =
        first.iter().zip(columns).filter(|(_, column)| numeric(column)).map(|(cell, _)| cell).collect();
    // Years make a header: ascending whole numbers of four digits.
    let years: Vec<f64> = first.iter().filter_map(|cell| cells::number(cell)).collect();
    let is_year = |x: &f64| x.fract() == 0.0 && (1900.0..2200.0).contains(x);
    let all_years = years.len() > 1 && years.iter().all(is_year) && years.windows(2).all(|p| p[0] < p[1]);
    of_numbers.is_empty() || all_years || of_numbers.iter().any(|cell| !number(cell))
}

/// Leaves out an unnamed first column that counts rows, as data frames are often saved with one.
fn leave_out_row_numbers(table: &mut Table) {
    if table.names.len() < 2 || !table.names[0].is_empty() {
        return;
    }
    let numbers: Option<Vec<f64>> = table.columns[0].iter().map(|cell| cells::number(cell)).collect();
    let counts = numbers.is_some_and(|n| n.windows(2).all(|pair| pair[1] == pair[0] + 1.0));
    if counts {
        table.names.remove(0);
        table.columns.remove(0);
        table.notes.push("the unnamed first column counts rows and is left out".into());
    }
}
