//! The files of a table: which there are, what they contain, and their decompressed bytes, read piece by piece.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::base::files;
use crate::data::DataError;

/// Maximum bytes of a table after decompression.
const MAX_BYTES: u64 = 16 << 30;

/// Bytes that are read at first.
const PIECE: usize = 1 << 16;

/// What a file contains.
pub enum Contents {
    /// A Parquet file, which is read in place.
    #[cfg(feature = "parquet")]
    Parquet,
    /// Objects in JSON.
    Json(Vec<u8>),
    /// Any other text.
    Text(Stream),
}

/// Bytes that are read piece by piece.
pub struct Stream {
    reader: Box<dyn Read + Send>,
    /// What is read and not used yet.
    pub bytes: Vec<u8>,
    /// Whether nothing follows them.
    pub ended: bool,
    /// Bytes that were read.
    read: u64,
    /// All bytes, where the file tells.
    pub size: Option<u64>,
}

impl Stream {
    /// A text in memory.
    pub fn of(text: String) -> Self {
        let size = Some(text.len() as u64);
        let reader = Box::new(std::io::Cursor::new(text.into_bytes()));
        Self { reader, bytes: vec![], ended: false, read: 0, size }
    }

    /// Reads `count` more bytes, or as many as there are.
    ///
    /// # Errors
    /// If that fails, or there are too many: `/dev/zero` and compressed bombs have no end.
    pub fn fill(&mut self, count: usize) -> std::io::Result<()> {
        if self.ended {
            return Ok(());
        }
        let found = self.reader.by_ref().take(count as u64).read_to_end(&mut self.bytes)?;
        self.ended = found < count;
        self.read += found as u64;
        if self.read > MAX_BYTES {
            let reason = format!("the table has more than {MAX_BYTES} bytes");
            return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, reason));
        }
        Ok(())
    }

    /// Reads all bytes.
    ///
    /// # Errors
    /// As [`Stream::fill`].
    pub fn all(mut self) -> std::io::Result<Vec<u8>> {
        while !self.ended {
            self.fill(PIECE.max(self.bytes.len()))?;
        }
        Ok(self.bytes)
    }
}

/// The files that a path stands for, in alphabetical order: itself, or what matches it as a pattern.
///
/// # Errors
/// If a pattern is invalid or matches nothing.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let text = path.to_string_lossy();
    if files::exists(path) || !text.contains(['*', '?', '[']) {
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

/// Tells what bytes in memory contain, which are text that is not compressed.
///
/// # Errors
/// If they are no table.
pub fn of_bytes(path: &Path, bytes: &[u8]) -> Result<Contents, DataError> {
    refuse_strangers(path, bytes)?;
    let reader = Box::new(std::io::Cursor::new(bytes.to_vec()));
    let stream = Stream { reader, bytes: vec![], ended: false, read: 0, size: Some(bytes.len() as u64) };
    told_apart(path, stream)
}

/// Refuses what is known to be no table.
fn refuse_strangers(path: &Path, first: &[u8]) -> Result<(), DataError> {
    match STRANGERS.iter().find(|(magic, _)| first.starts_with(magic)) {
        Some((_, what)) => Err(DataError::Io { path: path.into(), reason: format!("this is {what}") }),
        None => Ok(()),
    }
}

/// Reads a file, or at least its beginning.
///
/// # Errors
/// If it cannot be read, or is no table.
pub fn open(path: &Path) -> Result<Contents, DataError> {
    let io = |e: std::io::Error| DataError::Io { path: path.into(), reason: e.to_string() };
    let wrong = |reason: String| DataError::Io { path: path.into(), reason };
    if files::is_dir(path) {
        return Err(wrong("this is a folder; expected a file with a table".into()));
    }
    let mut file = files::File::open(path).map_err(io)?;
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
        return parquet(path);
    }
    refuse_strangers(path, first)?;
    let size = files::size_of(&file);
    let whole = std::io::Cursor::new(first.to_vec()).chain(file);
    let (reader, size): (Box<dyn Read + Send>, _) = if first.starts_with(&[0x1F, 0x8B]) {
        (Box::new(flate2::read::MultiGzDecoder::new(whole)), None)
    } else if first.starts_with(&[0x28, 0xB5, 0x2F, 0xFD]) {
        (zstandard(path, whole)?, None)
    } else {
        (Box::new(whole), size)
    };
    told_apart(path, Stream { reader, bytes: vec![], ended: false, read: 0, size })
}

#[cfg(feature = "parquet")]
fn parquet(_path: &Path) -> Result<Contents, DataError> {
    Ok(Contents::Parquet)
}

#[cfg(feature = "parquet")]
fn zstandard(path: &Path, whole: impl Read + Send + 'static) -> Result<Box<dyn Read + Send>, DataError> {
    let decoder = zstd::Decoder::new(whole);
    Ok(Box::new(decoder.map_err(|e| DataError::Io { path: path.into(), reason: e.to_string() })?))
}

/// What a build without the feature `parquet`, as in a browser, does not read.
#[cfg(not(feature = "parquet"))]
fn unread(path: &Path, what: &str) -> DataError {
    let reason = format!("this is {what}, which this build does not read; save the table as CSV");
    DataError::Io { path: path.into(), reason }
}

#[cfg(not(feature = "parquet"))]
fn parquet(path: &Path) -> Result<Contents, DataError> {
    Err(unread(path, "a Parquet file"))
}

#[cfg(not(feature = "parquet"))]
fn zstandard(path: &Path, _whole: impl Read) -> Result<Box<dyn Read + Send>, DataError> {
    Err(unread(path, "compressed with Zstandard"))
}

/// Tells objects from other text.
fn told_apart(path: &Path, mut stream: Stream) -> Result<Contents, DataError> {
    let io = |e: std::io::Error| DataError::Io { path: path.into(), reason: e.to_string() };
    // Objects begin with a brace, perhaps in an array.
    loop {
        stream.fill(PIECE.max(stream.bytes.len())).map_err(io)?;
        let mut signs = stream.bytes.iter().filter(|b| !b.is_ascii_whitespace());
        match (signs.next(), signs.next()) {
            (Some(b'{'), _) | (Some(b'['), Some(b'{')) => {
                return Ok(Contents::Json(stream.all().map_err(io)?));
            }
            (None, _) | (Some(b'['), None) if !stream.ended => {}
            _ => return Ok(Contents::Text(stream)),
        }
    }
}
