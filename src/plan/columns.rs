//! Data sets on a device: blocks of columns, how their rows are stored, and the places of their parts.

use std::ops::Range;

use super::Slice;
use crate::kernels::storage::Storage;

/// A data set resident on the device.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSpec {
    /// `train`, `validation`.
    pub name: String,
    /// Number of rows.
    pub rows: usize,
    /// Entries of the row order (a multiple of the batch size).
    pub order: usize,
    /// Blocks of columns.
    pub columns: Vec<DataColumn>,
}

/// A block of columns of a data set, and where the words of each row are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataColumn {
    /// Name of the batch it fills.
    pub name: String,
    /// Values per row.
    pub width: usize,
    /// Words between the starts of adjacent rows; less than those of a row for overlapping windows.
    pub stride: usize,
    /// Words before the first row.
    pub offset: usize,
    /// Another column that holds these words, read at this offset.
    pub of: Option<String>,
    /// What the bytes stand for, if the values are bytes; otherwise each is a word.
    pub bytes: Option<ByteValues>,
}

/// The values that the bytes of a row stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByteValues {
    /// Neighbouring elements of a row that share 256 values: the pixels of a channel.
    pub plane: usize,
    /// Bits of the `f32` that each byte stands for, 256 for each plane of a row.
    pub table: Vec<u32>,
}

impl DataColumn {
    /// Consecutive rows of `width` words.
    pub fn rows(name: impl Into<String>, width: usize) -> Self {
        Self { name: name.into(), width, stride: width, offset: 0, of: None, bytes: None }
    }

    /// Consecutive rows of `width` bytes, four to a word, each beginning at a whole word.
    pub fn bytes(name: impl Into<String>, width: usize, values: ByteValues) -> Self {
        let stride = Storage::Bytes { plane: values.plane }.words(width);
        Self { stride, bytes: Some(values), ..Self::rows(name, width) }
    }

    /// How the values are stored.
    pub(super) fn storage(&self) -> Storage {
        let bytes = |values: &ByteValues| Storage::Bytes { plane: values.plane };
        self.bytes.as_ref().map_or(Storage::Words, bytes)
    }

    /// Words of a row.
    pub fn row_words(&self) -> usize {
        self.storage().words(self.width)
    }

    /// The same values in rows that follow each other, as they are sent to a device that does not hold all.
    pub fn apart(&self) -> Self {
        Self { stride: self.row_words(), offset: 0, of: None, ..self.clone() }
    }

    /// The words that rows `rows` occupy, counted from the first of the block.
    pub(super) fn words(&self, rows: &Range<usize>) -> Range<usize> {
        let start = |row: usize| self.offset + row * self.stride;
        match rows.is_empty() {
            true => 0..0,
            false => start(rows.start)..start(rows.end - 1) + self.storage().words(self.width),
        }
    }
}

/// The places of a data set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataLayout {
    /// Row order.
    pub order: Option<Slice>,
    /// Column blocks by name.
    pub columns: Vec<(String, Vec<DataPart>)>,
}

/// A part of a column block in a buffer of its own; a block that fits a buffer has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataPart {
    /// Its place.
    pub slice: Slice,
    /// The first word of the block that it holds.
    pub first: usize,
    /// The rows of the block that lie in it.
    pub rows: Range<usize>,
}

impl DataPart {
    /// What a block of these words has in this part.
    pub fn of<'w>(&self, words: &'w [u32]) -> &'w [u32] {
        let end = (self.first + self.slice.words).min(words.len());
        &words[self.first.min(end)..end]
    }
}
