//! Predictions beside the columns of the input.

use std::path::Path;

use crate::data::Kept;
use crate::tasks::Table;
use crate::train::TrainError;

/// A table of predictions with the kept columns of `input` before them, row by row.
///
/// # Errors
/// If both have a column of the same name, or not the same rows.
pub(super) fn beside(kept: &Kept, input: &Path, predicted: Table) -> Result<Table, TrainError> {
    let fail = |reason: String| TrainError::unusable(input, reason);
    let Table { titles, lines, .. } = &predicted;
    if let Some(name) = kept.titles().find(|name| titles.iter().any(|title| title == *name)) {
        let others: Vec<&str> = kept.titles().filter(|kept| titles.iter().all(|t| t != *kept)).collect();
        let advice = match &others[..] {
            [] => "leave --keep out".into(),
            others => format!("name the columns to keep: --keep \"{}\"", others.join(",")),
        };
        return Err(fail(format!(
            "the column `{name}` cannot be kept, because the predictions have a column of that name; {advice}"
        )));
    }
    if lines.len() != kept.rows() || predicted.rows != kept.rows() {
        return Err(fail(format!(
            "--keep needs one prediction for each row; there are {} predictions for {} rows",
            predicted.rows,
            kept.rows()
        )));
    }
    let beside = |(row, line): (usize, &Vec<String>)| [kept.cells(row), line.clone()].concat();
    Ok(Table {
        titles: kept.titles().chain(titles.iter().map(String::as_str)).map(String::from).collect(),
        texts: kept.titles().map(|_| true).chain(predicted.texts.iter().copied()).collect(),
        lines: lines.iter().enumerate().map(beside).collect(),
        ..predicted
    })
}
