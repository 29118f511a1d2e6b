//! Texts one after another in a single buffer.

/// Texts of a column.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    pub(super) buffer: String,
    /// Where each text ends.
    pub(super) ends: Vec<u64>,
}

impl Texts {
    /// Number of texts.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Appends a text.
    pub fn push(&mut self, text: &str) {
        self.buffer.push_str(text);
        self.ends.push(self.buffer.len() as u64);
    }

    /// Appends all texts of another column.
    pub fn append(&mut self, other: &Self) {
        let before = self.buffer.len() as u64;
        self.buffer.push_str(&other.buffer);
        self.ends.extend(other.ends.iter().map(|end| before + end));
    }

    /// Room for `rows` more texts like those that are here.
    pub fn reserve(&mut self, rows: usize) {
        let each = self.buffer.len() as f64 / self.len().max(1) as f64;
        self.buffer.reserve_exact((each * rows as f64) as usize);
        self.ends.reserve_exact(rows);
    }

    /// A text.
    pub fn get(&self, row: usize) -> &str {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.buffer[start as usize..self.ends[row] as usize]
    }

    /// All texts.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|row| self.get(row))
    }
}
