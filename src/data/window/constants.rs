//! Columns that hold one value for each series: `static` in `[data.window]`.

use super::series::Series;
use crate::data::DataError;
use crate::data::config::WindowConfig;

/// Checks that each static column holds one value in each series; empty cells do not count.
///
/// # Errors
/// If one holds two: names the series and the lines.
pub(super) fn check(series: &Series, window: &WindowConfig) -> Result<(), DataError> {
    let Some(group) = window.group.as_ref().filter(|_| !window.constant.is_empty()) else { return Ok(()) };
    let (table, group) = (&series.table, series.table.find(group)?);
    for name in &window.constant {
        let at = table.find(name)?;
        for rows in &series.groups {
            let mut present = rows.clone().filter(|&row| !table.is_missing(at, row));
            let Some(first) = present.next() else { continue };
            let value = table.cell(at, first);
            if let Some(other) = present.find(|&row| table.cell(at, row) != value) {
                return Err(DataError::Series {
                    path: table.path.clone(),
                    line: table.lines[other],
                    column: name.clone(),
                    reason: format!(
                        "it is in `static` of [data.window], but series `{}` has \"{value}\" in line {} and \"{}\" \
                         in line {}; correct the cells, or remove it from `static`, which makes it a feature of \
                         each row",
                        table.cell(group, first),
                        table.lines[first],
                        table.cell(at, other),
                        table.lines[other]
                    ),
                });
            }
        }
    }
    Ok(())
}
