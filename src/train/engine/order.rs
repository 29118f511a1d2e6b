//! The row order of texts, chosen so that states can be carried from batch to batch.

/// The rows of a data set as batches of `batch` rows, in which each row is followed, in the next batch, by
/// its successor in the text. `None` marks a stream that has ended before others.
pub(super) fn streams(rows: usize, batch: usize) -> Vec<Option<u32>> {
    let steps = rows.div_ceil(batch);
    let row = |at: usize| at % batch * steps + at / batch;
    (0..steps * batch).map(|at| Some(row(at)).filter(|&row| row < rows).map(|row| row as u32)).collect()
}

/// The order in which an epoch reads the rows of a text: in each batch, every row continues where the same
/// row of the previous batch ended. Rows at the end that do not fill a batch are left out.
pub(crate) fn text_order(rows: usize, batch: usize) -> Vec<u32> {
    streams(rows / batch * batch, batch).into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_of_a_batch_goes_on_where_it_was() {
        assert_eq!(text_order(7, 3), [0, 2, 4, 1, 3, 5]);
        assert_eq!(text_order(4, 4), [0, 1, 2, 3]);
        let padded = streams(5, 2);
        assert_eq!(padded, [Some(0), Some(3), Some(1), Some(4), Some(2), None]);
    }
}
