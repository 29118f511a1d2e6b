//! Places of the data sets: a buffer for each block of columns, or several if a device binds no buffer as large.

use std::ops::Range;

use super::builder::Builder;
use super::columns::{DataColumn, DataLayout, DataPart};
use super::{BufferClass, Slice};
use crate::base::target::{Family, Target};

/// The largest buffer in which shaders can number all bytes with 32 bits.
const NUMBERED_BYTES: u64 = 1 << 32;

impl Builder<'_> {
    pub(super) fn place_data(&mut self) {
        for data in &self.spec.data {
            let order = self.add_buffer(format!("{} row order", data.name), BufferClass::Data, data.order);
            let mut places: Vec<(String, Vec<DataPart>)> = vec![];
            for column in &data.columns {
                let owner = column.of.as_ref().unwrap_or(&column.name);
                let parts = match places.iter().find(|(name, _)| name == owner) {
                    Some((_, shared)) => shared.clone(),
                    None => {
                        let seen = |c: &&DataColumn| c.of.as_ref().unwrap_or(&c.name) == owner;
                        let columns: Vec<&DataColumn> = data.columns.iter().filter(seen).collect();
                        self.place_block(&format!("{} {owner}", data.name), &columns, data.rows)
                    }
                };
                places.push((column.name.clone(), parts));
            }
            let order = Some(Slice { buffer: order, start: 0, words: data.order });
            self.layout.data.push(DataLayout { order, columns: places });
        }
    }

    /// The parts of a block of `rows` rows, which all of `columns` read.
    fn place_block(&mut self, name: &str, columns: &[&DataColumn], rows: usize) -> Vec<DataPart> {
        let parts = parts(columns, rows, most_words(self.target));
        let count = parts.len();
        let place = |(at, rows): (usize, Range<usize>)| {
            let words = words(columns, &rows);
            let name = if count == 1 { name.into() } else { format!("{name} {} of {count}", at + 1) };
            let buffer = self.add_buffer(name, BufferClass::Data, words.len());
            DataPart { slice: Slice { buffer, start: 0, words: words.len() }, first: words.start, rows }
        };
        parts.into_iter().enumerate().map(place).collect()
    }
}

/// The most words that a device binds at once.
fn most_words(target: &Target) -> usize {
    let bytes = target.max_binding_bytes.min(target.max_buffer_bytes);
    let bytes = if target.family == Family::Native { bytes } else { bytes.min(NUMBERED_BYTES) };
    // Buffers are multiples of 256 bytes.
    (bytes / 256 * 64) as usize
}

/// The words of a block that its columns read of `rows`.
fn words(columns: &[&DataColumn], rows: &Range<usize>) -> Range<usize> {
    let each = || columns.iter().map(|column| column.words(rows));
    each().map(|words| words.start).min().unwrap_or(0)..each().map(|words| words.end).max().unwrap_or(0)
}

/// The rows of each part of at most `most` words; a single part if a row alone has more.
fn parts(columns: &[&DataColumn], rows: usize, most: usize) -> Vec<Range<usize>> {
    let mut parts = vec![];
    let mut first = 0;
    while first < rows {
        // More rows have more words, so the last that fits is found by halving.
        let (mut fits, mut beyond) = (first, rows + 1);
        while beyond - fits > 1 {
            let middle = fits.midpoint(beyond);
            if words(columns, &(first..middle)).len() <= most { fits = middle } else { beyond = middle }
        }
        if fits == first {
            return std::iter::once(0..rows).collect();
        }
        parts.push(first..fits);
        first = fits;
    }
    if parts.is_empty() { std::iter::once(0..rows).collect() } else { parts }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of blocks of every kind hold all their rows, and no part is too large or smaller than need be.
    #[test]
    fn parts_hold_every_row_and_are_as_large_as_allowed() {
        let windows = DataColumn { stride: 3, offset: 2, ..DataColumn::rows("x", 21) };
        let text = DataColumn::rows("x", 10);
        let next = DataColumn { offset: 1, of: Some("x".into()), ..DataColumn::rows("y", 10) };
        let wide = DataColumn { stride: 2, ..DataColumn::rows("y", 5) };
        for columns in [vec![&windows], vec![&text, &next], vec![&windows, &wide], vec![&text]] {
            for rows in [1, 2, 7, 50] {
                for most in [21, 22, 30, 64, 1000] {
                    let found = parts(&columns, rows, most);
                    assert_eq!(found.iter().flat_map(Clone::clone).collect::<Vec<_>>(), {
                        (0..rows).collect::<Vec<_>>()
                    });
                    if found.len() == 1 && words(&columns, &(0..rows)).len() > most {
                        assert!((0..rows).any(|row| words(&columns, &(row..row + 1)).len() > most));
                        continue;
                    }
                    for part in &found {
                        assert!(words(&columns, part).len() <= most, "{part:?} of {found:?}");
                        let longer = part.start..part.end + 1;
                        assert!(part.end == rows || words(&columns, &longer).len() > most, "{found:?}");
                    }
                }
            }
        }
        assert_eq!(parts(&[&text], 0, 64), vec![0..0; 1]);
    }
}
