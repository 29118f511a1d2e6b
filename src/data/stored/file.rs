//! Rows in a file of their own, which has no name and is gone when it is closed.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Blocks, Stored};

/// Bytes of a block: enough that a disk reads it at its full speed.
const BLOCK_BYTES: usize = 1 << 18;
/// Blocks that are shuffled among each other at least.
const LEAST_BLOCKS: usize = 8;

/// Rows of words in a file, block by block. In a block, either each row lies together, or each column.
#[derive(Debug)]
pub struct FileRows {
    width: usize,
    by_column: bool,
    blocks: Blocks,
    opened: Mutex<Opened>,
}

/// The file, and the blocks that were read last.
#[derive(Debug)]
struct Opened {
    file: File,
    /// By number, with the words row by row.
    held: HashMap<usize, Arc<Vec<u32>>>,
    /// The numbers of those, in the order in which they were read.
    order: VecDeque<usize>,
    most: usize,
}

impl Opened {
    /// The words of a block as they lie in the file; 0 beyond its end.
    fn words(&mut self, number: usize, count: usize) -> io::Result<Vec<u32>> {
        let mut words = vec![0u32; count];
        self.file.seek(SeekFrom::Start(4 * number as u64 * count as u64))?;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        let mut done = 0;
        while done < bytes.len() {
            match self.file.read(&mut bytes[done..]) {
                Ok(0) => break,
                Ok(found) => done += found,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(words)
    }
}

impl FileRows {
    /// How its rows are shuffled.
    pub fn blocks(&self) -> Blocks {
        self.blocks
    }

    fn opened(&self) -> MutexGuard<'_, Opened> {
        // What is held is right even if a reader panicked.
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The words of a block, row by row.
    fn block(&self, number: usize) -> io::Result<Arc<Vec<u32>>> {
        let mut opened = self.opened();
        if let Some(block) = opened.held.get(&number) {
            return Ok(block.clone());
        }
        let found = opened.words(number, self.blocks.rows * self.width)?;
        let words = if self.by_column { transposed(&found, self.blocks.rows) } else { found };
        let block = Arc::new(words);
        while opened.held.len() >= opened.most {
            let Some(oldest) = opened.order.pop_front() else { break };
            opened.held.remove(&oldest);
        }
        opened.held.insert(number, block.clone());
        opened.order.push_back(number);
        Ok(block)
    }

    /// Appends the words of these rows.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(&self, rows: impl Iterator<Item = usize>, words: &mut Vec<u32>) -> io::Result<()> {
        let mut last: Option<(usize, Arc<Vec<u32>>)> = None;
        for row in rows {
            let number = row / self.blocks.rows;
            let block = match last.take() {
                Some((at, block)) if at == number => block,
                _ => self.block(number)?,
            };
            words.extend_from_slice(&block[row % self.blocks.rows * self.width..][..self.width]);
            last = Some((number, block));
        }
        Ok(())
    }
}

/// Words that lie column by column, of `rows` rows, row by row.
fn transposed(words: &[u32], rows: usize) -> Vec<u32> {
    let width = words.len() / rows;
    let mut all = vec![0; words.len()];
    for (column, values) in words.chunks_exact(rows).enumerate() {
        for (to, &value) in all[column..].iter_mut().step_by(width).zip(values) {
            *to = value;
        }
    }
    all
}

/// A file of rows while it is written.
#[derive(Debug)]
pub struct FileWriter {
    file: File,
    width: usize,
    rows: usize,
    by_column: bool,
    blocks: Blocks,
    most: usize,
}

impl FileWriter {
    /// A file in `folder` for `rows` rows of `width` words, of which blocks of at most `pool` bytes are shuffled among
    /// each other. The system deletes it when the program ends, however it ends.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(
        folder: &Path,
        rows: usize,
        width: usize,
        by_column: bool,
        pool: usize,
    ) -> io::Result<Self> {
        let (width, row_bytes) = (width.max(1), 4 * width.max(1));
        let block_bytes = BLOCK_BYTES.min(pool / LEAST_BLOCKS);
        let rows_of_block = (block_bytes / row_bytes).clamp(1, rows.max(1));
        let together = (pool / (rows_of_block * row_bytes)).max(1);
        let blocks = Blocks { rows: rows_of_block, together };
        let file = tempfile::tempfile_in(folder)?;
        // Those of two neighbouring pools, of which a batch may have rows.
        let most = 2 * together + 2;
        Ok(Self { file, width, rows, by_column, blocks, most })
    }

    /// Writes values of column `column`, from row `row` on, of a file by columns.
    ///
    /// # Errors
    /// If the disk is full or fails.
    pub fn column(&mut self, row: usize, column: usize, values: &[u32]) -> io::Result<()> {
        debug_assert!(self.by_column, "rows are written as a whole");
        let (mut row, mut rest) = (row, values);
        while !rest.is_empty() {
            let (block, within) = (row / self.blocks.rows, row % self.blocks.rows);
            let (part, after) = rest.split_at(rest.len().min(self.blocks.rows - within));
            let place = (block * self.width + column) * self.blocks.rows + within;
            self.file.seek(SeekFrom::Start(4 * place as u64))?;
            self.file.write_all(bytemuck::cast_slice(part))?;
            row += part.len();
            rest = after;
        }
        Ok(())
    }

    /// Writes whole rows, from row `row` on, of a file by rows.
    ///
    /// # Errors
    /// If the disk is full or fails.
    pub fn rows(&mut self, row: usize, words: &[u32]) -> io::Result<()> {
        debug_assert!(!self.by_column, "columns are written one by one");
        self.file.seek(SeekFrom::Start(4 * (row * self.width) as u64))?;
        self.file.write_all(bytemuck::cast_slice(words))
    }

    /// The rows, to be read. Those that are read once, in order, need few blocks at a time.
    pub fn finish(self, in_order: bool) -> Stored {
        let Self { file, width, rows, by_column, blocks, most } = self;
        let most = if in_order { 4 } else { most };
        let (held, order) = (HashMap::new(), VecDeque::new());
        let opened = Mutex::new(Opened { file, held, order, most });
        Stored::in_file(width, rows, FileRows { width, by_column, blocks, opened })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_file_are_those_that_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let (rows, width) = (1003, 7);
        let word = |row: usize, column: usize| (row * 1000 + column) as u32;
        for by_column in [true, false] {
            // Blocks of 9 rows.
            let mut writer = FileWriter::create(folder.path(), rows, width, by_column, 8 * 9 * 28).unwrap();
            if by_column {
                for column in 0..width {
                    let values: Vec<u32> = (0..rows).map(|row| word(row, column)).collect();
                    writer.column(0, column, &values[..500]).unwrap();
                    writer.column(500, column, &values[500..]).unwrap();
                }
            } else {
                let row = |row| (0..width).map(move |column| word(row, column));
                writer.rows(0, &(0..400).flat_map(row).collect::<Vec<u32>>()).unwrap();
                writer.rows(400, &(400..rows).flat_map(row).collect::<Vec<u32>>()).unwrap();
            }
            let stored = writer.finish(false);
            assert_eq!(stored.blocks(), Some(Blocks { rows: 9, together: 8 }));
            let mut words = vec![];
            stored.read([1002, 0, 500, 9, 1002].into_iter(), 1, &mut words).unwrap();
            let expected =
                [1002, 0, 500, 9, 1002].iter().flat_map(|&row| (0..width).map(move |c| word(row, c)));
            assert_eq!(words, expected.collect::<Vec<u32>>());
            words.clear();
            stored.read([77].into_iter(), 2, &mut words).unwrap();
            assert_eq!((words[0], words[width + 6]), (word(77, 0), word(78, 6)));
        }
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing is left behind");
    }
}
