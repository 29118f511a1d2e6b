//! How the rows of a data set are stored in an operand: as words or as bytes, and which of them are there.

use std::ops::Range;

use crate::base::bytes;

/// Values that a byte can have.
pub const LEVELS: usize = 256;

/// How the values of a row are stored. Every row begins at a whole word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Storage {
    /// A word each.
    #[default]
    Words,
    /// A byte each, four to a word, the first in the lowest bits. Byte `b` of element `e` of a row stands for
    /// entry `256 * (e / plane) + b` of a table of `f32`, an operand of its own.
    Bytes {
        /// Neighbouring elements that share 256 entries of the table: the pixels of a channel.
        plane: usize,
    },
}

impl Storage {
    /// Words of a row of `width` values.
    pub fn words(self, width: usize) -> usize {
        match self {
            Self::Words => width,
            Self::Bytes { .. } => bytes::words(width),
        }
    }

    /// Entries of the table for rows of `width` values; 0 if there is none.
    pub fn entries(self, width: usize) -> usize {
        match self {
            Self::Words => 0,
            Self::Bytes { plane } => LEVELS * width.div_ceil(plane.max(1)),
        }
    }

    /// The values of a row, from its words and the table.
    pub(super) fn read(self, row: &[u32], table: &[f32], out: &mut [f32]) {
        match self {
            Self::Words => out.copy_from_slice(bytemuck::cast_slice(row)),
            Self::Bytes { plane } => {
                let planes = out.chunks_mut(plane.max(1)).zip(table.chunks(LEVELS));
                for (number, (out, levels)) in planes.enumerate() {
                    for (at, value) in out.iter_mut().enumerate() {
                        *value = levels[bytes::byte(row, number * plane + at)];
                    }
                }
            }
        }
    }

    /// Value `at` of a row, for the oracle: words of bytes are whole numbers.
    pub(super) fn value(self, row: &[f64], table: &[f64], at: usize) -> f64 {
        match self {
            Self::Words => row[at],
            Self::Bytes { plane } => {
                let byte = (row[at / 4] / 256f64.powi(at as i32 % 4)).floor() % 256.0;
                table[LEVELS * (at / plane) + byte as usize]
            }
        }
    }
}

/// Where row `row` is in an operand that holds the rows `only`, or all if there is no such range.
pub(super) fn place(only: Option<&Range<usize>>, row: u32) -> Option<usize> {
    let row = row as usize;
    match only {
        None => Some(row),
        Some(rows) => rows.contains(&row).then(|| row - rows.start),
    }
}

/// The same in WGSL, of a row in the variable `row`: the condition that it is missing, if it may be, and its
/// place.
pub(super) fn place_in_shader(only: Option<&Range<usize>>) -> (Option<String>, String) {
    let Some(Range { start, end }) = only else { return (None, "row".into()) };
    (Some(format!("(row < {start}u) | (row >= {end}u)")), format!("(row - {start}u)"))
}
