//! Rows of bytes: pixels as they are in files, and the numbers they stand for.

use crate::base::bytes;

/// Values that a byte can have.
const LEVELS: usize = 256;

/// Rows of bytes, four to a word, each beginning at a whole word.
#[derive(Clone, Debug, PartialEq)]
pub struct PixelRows {
    width: usize,
    plane: usize,
    table: Vec<f32>,
    words: Vec<u32>,
}

impl PixelRows {
    /// No rows yet, of `width` bytes: byte `b` of element `e` stands for `value(e / plane, b)`.
    pub fn new(width: usize, plane: usize, value: impl Fn(usize, u8) -> f32) -> Self {
        let (width, plane) = (width.max(1), plane.max(1));
        let levels = |plane| (0..=u8::MAX).map(move |byte| (plane, byte));
        let all = (0..width.div_ceil(plane)).flat_map(levels);
        let table = all.map(|(plane, byte)| value(plane, byte)).collect();
        Self { width, plane, table, words: vec![] }
    }

    /// Whether `rows` rows take up less memory than as numbers, the table included.
    pub fn saves(width: usize, plane: usize, rows: usize) -> bool {
        let planes = width.div_ceil(plane.max(1));
        rows.saturating_mul(bytes::words(width)).saturating_add(LEVELS.saturating_mul(planes))
            < rows.saturating_mul(width)
    }

    /// Appends a row; `row` has as many bytes as a row.
    pub fn push(&mut self, row: &[u8]) {
        debug_assert_eq!(row.len(), self.width);
        bytes::pack(row, &mut self.words);
    }

    /// All rows as words for a device.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// Neighbouring elements that share 256 entries of the table.
    pub fn plane(&self) -> usize {
        self.plane
    }

    /// The number that each byte stands for, 256 for each plane.
    pub fn table(&self) -> &[f32] {
        &self.table
    }

    /// The numbers of a row; none if there is no such row.
    pub fn row(&self, row: usize) -> impl Iterator<Item = f32> {
        let stride = self.stride();
        self.numbers(self.words.get(row * stride..(row + 1) * stride).unwrap_or_default())
    }

    /// Words of a row.
    pub fn stride(&self) -> usize {
        bytes::words(self.width)
    }

    /// Takes the words, which are kept elsewhere from now on.
    pub(super) fn take_words(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.words)
    }

    /// The numbers that the words of a row stand for; none for no words.
    pub fn numbers<'w>(&'w self, words: &'w [u32]) -> impl Iterator<Item = f32> + 'w {
        let width = if words.is_empty() { 0 } else { self.width };
        (0..width).map(move |at| self.table[LEVELS * (at / self.plane) + bytes::byte(words, at)])
    }

    /// Replaces every number by another.
    pub fn map(&mut self, f: impl FnMut(f32) -> f32) {
        self.table = std::mem::take(&mut self.table).into_iter().map(f).collect();
    }
}
