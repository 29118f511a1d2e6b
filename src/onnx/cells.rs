//! How raw values are read before they are encoded: which of them stand for missing ones, and what is to be
//! said of a column whose cells are no plain numbers or names.

use super::builder::Builder;
use crate::data::Fitted;
use crate::data::cells::{MISSING_MARKERS, number};

/// What is known of raw values.
#[derive(Debug, Default)]
pub struct Cells<'a> {
    fitted: Option<&'a Fitted>,
    /// Numbers that mark missing values.
    numbers: Vec<f64>,
    /// Texts that mark missing values.
    pub words: Vec<String>,
}

impl<'a> Cells<'a> {
    /// The values of a run's files.
    pub fn of(fitted: &'a Fitted) -> Self {
        let csv = &fitted.csv;
        let usual = MISSING_MARKERS.iter().filter(|_| csv.default_missing).map(|word| (*word).to_string());
        let words = csv.missing.iter().cloned().chain(usual).collect();
        Self {
            fitted: Some(fitted),
            numbers: csv.missing.iter().filter_map(|word| number(word)).collect(),
            words,
        }
    }

    /// Where a column comes from that no file has as it is, and how its cells are written.
    pub fn note(&self, column: &str) -> String {
        let Some(fitted) = self.fitted else { return String::new() };
        let written = fitted.formats.get(column).map(|format| {
            format!("; its cells are written as {}, the input is the plain value", format.describe())
        });
        let made = match (fitted.derive.get(column), &fitted.reshape) {
            (Some(formula), _) => format!("; computed from other columns as {formula}"),
            (None, Some(_)) => "; of the rows as [data.reshape] makes them".into(),
            (None, None) => String::new(),
        };
        written.unwrap_or_default() + &made
    }

    /// Numbers in which the markers of missing values are NaN. From the numbers, `offset` was subtracted.
    pub fn known(&self, b: &mut Builder, x: String, offset: f64) -> String {
        let Some(_) = self.numbers.first() else { return x };
        let nan = b.number(f32::NAN);
        self.numbers.iter().fold(x, |x, marker| {
            let marker = b.number((marker - offset) as f32);
            let marks = b.node("Equal", &[&x, &marker], vec![]);
            b.node("Where", &[&marks, &nan, &x], vec![])
        })
    }
}
