//! Which columns each row of a sparse matrix has: the edges of a graph, in both orders.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Edges that are added up on their own; the sum of a row with more is that of the sums of its pieces, in order, so
/// that no invocation of a shader adds up a whole hub.
pub const PIECE: usize = 1024;

/// The edges by one of their ends: those of end `i` are at `starts[i]..starts[i + 1]`, in the order of their numbers.
#[derive(Clone, PartialEq, Eq)]
pub struct Ends {
    /// Where each end's edges start, and where the last one's stop: `[ends + 1]`.
    pub starts: Vec<u32>,
    /// The other end of each edge, `[edges]`.
    pub others: Vec<u32>,
    /// The number of each edge, `[edges]`; `None` if that is its place.
    pub numbers: Option<Vec<u32>>,
    /// Edges of the end that has most.
    pub longest: usize,
}

/// The nonzero elements of a sparse matrix, numbered: edge `e` lies in row `rows[e]` and column `columns[e]`. A pair
/// may have several.
#[derive(Clone, PartialEq, Eq)]
pub struct Links {
    /// The row of each edge.
    pub rows: Arc<Vec<u32>>,
    /// The column of each edge.
    pub columns: Arc<Vec<u32>>,
    /// The edges by row.
    pub by_row: Arc<Ends>,
    /// The edges by column.
    pub by_column: Arc<Ends>,
    /// Of the rows and of the columns, so that two are told apart without reading them.
    digests: [u64; 2],
}

impl Hash for Links {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digests.hash(state);
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [rows, columns] = self.extents();
        let [a, b] = self.digests;
        write!(f, "Links({rows}x{columns}, {} edges, {a:016x} {b:016x})", self.edges())
    }
}

impl Ends {
    fn new(ends: &[u32], others: &[u32], count: usize) -> Self {
        let mut starts = vec![0u32; count + 1];
        for &end in ends {
            starts[end as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let mut numbers = vec![0u32; ends.len()];
        for (edge, &end) in ends.iter().enumerate() {
            numbers[next[end as usize] as usize] = edge as u32;
            next[end as usize] += 1;
        }
        let others = numbers.iter().map(|&edge| others[edge as usize]).collect();
        let longest = starts.windows(2).map(|pair| (pair[1] - pair[0]) as usize).max().unwrap_or(0);
        let in_order = numbers.is_sorted();
        Self { starts, others, numbers: (!in_order).then_some(numbers), longest }
    }

    /// The number of the edge at a place.
    pub fn number(&self, at: usize) -> usize {
        self.numbers.as_ref().map_or(at, |numbers| numbers[at] as usize)
    }

    /// The places of the edges of end `i`.
    pub fn of(&self, i: usize) -> std::ops::Range<usize> {
        self.starts[i] as usize..self.starts[i + 1] as usize
    }
}

impl Links {
    /// Edges in a matrix of `extents` rows and columns.
    ///
    /// # Errors
    /// If an edge lies outside of it, or the two lists differ in length.
    pub fn new(rows: Vec<u32>, columns: Vec<u32>, extents: [usize; 2]) -> Result<Self, String> {
        if rows.len() != columns.len() {
            return Err(format!("{} rows and {} columns are no edges", rows.len(), columns.len()));
        }
        if u32::try_from(rows.len()).is_err() {
            return Err(format!("{} edges are more than can be numbered with 32 bits", rows.len()));
        }
        for (what, ends, extent) in [("row", &rows, extents[0]), ("column", &columns, extents[1])] {
            if let Some(end) = ends.iter().find(|end| **end as usize >= extent) {
                return Err(format!("an edge names {what} {end}, and there are {extent}"));
            }
        }
        Ok(Self::of(rows, columns, extents))
    }

    /// Number of edges.
    pub fn edges(&self) -> usize {
        self.rows.len()
    }

    /// Numbers of rows and columns.
    pub fn extents(&self) -> [usize; 2] {
        [self.by_row.starts.len() - 1, self.by_column.starts.len() - 1]
    }

    /// The transposed matrix; edges keep their numbers.
    pub fn flipped(&self) -> Self {
        let [rows, columns] = self.digests;
        Self {
            rows: self.columns.clone(),
            columns: self.rows.clone(),
            by_row: self.by_column.clone(),
            by_column: self.by_row.clone(),
            digests: [columns, rows],
        }
    }

    /// The matrix `[rows, edges]` that adds up what the edges of each row have, and whose transpose repeats what a
    /// row has for each of its edges.
    pub fn of_rows(&self) -> Self {
        let places: Vec<u32> = (0..self.edges() as u32).collect();
        Self::of(self.rows.to_vec(), places, [self.extents()[0], self.edges()])
    }

    /// Two matrices whose product is this one, of which the right one, with the edges of this one, has at most
    /// [`PIECE`] in a row, and the left one adds up the pieces; `None` if no row has more.
    pub fn in_pieces(&self) -> Option<[Self; 2]> {
        if self.by_row.longest <= PIECE {
            return None;
        }
        let [rows, columns] = self.extents();
        let mut pieces = vec![0u32; self.edges()];
        let mut of = vec![];
        for row in 0..rows {
            for (at, place) in self.by_row.of(row).enumerate() {
                if at % PIECE == 0 {
                    of.push(row as u32);
                }
                pieces[self.by_row.number(place)] = of.len() as u32 - 1;
            }
        }
        let count = of.len();
        let right = Self::of(pieces, self.columns.to_vec(), [count, columns]);
        Some([Self::of(of, (0..count as u32).collect(), [rows, count]), right])
    }

    /// Edges that are known to lie inside.
    fn of(rows: Vec<u32>, columns: Vec<u32>, extents: [usize; 2]) -> Self {
        let by_row = Ends::new(&rows, &columns, extents[0]);
        let by_column = Ends::new(&columns, &rows, extents[1]);
        let digest = |ends: &Vec<u32>, extent: usize| {
            let mut hasher = DefaultHasher::new();
            (ends, extent).hash(&mut hasher);
            hasher.finish()
        };
        let digests = [digest(&rows, extents[0]), digest(&columns, extents[1])];
        Self {
            rows: Arc::new(rows),
            columns: Arc::new(columns),
            by_row: Arc::new(by_row),
            by_column: Arc::new(by_column),
            digests,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_found_by_either_end() {
        let links = Links::new(vec![2, 0, 2, 2], vec![1, 0, 0, 1], [4, 2]).unwrap();
        assert_eq!(links.by_row.starts, [0, 1, 1, 4, 4]);
        assert_eq!(links.by_row.others, [0, 1, 0, 1]);
        assert_eq!(links.by_row.numbers, Some(vec![1, 0, 2, 3]));
        assert_eq!(links.by_column.numbers, Some(vec![1, 2, 0, 3]));
        assert_eq!((links.by_row.longest, links.by_column.longest), (3, 2));
        assert_eq!(links.flipped().flipped(), links);
        assert_eq!(links.flipped().extents(), [2, 4]);
        assert_eq!(links.of_rows().by_row.others, [1, 0, 2, 3]);
    }

    #[test]
    fn edges_that_cannot_be_are_refused() {
        let refused =
            |rows: &[u32], columns: &[u32]| Links::new(rows.to_vec(), columns.to_vec(), [2, 3]).unwrap_err();
        assert!(refused(&[2], &[0]).contains("row 2"));
        assert!(refused(&[1], &[3]).contains("column 3"));
        assert!(refused(&[1], &[]).contains("1 rows and 0 columns"));
    }

    #[test]
    fn hubs_are_cut_and_their_pieces_joined() {
        let count = 2 * PIECE + 5;
        let rows: Vec<u32> = (0..count as u32).map(|e| if e == 7 { 0 } else { 1 }).collect();
        let columns: Vec<u32> = (0..count as u32).map(|e| e % 9).collect();
        let links = Links::new(rows, columns, [3, 9]).unwrap();
        let [left, right] = links.in_pieces().unwrap();
        assert_eq!((left.extents(), right.extents()), ([3, 4], [4, 9]));
        assert_eq!(right.by_row.longest, PIECE);
        assert!(left.in_pieces().is_none() && right.in_pieces().is_none());
        for edge in 0..count {
            assert_eq!(left.rows[right.rows[edge] as usize], links.rows[edge]);
        }
        assert_eq!(right.columns, links.columns);
    }
}
