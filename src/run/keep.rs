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
    let mut reader = csv::Reader::from_reader(&predicted.csv[..]);
    let titles = reader.headers().map_err(|e| fail(e.to_string()))?.clone();
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
    let mut writer = csv::Writer::from_writer(vec![]);
    let mut write = |line: Vec<String>| writer.write_record(line).map_err(|e| fail(e.to_string()));
    write(kept.titles().chain(&titles).map(String::from).collect())?;
    let mut rows = 0;
    for record in reader.records() {
        let record = record.map_err(|e| fail(e.to_string()))?;
        if rows == kept.rows() {
            break;
        }
        write(kept.cells(rows).into_iter().chain(record.iter().map(String::from)).collect())?;
        rows += 1;
    }
    if rows != kept.rows() || rows != predicted.rows {
        return Err(fail(format!(
            "--keep needs one prediction for each row; there are {} predictions for {} rows",
            predicted.rows,
            kept.rows()
        )));
    }
    let csv = writer.into_inner().map_err(|e| fail(e.to_string()))?;
    Ok(Table { csv, ..predicted })
}
