//! The files of a table: which there are, what they contain, and their decompressed bytes.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::data::DataError;

/// Maximum bytes of a table after decompression.
const MAX_BYTES: u64 = 16 << 30;

/// What a file contains.
pub enum Contents {
    /// A Parquet file, which is read in place.
    Parquet,
    /// Objects in JSON.
    Json(Vec<u8>),
    /// Any other text.
    Text(Vec<u8>),
}

/// The files that a path stands for, in alphabetical order: itself, or what matches it as a pattern.
///
/// # Errors
/// If a pattern is invalid or matches nothing.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let text = path.to_string_lossy();
    if path.exists() || !text.contains(['*', '?', '[']) {
        return Ok(vec![path.into()]);
    }
    let fail = |reason: String| DataError::Io { path: path.into(), reason };
    let found = glob::glob(&text).map_err(|e| fail(format!("the pattern is wrong: {e}")))?;
    let files: Vec<PathBuf> = found.filter_map(Result::ok).filter(|file| file.is_file()).collect();
    if files.is_empty() {
        return Err(fail("no file matches this pattern".into()));
    }
    Ok(files)
}

/// What the first bytes of files say that people give for tables, and what to do with them.
const STRANGERS: [(&[u8], &str); 8] = [
    (
        b"PK\x03\x04",
        "a ZIP archive or an Excel workbook (.xlsx); save the sheet as CSV, or unpack the archive",
    ),
    (b"\xD0\xCF\x11\xE0", "an old Excel workbook (.xls); save the sheet as CSV"),
    (b"%PDF", "a PDF document; export the table as CSV"),
    (b"\x89PNG", "a PNG picture; put pictures in a folder, and give the folder"),
    (b"\xFF\xD8\xFF", "a JPEG picture; put pictures in a folder, and give the folder"),
    (b"SQLite format 3", "an SQLite database; export the table as CSV"),
    (b"ARROW1", "an Arrow or Feather file; save the table as Parquet or CSV"),
    (b"<!DOCTYPE", "a web page; download the table itself"),
];

/// Reads a file, or at least its beginning.
///
/// # Errors
/// If it cannot be read, or is no table.
pub fn open(path: &Path) -> Result<Contents, DataError> {
    let io = |e: std::io::Error| DataError::Io { path: path.into(), reason: e.to_string() };
    let wrong = |reason: String| DataError::Io { path: path.into(), reason };
    if path.is_dir() {
        return Err(wrong("this is a folder; expected a file with a table".into()));
    }
    let mut file = std::fs::File::open(path).map_err(io)?;
    let mut first = [0; 16];
    let mut known = 0;
    while known < first.len() {
        match file.read(&mut first[known..]).map_err(io)? {
            0 => break,
            count => known += count,
        }
    }
    let first = &first[..known];
    if first.starts_with(b"PAR1") {
        return Ok(Contents::Parquet);
    }
    if let Some((_, what)) = STRANGERS.iter().find(|(magic, _)| first.starts_with(magic)) {
        return Err(wrong(format!("this is {what}")));
    }
    let whole = first.chain(file);
    let bytes = if first.starts_with(&[0x1F, 0x8B]) {
        bounded(flate2::read::MultiGzDecoder::new(whole))
    } else if first.starts_with(&[0x28, 0xB5, 0x2F, 0xFD]) {
        zstd::Decoder::new(whole).and_then(bounded)
    } else {
        bounded(whole)
    };
    let bytes = bytes.map_err(io)?;
    let start = bytes.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(0);
    Ok(match bytes.get(start) {
        Some(b'{') => Contents::Json(bytes),
        Some(b'[') if bytes[start + 1..].iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{') => {
            Contents::Json(bytes)
        }
        _ => Contents::Text(bytes),
    })
}

/// All bytes, if they are not too many: `/dev/zero` and compressed bombs have no end.
fn bounded(reader: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![];
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        let reason = format!("the table has more than {MAX_BYTES} bytes");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, reason));
    }
    Ok(bytes)
}
