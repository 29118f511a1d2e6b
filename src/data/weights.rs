//! Weights of rows, from a column of a table.

use super::config::{ColumnKind, DataConfig};
use super::fitted::Fitted;
use super::table::Table;
use super::{DataError, cells};

/// The column of the weights, if rows have any.
///
/// # Errors
/// If there is no such column, or it is used otherwise too.
pub(super) fn find(config: &DataConfig, table: &Table) -> Result<Option<usize>, DataError> {
    let Some(name) = &config.weight else { return Ok(None) };
    let at = table.find(name)?;
    let reason = if config.target.as_ref().is_some_and(|target| target.contains(name)) {
        "it is the target, so it cannot be `data.weight`; name another column there"
    } else if config.features.as_ref().is_some_and(|features| features.contains(name)) {
        "it is `data.weight`, which says how much rows count and is no feature; remove it from `features`"
    } else if config.clean.columns.contains_key(name) {
        "it is `data.weight`, which is read as it is: rows without one are left out; remove it from \
         [data.clean.columns]"
    } else if config.transform.columns.contains_key(name) {
        "it is `data.weight`, which is read as it is; remove it from [data.transform.columns]"
    } else {
        return Ok(Some(at));
    };
    Err(DataError::Treatment { column: name.clone(), reason: reason.into() })
}

impl Fitted {
    /// The weights of `rows`, divided by their mean; none if rows weigh the same.
    ///
    /// # Errors
    /// If there is no such column, one is no number from 0 up, or all of `rows` have weight 0.
    pub(super) fn weights(&self, table: &Table, rows: &[usize]) -> Result<Vec<f64>, DataError> {
        let Some(name) = self.weight.as_ref().filter(|_| !rows.is_empty()) else { return Ok(vec![]) };
        let at = table.find(name)?;
        let bad = |row: usize| DataError::Cell {
            path: table.path.clone(),
            line: table.lines[row],
            column: name.clone(),
            text: table.cell(at, row).chars().take(80).collect(),
            expected: "a weight: a number from 0 up (`data.weight`)",
        };
        let values = cells::values(table, at, rows, ColumnKind::Number)?;
        let weights = values.iter().zip(rows).map(|(value, &row)| match value {
            Some(weight) if *weight >= 0.0 => Ok(*weight),
            _ => Err(bad(row)),
        });
        let weights: Vec<f64> = weights.collect::<Result<_, _>>()?;
        let mean = weights.iter().sum::<f64>() / weights.len() as f64;
        if mean == 0.0 {
            let reason = format!(
                "the {} rows of {} that are used together all have weight 0 (`data.weight`); at least one must \
                 count",
                rows.len(),
                table.path.display()
            );
            return Err(DataError::Treatment { column: name.clone(), reason });
        }
        Ok(weights.into_iter().map(|weight| weight / mean).collect())
    }
}
