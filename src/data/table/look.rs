//! How a text table is written, as its first bytes and lines tell: encoding, comments, delimiter, header.

use std::path::Path;

use super::column::Column;
use crate::base::text::Encoding;
use crate::data::DataError;
use crate::data::cells;
use crate::data::config::CsvConfig;

/// Delimiters that are tried, the commonest first.
const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];

/// Lines that are looked at to find the delimiter.
const LOOKED_AT: usize = 50;

/// The text of bytes, of which a last character may be cut unless they have `ended`; `None` if they are no UTF-8.
pub fn known_text(bytes: &[u8], ended: bool) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() && !ended => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

/// What the first lines tell.
pub struct Looked {
    /// Where the first record begins.
    pub start: usize,
    /// Lines before it that are comments.
    pub comments: usize,
    /// Lines before it.
    pub skipped: usize,
    /// Separates cells.
    pub delimiter: char,
    /// Whether more text cannot change this.
    pub complete: bool,
}

impl Looked {
    /// Looks at a text.
    pub fn at(text: &str, csv: &CsvConfig) -> Self {
        let (rest, comments) = skip_comments(text.trim_start_matches('\u{feff}'), csv);
        // Excel's own way to name the delimiter.
        let named = rest.strip_prefix("sep=").and_then(|rest| {
            let (line, after) = rest.split_once('\n')?;
            let delimiter = line.chars().next().filter(char::is_ascii)?;
            (line.trim_end().len() <= 1).then_some((delimiter, after))
        });
        let (rest, skipped) = named.map_or((rest, comments), |(_, after)| (after, comments + 1));
        let (found, complete) = find_delimiter(rest);
        let delimiter = csv.delimiter.or(named.map(|(delimiter, _)| delimiter)).unwrap_or(found);
        Self { start: text.len() - rest.len(), comments, skipped, delimiter, complete }
    }
}

/// The encoding that the experiment, a byte order mark or the first bytes tell.
pub fn encoding(bytes: &[u8], named: Option<Encoding>) -> Option<Encoding> {
    let marked = Encoding::for_bom(bytes);
    let zeros = |odd: usize| bytes.iter().skip(odd).step_by(2).take(64).filter(|&&b| b == 0).count();
    let looked = bytes.len().min(128) / 2;
    match named.or(marked) {
        Some(encoding) => Some(encoding),
        None if looked > 2 && 2 * zeros(1) > looked => Some(Encoding::UTF_16LE),
        None if looked > 2 && 2 * zeros(0) > looked => Some(Encoding::UTF_16BE),
        None => None,
    }
}

/// The text, from the encoding that the experiment, a byte order mark or the bytes tell.
///
/// # Errors
/// If the bytes are no text in it.
pub fn decode(
    path: &Path,
    bytes: &[u8],
    csv: &CsvConfig,
    notes: &mut Vec<String>,
) -> Result<String, DataError> {
    let named = csv.encoding.as_ref().and_then(|name| Encoding::for_label(name.as_bytes()));
    let encoding = match encoding(bytes, named) {
        Some(encoding) => encoding,
        None if std::str::from_utf8(bytes).is_ok() => Encoding::UTF_8,
        None => Encoding::WINDOWS_1252,
    };
    let text = encoding.decode(bytes);
    if encoding != Encoding::UTF_8 {
        notes.push(format!("the text is read as {}", encoding.name()));
    }
    let control = |b: &u8| *b < 9;
    let doubtful = encoding == Encoding::WINDOWS_1252 && named.is_none() && bytes.iter().any(control);
    text.filter(|_| !doubtful).ok_or_else(|| {
        let valid = std::str::from_utf8(bytes).err().map_or(0, |e| e.valid_up_to());
        let line = 1 + bytes[..valid].iter().filter(|&&b| b == b'\n').count() as u64;
        DataError::NotText { path: path.into(), line, encoding: encoding.name() }
    })
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

/// The delimiter that cuts the first lines into the same number of cells, outside of quotes, and whether the text has
/// all lines that are looked at.
fn find_delimiter(text: &str) -> (char, bool) {
    let mut counts: Vec<[usize; DELIMITERS.len()]> = vec![[0; DELIMITERS.len()]];
    let (mut quoted, mut complete) = (false, false);
    for c in text.chars() {
        if c == '"' {
            quoted = !quoted;
        } else if c == '\n' && !quoted {
            if counts.len() == LOOKED_AT {
                complete = true;
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
    (DELIMITERS[best], complete)
}

/// Whether the first line holds names: it holds one that is expected, or no numbers where the rows below hold
/// numbers alone.
pub fn is_header(first: &[String], columns: &[Column], expected: &[&str]) -> bool {
    if first.iter().any(|cell| expected.contains(&cell.as_str())) {
        return true;
    }
    let number = |cell: &str| cells::number(cell).is_some();
    let numeric = |column: &Column| {
        let cells = (0..column.len().min(1000)).map(|row| column.text(row));
        let mut present = cells.filter(|cell| !cell.is_empty() && !cells::marks_missing(cell)).peekable();
        present.peek().is_some() && present.all(|cell| number(&cell))
    };
    let of_numbers: Vec<&String> =
        first.iter().zip(columns).filter(|(_, column)| numeric(column)).map(|(cell, _)| cell).collect();
    // Years make a header: ascending whole numbers of four digits.
    let years: Vec<f64> = first.iter().filter_map(|cell| cells::number(cell)).collect();
    let is_year = |x: &f64| x.fract() == 0.0 && (1900.0..2200.0).contains(x);
    let all_years = years.len() > 1 && years.iter().all(is_year) && years.windows(2).all(|p| p[0] < p[1]);
    of_numbers.is_empty() || all_years || of_numbers.iter().any(|cell| !number(cell))
}
