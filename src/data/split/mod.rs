//! Splits rows into training, validation and test sets.

mod rolling;
mod units;

use super::DataError;
use super::cells;
use super::config::{SplitConfig, Validation};
use super::table::Table;
use crate::base::rng::{self, streams};
pub use rolling::Least;
use rolling::Rolling;

/// Row numbers of each set, ascending.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// Training rows.
    pub train: Vec<usize>,
    /// Validation rows.
    pub validation: Vec<usize>,
    /// Test rows.
    pub test: Vec<usize>,
}

/// Splits `rows` (row numbers left after dropping) of a table; `classes` is the column of the target if it holds
/// classes. For `Files`, rows that are not for validation go to training; for `Rolling`, each part has `least` rows.
///
/// # Errors
/// If a column is missing, a key is out of range, or training or validation would be empty.
pub fn split(
    config: &SplitConfig,
    table: &Table,
    rows: &[usize],
    classes: Option<usize>,
    least: Least,
) -> Result<Parts, DataError> {
    let own = |key: &'static str| key.rsplit('.').next().unwrap_or(key);
    config
        .check()
        .map_err(|(key, reason)| DataError::Split { reason: format!("`{}` {reason}", own(key)) })?;
    let seed = config.seed_words();
    let group = config.group().map(|name| table.find(name)).transpose()?;
    if let Some((at, row)) = group.and_then(|at| Some((at, rows.iter().find(|&&r| table.is_missing(at, r))?)))
    {
        let (name, line) = (&table.names[at], table.lines[*row]);
        return Err(DataError::Split { reason: format!("`group` = \"{name}\" is empty in line {line}") });
    }
    let bad = |key: &str, reason: String| DataError::Split { reason: format!("`{key}` {reason}") };
    if config.stratify() == Some(true) && classes.is_none() {
        return Err(bad("stratify", "is for targets that are classes; this one is not".into()));
    }
    let mut parts = Parts::default();
    match config {
        SplitConfig::Random { validation, test, stratify, .. } => {
            // Unless told otherwise, each part has its share of every class.
            let strata = classes.filter(|_| stratify.unwrap_or(true));
            if group.is_some() || strata.is_some() {
                let all = units::units(table, rows, group, strata);
                let (tests, rest) = units::draw(all, *test, seed, 0);
                let (validations, trains) = units::draw(rest, validation / (1.0 - test), seed, 1);
                let [train, validation, test] = [trains, validations, tests].map(|part| units::rows(&part));
                // Where every class is small, rounding may leave a part without rows.
                let by_itself = group.is_none() && stratify.is_none();
                if !(by_itself && (validation.is_empty() || train.is_empty())) {
                    let parts = Parts { train, validation, test };
                    return complete(parts, rows.len(), group.is_some());
                }
            }
            let (tests, rest) = draw(rows, *test, seed, 0);
            let (validations, trains) = draw(&rest, validation / (1.0 - test), seed, 1);
            parts = Parts { train: trains, validation: validations, test: tests };
        }
        SplitConfig::Order { validation, test } => {
            let count = |part: f64| (part * rows.len() as f64).round() as usize;
            let (tests, validations) = (count(*test).min(rows.len()), count(*validation));
            let rest = rows.len() - tests;
            let first = rest.saturating_sub(validations);
            parts = Parts {
                train: rows[..first].to_vec(),
                validation: rows[first..rest].to_vec(),
                test: rows[rest..].to_vec(),
            };
        }
        SplitConfig::Time { column, validation, test } => {
            let parse = |key, text: &str| {
                cells::timestamp(text)
                    .ok_or_else(|| bad(key, format!("= \"{text}\" is not a date such as 2024-01-31")))
            };
            let (validation, test) = (parse("validation", validation)?, parse("test", test)?);
            if validation >= test {
                return Err(bad("validation", "must lie before `test`".into()));
            }
            let times = cells::timestamps(table, table.find(column)?, rows)?;
            for (&row, time) in rows.iter().zip(times) {
                match time {
                    Some(t) if t >= test => parts.test.push(row),
                    Some(t) if t >= validation => parts.validation.push(row),
                    Some(_) => parts.train.push(row),
                    None => {
                        let line = table.lines[row];
                        return Err(bad("column", format!("= \"{column}\" is empty in line {line}")));
                    }
                }
            }
        }
        SplitConfig::Column { column } => {
            let at = table.find(column)?;
            for &row in rows {
                match &*table.cell(at, row) {
                    "train" => parts.train.push(row),
                    "validation" => parts.validation.push(row),
                    "test" => parts.test.push(row),
                    other => {
                        let line = table.lines[row];
                        let reason = format!(
                            "= \"{column}\" holds \"{other}\" in line {line}; use train, validation or test"
                        );
                        return Err(bad("column", reason));
                    }
                }
            }
        }
        SplitConfig::Rows { every, validation, .. } => {
            parts = every_nth(rows, *every, every - 1, *validation, seed);
        }
        SplitConfig::Folds { folds, fold, validation, stratify, .. } => {
            let strata = classes.filter(|_| *stratify == Some(true));
            if group.is_some() || strata.is_some() || seed != [0, 0] {
                let all = units::units(table, rows, group, strata);
                let (tests, rest) = units::fold(all, *folds, *fold, seed);
                let (validations, trains) = units::draw(rest, *validation, seed, 1);
                let [train, validation, test] = [trains, validations, tests].map(|part| units::rows(&part));
                parts = Parts { train, validation, test };
                return complete(parts, rows.len(), group.is_some());
            }
            parts = every_nth(rows, *folds, *fold, *validation, seed);
        }
        SplitConfig::Rolling { folds, fold, validation, test_rows, column } => {
            let rolling =
                Rolling { folds: *folds, fold: *fold, validation: *validation, test_rows: *test_rows };
            let Some(column) = column else { return rolling.by_order(rows, least) };
            let times = cells::timestamps(table, table.find(column)?, rows)?;
            let empty = times.iter().position(Option::is_none);
            if let Some(line) = empty.map(|at| table.lines[rows[at]]) {
                return Err(bad("column", format!("= \"{column}\" is empty in line {line}")));
            }
            parts = rolling.by_time(rows, &times.into_iter().flatten().collect::<Vec<_>>(), least)?;
        }
        SplitConfig::Files { validation: Validation::File(_), .. } => parts.train = rows.to_vec(),
        SplitConfig::Files { validation: Validation::Part(part), .. } => {
            (parts.validation, parts.train) = draw(rows, *part, seed, 1);
        }
    }
    let files = matches!(config, SplitConfig::Files { validation: Validation::File(_), .. });
    for (name, part) in [("training", &parts.train), ("validation", &parts.validation)] {
        if part.is_empty() && !(files && name == "validation") {
            return Err(DataError::Split {
                reason: format!("leaves no rows for {name} out of {}", rows.len()),
            });
        }
    }
    Ok(parts)
}

/// Every `every`-th row, from `at` on, for the test, and a part of the others for validation.
fn every_nth(rows: &[usize], every: usize, at: usize, validation: f64, seed: [u32; 2]) -> Parts {
    let numbered = || rows.iter().enumerate();
    let test = numbered().filter(|(i, _)| i % every == at).map(|(_, &row)| row).collect();
    let rest: Vec<usize> = numbered().filter(|(i, _)| i % every != at).map(|(_, &row)| row).collect();
    let (validation, train) = draw(&rest, validation, seed, 1);
    Parts { train, validation, test }
}

/// The parts, if there are rows to train and validate on.
fn complete(parts: Parts, count: usize, groups: bool) -> Result<Parts, DataError> {
    for (name, part) in [("training", &parts.train), ("validation", &parts.validation)] {
        if part.is_empty() {
            let why = if groups { "; there are too few groups" } else { "" };
            return Err(DataError::Split {
                reason: format!("leaves no rows for {name} out of {count}{why}"),
            });
        }
    }
    Ok(parts)
}

/// Draws a random part of `rows`; returns it and the rest, each ascending.
fn draw(rows: &[usize], part: f64, seed: [u32; 2], round: u32) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    rng::shuffle(&mut order, seed, streams::SPLIT, round);
    let count = (part * rows.len() as f64).round() as usize;
    let mut drawn: Vec<usize> = order[..count.min(rows.len())].iter().map(|&i| rows[i as usize]).collect();
    let mut rest: Vec<usize> = order[count.min(rows.len())..].iter().map(|&i| rows[i as usize]).collect();
    drawn.sort_unstable();
    rest.sort_unstable();
    (drawn, rest)
}
