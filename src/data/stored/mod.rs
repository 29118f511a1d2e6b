//! Rows of features that are kept beside a data set: in the host's memory or in a file, from which batches are made.

mod file;

use std::io;

use crate::base::rng::{self, streams};
use file::FileRows;
pub use file::FileWriter;

/// Rows of words that many may read at a time.
#[derive(Debug)]
pub struct Stored {
    /// Words per row.
    width: usize,
    rows: usize,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u32>),
    File(FileRows),
}

/// Rows are equal if they are the same ones: what is in a file is not compared.
impl PartialEq for Stored {
    fn eq(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (Place::Memory(own), Place::Memory(others)) => self.width == other.width && own == others,
            _ => std::ptr::eq(self, other),
        }
    }
}

/// How rows of a file are mixed: by blocks that are read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// Rows of a block, which follow each other in the file.
    pub rows: usize,
    /// Blocks whose rows are shuffled among each other.
    pub together: usize,
}

impl Blocks {
    /// The numbers below `rows` in the order of epoch `round`: blocks are shuffled, and then the rows of every
    /// `together` blocks among each other, so that each block is read once.
    pub fn shuffled(&self, rows: usize, seed: [u32; 2], round: u32) -> Vec<u32> {
        let mut blocks: Vec<u32> = (0..rows.div_ceil(self.rows) as u32).collect();
        rng::shuffle(&mut blocks, seed, streams::SHUFFLE, round);
        let mut order = Vec::with_capacity(rows);
        for (number, blocks) in blocks.chunks(self.together).enumerate() {
            let first = order.len();
            for &block in blocks {
                let start = block as usize * self.rows;
                order.extend(start as u32..(start + self.rows).min(rows) as u32);
            }
            let own = [seed[0].wrapping_add(number as u32), seed[1]];
            rng::shuffle(&mut order[first..], own, streams::BLOCKS, round);
        }
        order
    }

    /// How rows are mixed, for people.
    pub fn describe(&self) -> String {
        format!(
            "blocks of {} rows are shuffled, and then the rows of {} blocks at a time",
            self.rows, self.together
        )
    }
}

impl Stored {
    /// Rows in memory, of `width` words each.
    pub fn in_memory(width: usize, words: Vec<u32>) -> Self {
        let width = width.max(1);
        Self { width, rows: words.len() / width, place: Place::Memory(words) }
    }

    fn in_file(width: usize, rows: usize, file: FileRows) -> Self {
        Self { width, rows, place: Place::File(file) }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Words per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Whether the rows are in a file.
    pub fn is_file(&self) -> bool {
        matches!(self.place, Place::File(_))
    }

    /// The blocks of a file that has more rows than are shuffled at a time.
    pub fn blocks(&self) -> Option<Blocks> {
        match &self.place {
            Place::File(file) => Some(file.blocks()).filter(|b| b.rows * b.together < self.rows),
            Place::Memory(_) => None,
        }
    }

    /// Appends the words of `count` rows from each of `starts` on; 0 for rows that there are not.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read(
        &self,
        starts: impl Iterator<Item = usize>,
        count: usize,
        words: &mut Vec<u32>,
    ) -> io::Result<()> {
        match &self.place {
            Place::Memory(all) => {
                for start in starts {
                    let place =
                        (start * self.width).min(all.len())..((start + count) * self.width).min(all.len());
                    let end = words.len() + count * self.width;
                    words.extend_from_slice(&all[place]);
                    words.resize(end, 0);
                }
                Ok(())
            }
            Place::File(file) => file.read(starts.flat_map(|start| start..start + count), words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_by_blocks_has_every_row_once_and_each_pool_has_whole_blocks() {
        let (blocks, rows) = (Blocks { rows: 7, together: 5 }, 1000);
        let order = blocks.shuffled(rows, [3, 0], 2);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..rows as u32).collect::<Vec<_>>());
        let mut seen = std::collections::BTreeSet::new();
        for pool in order.chunks(35).take(20) {
            let own: std::collections::BTreeSet<u32> = pool.iter().map(|row| row / 7).collect();
            assert!(own.len() <= 6, "{own:?}");
            assert_ne!(pool.iter().copied().min(), pool.first().copied().filter(|_| pool.is_sorted()));
            seen.extend(own);
        }
        assert_ne!(order, blocks.shuffled(rows, [3, 0], 3));
        assert_ne!(order, blocks.shuffled(rows, [4, 0], 2));
        assert!(seen.len() > 90);
    }
}
