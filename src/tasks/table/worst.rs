//! The rows of a table that a model predicts worst, with what it read of them.

use super::Head;
use crate::base::number::figure;
use crate::base::order::Order;
use crate::data::{Dataset, Encoding, Fitted, FittedScaling};
use crate::report::tables::table;
use crate::tasks::Shown;
use crate::train::metrics::decide;

/// Rows shown.
const ROWS: usize = 10;
/// Columns shown.
const COLUMNS: usize = 12;

/// The rows with the largest errors, or the most confident mistakes; nothing if there are none.
pub(super) fn rows(fitted: &Fitted, head: &dyn Head, shown: &Shown) -> String {
    let (what, ranked) = match head.classes() {
        [] => ("largest errors", errors(fitted, shown)),
        names => ("most confident mistakes", mistakes(names, head.threshold(), shown)),
    };
    if ranked.is_empty() {
        return String::new();
    }
    let features = Features::of(fitted);
    let line = |(_, row, cells): &(f64, usize, [String; 3])| {
        let number = shown.rows.source_rows.get(*row).map_or(*row, |row| row + 1);
        let own = std::iter::once(number.to_string()).chain(cells.iter().cloned());
        own.chain(features.cells(shown.rows, *row)).collect()
    };
    let lines: Vec<Vec<String>> = ranked.iter().map(line).collect();
    let sure = if head.classes().is_empty() { "error" } else { "probability" };
    let head: Vec<&str> = ["row", "true", "predicted", sure].into_iter().chain(features.names()).collect();
    let more = match fitted.columns.len().saturating_sub(COLUMNS) {
        0 => String::new(),
        more => format!("; {more} more columns are not shown"),
    };
    format!(
        "<p>The {what} on the {} rows. Rows count from 1 in the file; their values are as the \
         model read them{more}.</p>\n{}",
        shown.part,
        table(&head, &lines, 1)
    )
}

/// Rows by falling error: `(size, row, [true, predicted, error])`.
fn errors(fitted: &Fitted, shown: &Shown) -> Vec<(f64, usize, [String; 3])> {
    let (target, outputs) = (&fitted.target, fitted.target.outputs());
    if outputs != 1 {
        return vec![];
    }
    let found = shown.predictions.values(target);
    let mut truth = shown.predictions.true_values(target);
    if let Some(scaling) = target.scaling(0) {
        truth = shown.predictions.truth.iter().map(|&y| own_units(scaling, y)).collect();
    }
    let pairs = truth.iter().zip(&found).enumerate().filter(|(_, (t, f))| t != f);
    let row = |(row, (t, f)): (usize, (&f64, &f64))| ((f - t).abs(), row, [*t, *f, f - t].map(figure));
    worst(pairs.map(row).collect())
}

/// A scaled number of single precision in its own units, where a zero may have become a number as small as its rounding.
fn own_units(scaling: &FittedScaling, x: f64) -> f64 {
    let value = scaling.invert(x);
    let next = scaling.invert(x + f64::from(f32::EPSILON) * x.abs().max(1.0));
    if value.abs() <= 2.0 * (next - value).abs() { 0.0 } else { value }
}

/// Wrongly predicted rows by falling probability: `(probability, row, [true, predicted, probability])`.
fn mistakes(names: &[String], threshold: Option<f64>, shown: &Shown) -> Vec<(f64, usize, [String; 3])> {
    let mut wrong = vec![];
    for (row, (p, truth)) in
        shown.predictions.probabilities().iter().zip(&shown.predictions.truth).enumerate()
    {
        let (predicted, truth) = (decide(p, threshold), *truth as usize);
        if let (true, Some(name)) = (predicted != truth, names.get(truth)) {
            wrong.push((p[predicted], row, [name.clone(), names[predicted].clone(), figure(p[predicted])]));
        }
    }
    worst(wrong)
}

/// The first rows by falling number; of equal ones, in the order of the rows.
fn worst(mut rows: Vec<(f64, usize, [String; 3])>) -> Vec<(f64, usize, [String; 3])> {
    rows.order_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    rows.truncate(ROWS);
    rows
}

/// The columns shown, each with its first feature.
struct Features<'a>(Vec<(&'a str, &'a Encoding, usize)>);

impl<'a> Features<'a> {
    fn of(fitted: &'a Fitted) -> Self {
        let mut columns = vec![];
        let mut start = 0;
        for column in &fitted.columns {
            columns.push((column.name.as_str(), &column.encoding, start));
            start += column.features();
        }
        columns.truncate(COLUMNS);
        Self(columns)
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.0.iter().map(|(name, ..)| *name)
    }

    /// What a model read of a row.
    fn cells(&self, rows: &Dataset, row: usize) -> Vec<String> {
        let x = rows.features_of(row..row + 1);
        let cell = |&(name, encoding, start): &(&str, &Encoding, usize)| match encoding {
            Encoding::Number { boolean, scaling, indicator, .. } => {
                let missing = *indicator && x.get(start + 1).is_some_and(|x| *x == 1.0);
                let value = x.get(start).map(|x| own_units(scaling, f64::from(*x)));
                let value = match value {
                    Some(0.0) if *boolean => "false".into(),
                    Some(1.0) if *boolean => "true".into(),
                    other => other.map(figure).unwrap_or_default(),
                };
                if missing { format!("{value} (missing)") } else { value }
            }
            Encoding::OneHot { names, .. } => {
                let of_row = x.get(start..start + names.len()).unwrap_or_default();
                let name = of_row.iter().position(|x| *x == 1.0).map(|at| names[at].clone());
                name.unwrap_or_else(|| "(unseen)".into())
            }
            Encoding::Embedding { names, .. } => {
                let column = rows.categories.iter().find(|column| column.name == name);
                let id = column.and_then(|column| column.ids.get(row)).copied().unwrap_or(0) as usize;
                let name = id.checked_sub(1).and_then(|at| names.get(at)).cloned();
                name.unwrap_or_else(|| "(unseen)".into())
            }
            // The parts that the model read do not tell the time.
            Encoding::Calendar { .. } => "(time)".into(),
        };
        self.0.iter().map(cell).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_that_was_scaled_is_zero_again() {
        let scaling = FittedScaling::Affine { shift: 0.013, scale: 0.37 };
        for value in [0.0, 0.013, -2.5, 1e-3] {
            let found = own_units(&scaling, f64::from(scaling.apply(value) as f32));
            assert!((found - value).abs() < 1e-7, "{found} instead of {value}");
        }
        assert_eq!(own_units(&scaling, f64::from(scaling.apply(0.0) as f32)), 0.0);
    }
}
