//! Rows of a table by index, and the gradient of the table. Indices are whole numbers.

use super::Real;

/// Row `indices[i]` of `table` `[vocabulary, width]`, for each `i`: `[count, width]`; NaN for an index
/// outside the table.
pub fn gather<T: Real>(table: &[f64], [vocabulary, width]: [usize; 2], indices: &[f64]) -> Vec<T> {
    let mut out = vec![];
    for &index in indices {
        let row = index as usize;
        let inside = row < vocabulary;
        out.extend((0..width).map(|c| T::exact(if inside { table[row * width + c] } else { f64::NAN })));
    }
    out
}

/// The sum of the gradients `dy` `[count, width]` whose index names it, for each row of the table:
/// `[vocabulary, width]`.
pub fn gather_grad<T: Real>(indices: &[f64], dy: &[f64], [vocabulary, width]: [usize; 2]) -> Vec<T> {
    let mut named = vec![vec![]; vocabulary];
    for (position, &index) in indices.iter().enumerate() {
        if (index as usize) < vocabulary {
            named[index as usize].push(position);
        }
    }
    let mut out = vec![];
    for positions in named {
        out.extend((0..width).map(|c| T::sum(positions.iter().map(|p| T::exact(dy[p * width + c])))));
    }
    out
}
