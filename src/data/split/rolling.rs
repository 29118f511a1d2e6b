//! Rolling origin: test parts of equal length at the end, each followed by the next, and training parts that grow
//! by one of them each time (Tashman 2000; scikit-learn's `TimeSeriesSplit`).

use jiff::civil::DateTime;

use super::Parts;
use crate::base::order::Order;
use crate::data::DataError;

/// The keys of a rolling split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rolling {
    /// Number of test parts.
    pub folds: usize,
    /// Which of them tests.
    pub fold: usize,
    /// The part of the earlier rows that validates.
    pub validation: f64,
    /// Rows of a test part, if they are given.
    pub test_rows: Option<usize>,
}

/// Rows that each part needs at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Least {
    /// Training rows.
    pub train: usize,
    /// Validation rows.
    pub validation: usize,
    /// Test rows.
    pub test: usize,
}

impl Least {
    /// One row in each part.
    pub const ONE: Self = Self { train: 1, validation: 1, test: 1 };
}

/// More rows are not looked for.
const MOST: usize = 1 << 30;

impl Rolling {
    /// The rows of `count` before which training, validation and test end; none if there are too few.
    fn ends(self, count: usize) -> Option<[usize; 3]> {
        let test = self.test_rows.unwrap_or(count / (self.folds + 1));
        let start = count.checked_sub((self.folds - self.fold).checked_mul(test)?)?;
        let validation = (self.validation * start as f64).round() as usize;
        Some([start.checked_sub(validation)?, start, start + test])
    }

    /// Whether the first fold, which has the fewest rows, has `least`.
    fn suffices(self, count: usize, least: Least) -> bool {
        let first = Self { fold: 0, ..self };
        first.ends(count).is_some_and(|[train, start, end]| {
            train >= least.train && start - train >= least.validation && end - start >= least.test
        })
    }

    /// The row numbers before which training, validation and test end; `what` are the `count` things counted.
    ///
    /// # Errors
    /// If a key is out of range, or there are too few rows, naming how many are needed.
    fn cut(self, count: usize, least: Least, what: &str) -> Result<[usize; 3], DataError> {
        let bad = |reason: String| DataError::Split { reason };
        let Self { folds, validation, test_rows, .. } = self;
        if folds > 1000 {
            return Err(bad(format!("`folds` = {folds} must be at most 1000")));
        }
        if let Some(rows) = test_rows.filter(|rows| *rows < least.test) {
            return Err(bad(format!("`test_rows` = {rows} must be at least {}", least.test)));
        }
        if validation == 0.0 {
            return Err(bad(
                "`validation` = 0 leaves no rows for validation; give a part such as 0.15".into()
            ));
        }
        if !self.suffices(count, least) {
            // The least number that suffices: from a power of two on all do, those below it are halved.
            let enough = (0..=30).map(|n| 1usize << n).find(|&n| n > count && self.suffices(n, least));
            let (mut low, mut high) = (count, enough.unwrap_or(MOST));
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                if self.suffices(middle, least) { high = middle } else { low = middle }
            }
            return Err(bad(format!(
                "{folds} test parts, each after a training part of its own, need {high} {what}, and there are \
                 {count}: at least {} to train, {} to validate ({:.1} % of those before the test) and {} to test \
                 in each; use fewer folds, a smaller `test_rows`, or more rows",
                least.train,
                least.validation,
                100.0 * validation,
                test_rows.unwrap_or(least.test),
            )));
        }
        self.ends(count).ok_or_else(|| bad("`test_rows` is larger than the table".into()))
    }

    /// Splits rows in their order.
    ///
    /// # Errors
    /// As [`Rolling::cut`].
    pub fn by_order(self, rows: &[usize], least: Least) -> Result<Parts, DataError> {
        let [train, validation, test] = self.cut(rows.len(), least, "rows")?;
        Ok(Parts {
            train: rows[..train].to_vec(),
            validation: rows[train..validation].to_vec(),
            test: rows[validation..test].to_vec(),
        })
    }

    /// Splits rows by their times: those of one time are in the same part.
    ///
    /// # Errors
    /// As [`Rolling::cut`].
    pub fn by_time(self, rows: &[usize], times: &[DateTime], least: Least) -> Result<Parts, DataError> {
        let mut different = times.to_vec();
        different.order();
        different.dedup();
        let [train, validation, test] = self.cut(different.len(), least, "different times")?;
        let mut parts = Parts::default();
        for (&row, time) in rows.iter().zip(times) {
            let at = different.partition_point(|other| other < time);
            match at {
                _ if at < train => parts.train.push(row),
                _ if at < validation => parts.validation.push(row),
                _ if at < test => parts.test.push(row),
                _ => {}
            }
        }
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Least = Least { train: 6, validation: 2, test: 2 };

    #[test]
    fn test_parts_follow_each_other_and_end_with_the_rows() {
        let rows: Vec<usize> = (100..140).collect();
        let mut tested = vec![];
        for fold in 0..3 {
            let rolling = Rolling { folds: 3, fold, validation: 0.2, test_rows: None };
            let parts = rolling.by_order(&rows, LEAST).unwrap();
            assert_eq!(parts.test.len(), 10);
            let before: Vec<usize> = parts.train.iter().chain(&parts.validation).copied().collect();
            assert_eq!(before, rows[..10 * (fold + 1)], "everything before the test, nothing after it");
            assert_eq!(parts.validation.len(), 2 * (fold + 1));
            tested.extend(parts.test);
        }
        assert_eq!(tested, rows[10..]);
    }

    #[test]
    fn the_rows_that_are_needed_suffice() {
        let rolling = Rolling { folds: 4, fold: 3, validation: 0.25, test_rows: None };
        let rows: Vec<usize> = (0..30).collect();
        let message = rolling.by_order(&rows, LEAST).unwrap_err().to_string();
        let needed: usize =
            message.split("need ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let of = |count| rolling.by_order(&(0..count).collect::<Vec<_>>(), LEAST);
        assert!(of(needed).is_ok() && of(needed - 1).is_err(), "{message}");
    }

    #[test]
    fn rows_of_one_time_stay_together() {
        let time = |day: usize| jiff::civil::date(2024, 1, day as i8 + 1).to_datetime(jiff::civil::Time::MIN);
        let rows: Vec<usize> = (0..40).collect();
        let times: Vec<DateTime> = rows.iter().map(|row| time(row % 20)).collect();
        let rolling = Rolling { folds: 2, fold: 1, validation: 0.25, test_rows: Some(4) };
        let parts = rolling.by_time(&rows, &times, LEAST).unwrap();
        assert_eq!(parts.test, [16, 17, 18, 19, 36, 37, 38, 39]);
        assert_eq!(parts.validation, [12, 13, 14, 15, 32, 33, 34, 35]);
    }
}
