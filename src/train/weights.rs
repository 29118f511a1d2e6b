//! How much rows count in metrics.

/// Weights of rows; all 1 if there are none. With weights, metrics are those of scikit-learn with `sample_weight`.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a>(pub &'a [f64]);

impl Weights<'_> {
    /// All rows count the same.
    pub const EQUAL: Weights<'static> = Weights(&[]);

    /// The weight of a row.
    pub fn of(self, row: usize) -> f64 {
        self.0.get(row).copied().unwrap_or(1.0)
    }

    /// The sum of `values`, one for each row, times their weights.
    pub fn sum(self, values: impl Iterator<Item = f64>) -> f64 {
        values.enumerate().map(|(row, value)| self.of(row) * value).sum()
    }

    /// The sum of the weights of `rows` rows.
    pub fn total(self, rows: usize) -> f64 {
        if self.0.is_empty() { rows as f64 } else { self.0.iter().sum() }
    }

    /// The weighted mean of `values`, one for each row; NaN of none.
    pub fn mean(self, values: impl ExactSizeIterator<Item = f64>) -> f64 {
        let total = self.total(values.len());
        self.sum(values) / total
    }
}
