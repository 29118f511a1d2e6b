//! Checks the sizes that the page headers of a Parquet file declare, before the `parquet` crate allocates
//! them.
//!
//! Headers are structs in Thrift's compact protocol:
//! <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>,
//! <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use parquet::file::reader::{FileReader, SerializedFileReader};

/// Maximum page size; writers produce pages of about 1 MiB.
const MAX_PAGE_BYTES: i64 = 256 << 20;
/// Maximum header size; headers hold a few numbers and the minimum and maximum value.
const MAX_HEADER_BYTES: u64 = 16 << 20;
/// Maximum values in a page: an encoding can represent any number of equal values in a few bytes.
const MAX_PAGE_VALUES: i64 = 1 << 26;
/// Maximum nesting of structs.
const MAX_DEPTH: usize = 8;

/// The fields of a page header that are checked.
#[derive(Debug, Default, PartialEq)]
struct Header {
    uncompressed: i64,
    compressed: i64,
    dictionary_values: i64,
    values: i64,
    encoding: i64,
}

/// Checks all pages of a file.
///
/// # Errors
/// If a header cannot be read, or a page is implausibly large.
pub fn check(file: &File, reader: &SerializedFileReader<File>) -> Result<(), String> {
    for (at, group) in reader.metadata().row_groups().iter().enumerate() {
        for (number, column) in group.columns().iter().enumerate() {
            let (start, length) = column.byte_range();
            let named = |reason: String| format!("column `{}`: {reason}", column.column_path().string());
            if check_column(file, start, length).map_err(named)? {
                let group = reader.get_row_group(at).map_err(|e| named(e.to_string()))?;
                super::delta::check(&*group, number).map_err(named)?;
            }
        }
    }
    Ok(())
}

/// Checks the headers of a column. Returns whether its pages hold delta-encoded strings, which carry their
/// own counts.
fn check_column(file: &File, start: u64, length: u64) -> Result<bool, String> {
    let mut delta = false;
    let size = file.metadata().map_err(|e| e.to_string())?.len();
    let end =
        start.checked_add(length).filter(|&end| end <= size).ok_or("it lies beyond the end of the file")?;
    let mut at = start;
    while at < end {
        let mut from = file;
        from.seek(SeekFrom::Start(at)).map_err(|e| e.to_string())?;
        let mut reader =
            Compact { source: BufReader::new(from.take(MAX_HEADER_BYTES.min(end - at))), read: 0 };
        let mut header = Header::default();
        reader.structure(0, 0, &mut header).ok_or("a page header cannot be read")?;
        let Header { uncompressed, compressed, dictionary_values, values, encoding } = header;
        // DELTA_LENGTH_BYTE_ARRAY and DELTA_BYTE_ARRAY.
        delta |= encoding == 6 || encoding == 7;
        if !(0..=MAX_PAGE_VALUES).contains(&values) {
            return Err(format!(
                "a page says it has {values} values, at most {MAX_PAGE_VALUES} are supported"
            ));
        }
        if !(0..=MAX_PAGE_BYTES).contains(&uncompressed) || compressed < 0 {
            return Err(format!(
                "a page says it has {uncompressed} bytes, at most {MAX_PAGE_BYTES} are supported"
            ));
        }
        if dictionary_values < 0 || dictionary_values > uncompressed {
            return Err(format!(
                "a dictionary of {uncompressed} bytes says it has {dictionary_values} values"
            ));
        }
        at = at.saturating_add(reader.read).saturating_add(compressed as u64);
    }
    Ok(delta)
}

/// A reader of the compact protocol that counts the bytes read.
struct Compact<R> {
    source: R,
    read: u64,
}

impl<R: Read> Compact<R> {
    fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        self.source.read_exact(&mut byte).ok()?;
        self.read += 1;
        Some(byte[0])
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn skip(&mut self, bytes: u64) -> Option<()> {
        let skipped = std::io::copy(&mut self.source.by_ref().take(bytes), &mut std::io::sink()).ok()?;
        self.read += skipped;
        (skipped == bytes).then_some(())
    }

    /// Reads the fields of a struct that is field `parent` of the header (0: the header itself).
    fn structure(&mut self, parent: i64, depth: usize, header: &mut Header) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        let mut id = 0i64;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            id = match head >> 4 {
                0 => self.zigzag()?,
                step => id.checked_add(i64::from(step))?,
            };
            let kind = head & 0x0f;
            match (parent, id, kind) {
                (0, 2, 5) => header.uncompressed = self.zigzag()?,
                (0, 3, 5) => header.compressed = self.zigzag()?,
                (5 | 8, 1, 5) => header.values = self.zigzag()?,
                (5, 2, 5) | (8, 4, 5) => header.encoding = self.zigzag()?,
                (7, 1, 5) => header.dictionary_values = self.zigzag()?,
                (0, id, 12) => self.structure(id, depth + 1, header)?,
                // Structs further down have no field of interest.
                _ => self.value(kind, false, depth, header)?,
            }
        }
    }

    /// Skips a value; booleans take a byte only in lists.
    fn value(&mut self, kind: u8, listed: bool, depth: usize, header: &mut Header) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match kind {
            1 | 2 if !listed => Some(()),
            1..=3 => self.skip(1),
            4..=6 => self.varint().map(drop),
            7 => self.skip(8),
            8 => self.varint().and_then(|length| self.skip(length)),
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                (0..count).try_for_each(|_| self.value(head & 0x0f, true, depth + 1, header))
            }
            12 => self.structure(-1, depth + 1, header),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_and_its_length_counted() {
        // A dictionary page of 40 bytes, 21 compressed, with a list, a binary and 5 values; then the page
        // data.
        let bytes = [
            0x15, 0x04, 0x15, 0x50, 0x15, 0x2a, 0x18, 0x02, 9, 9, 0x19, 0x25, 0x01, 0x03, 0x2c, 0x15, 0x0a,
            0x15, 0x00, 0x11, 0x00, 0x00, 0xff,
        ];
        let mut reader = Compact { source: &bytes[..], read: 0 };
        let mut header = Header::default();
        reader.structure(0, 0, &mut header).unwrap();
        let expected = Header { uncompressed: 40, compressed: 21, dictionary_values: 5, ..Header::default() };
        assert_eq!(header, expected);
        assert_eq!(reader.read, bytes.len() as u64 - 1);
        for cut in 0..bytes.len() - 1 {
            let mut reader = Compact { source: &bytes[..cut], read: 0 };
            assert!(reader.structure(0, 0, &mut Header::default()).is_none(), "cut at {cut}");
        }
        let deep = [0x1c; 1000];
        assert!(Compact { source: &deep[..], read: 0 }.structure(0, 0, &mut Header::default()).is_none());
    }
}
