//! Targets: fits one to its column in the training rows, and encodes the column of any rows.

use std::collections::BTreeSet;

use super::config::{ColumnKind, DataConfig};
use super::dataset::{Dataset, Target};
use super::fitted::FittedTarget;
use super::scaling::FittedScaling;
use super::table::Table;
use super::{DataError, Goal, cells};
use crate::base::order::Order;

impl FittedTarget {
    /// Fits all targets on the training rows, each by itself.
    ///
    /// # Errors
    /// If the cells of one do not suit the goal.
    pub(super) fn fit_all(
        config: &DataConfig,
        table: &Table,
        columns: &[usize],
        train: &[usize],
        goal: Goal,
    ) -> Result<Self, DataError> {
        let fit = |&column: &usize| Self::fit(config, table, Some(column), train, goal);
        if columns.len() < 2 {
            return columns.first().map_or(Ok(Self::Absent), fit);
        }
        let fitted = columns.iter().map(fit).collect::<Result<Vec<_>, _>>()?;
        let numbers = fitted.iter().flat_map(Self::numbers).map(|(name, s)| (name.to_string(), s.clone()));
        let (columns, scalings) = numbers.unzip();
        Ok(Self::Numbers { columns, scalings, steps: 1 })
    }

    /// Fits the target on the training rows; without a `column`, there is no target.
    ///
    /// # Errors
    /// If its cells do not suit the goal.
    pub(super) fn fit(
        config: &DataConfig,
        table: &Table,
        column: Option<usize>,
        train: &[usize],
        goal: Goal,
    ) -> Result<Self, DataError> {
        let Some(column) = column else { return Ok(Self::Absent) };
        let name = table.names[column].clone();
        let bad =
            |reason: String| DataError::BadTarget { path: table.path.clone(), column: name.clone(), reason };
        let most = if matches!(goal, Goal::Regression | Goal::Rate) { FEW } else { MOST_CLASSES + 1 };
        let mut names = distinct(table, column, train, most);
        if let Some(positive) = &config.positive {
            let hint = || crate::base::names::nearest(positive, names.iter().map(String::as_str));
            if !matches!(goal, Goal::Binary | Goal::Classes | Goal::Features)
                || names.len() != 2
                || !names.contains(positive)
            {
                let reason = format!(
                    "`data.positive` = \"{positive}\" is not one of two classes; the training rows hold {}{}",
                    shown(&names),
                    hint()
                );
                return Err(bad(reason));
            }
        }
        if config.transform.columns.contains_key(&name)
            && (goal != Goal::Regression || config.window.is_some())
        {
            let reason = "`data.transform.columns` names it, but scales features and the numbers that rows of tables \
                          predict; remove it there, or set `data.transform.target`";
            return Err(bad(reason.into()));
        }
        if names.len() < 2 {
            return Err(bad(format!(
                "every training row holds \"{}\"; there is nothing to learn",
                names.join("")
            )));
        }
        if !matches!(goal, Goal::Regression | Goal::Rate)
            && let Some([one, other]) = equal_numbers(&names)
        {
            return Err(bad(format!(
                "holds \"{one}\" and \"{other}\", which are one number and would be two classes; write it in one way"
            )));
        }
        Ok(match goal {
            Goal::Rate => {
                if let Err(error) = rates(table, column, train) {
                    let DataError::Cell { line, ref text, .. } = error else { return Err(error) };
                    if cells::number(text).is_some() {
                        return Err(error);
                    }
                    return Err(bad(format!(
                        "line {line} holds \"{text}\"; the losses \"poisson\" and \"tweedie\" are of numbers from 0 \
                         up; for classes use loss = \"cross_entropy\" or \"bce_with_logits\""
                    )));
                }
                Self::Rate { name }
            }
            Goal::Regression => {
                let scaling = number(config, table, column, train)?;
                Self::Number { name, scaling }
            }
            Goal::Binary => {
                let more = if names.len() > MOST_CLASSES { "more than " } else { "" };
                let found = names.len().min(MOST_CLASSES);
                put_last(&mut names, config.positive.as_ref());
                let names: [String; 2] = names.try_into().map_err(|_| {
                    bad(format!(
                        "has {more}{found} different values; loss = \"bce_with_logits\" needs 2, for more \
                         use \"cross_entropy\""
                    ))
                })?;
                Self::Binary { name, names }
            }
            Goal::Classes | Goal::Features => {
                if let Some(example) = measured(&names, train.len()) {
                    return Err(bad(format!(
                        "holds {} different numbers in {} training rows, such as {example}, which are measurements, \
                         not classes; predict numbers with train.loss = \"mse\" or \"mae\"",
                        names.len(),
                        train.len()
                    )));
                }
                if names.len() > MOST_CLASSES {
                    return Err(bad(format!(
                        "has more than {MOST_CLASSES} different values; that is not a set of classes"
                    )));
                }
                if names.iter().all(|n| cells::number(n).is_some()) {
                    names.order_by(|a, b| {
                        cells::number(a).unwrap_or(0.0).total_cmp(&cells::number(b).unwrap_or(0.0))
                    });
                }
                put_last(&mut names, config.positive.as_ref());
                Self::Classes { name, names }
            }
        })
    }
}

/// The scaling of a column of numbers to predict.
fn number(
    config: &DataConfig,
    table: &Table,
    column: usize,
    train: &[usize],
) -> Result<FittedScaling, DataError> {
    let name = &table.names[column];
    let bad =
        |reason: String| DataError::BadTarget { path: table.path.clone(), column: name.clone(), reason };
    let numbers: Vec<f64> = match cells::values(table, column, train, ColumnKind::Number) {
        Ok(values) => values.into_iter().flatten().collect(),
        Err(DataError::Cell { line, text, .. }) => {
            let advice = match config.target.as_ref().map(|target| target.names().len()) {
                Some(2..) => {
                    "several targets are columns of numbers; a class is predicted by a model of its \
                     own, with data.target = \"its column\" alone and loss = \"cross_entropy\""
                }
                _ => {
                    "regression needs numbers; for classes use loss = \"cross_entropy\" \
                     or \"bce_with_logits\""
                }
            };
            return Err(bad(format!("line {line} holds \"{text}\"; {advice}")));
        }
        Err(other) => return Err(other),
    };
    if numbers.iter().all(|x| *x == numbers[0]) {
        return Err(bad(format!("every training row holds {}; there is nothing to learn", numbers[0])));
    }
    let scaling = config.transform.columns.get(name).copied().unwrap_or(config.transform.target);
    if let Some(problem) = FittedScaling::problem(scaling, &numbers) {
        return Err(bad(problem));
    }
    Ok(FittedScaling::fit(scaling, &numbers))
}

/// Most classes of a target.
const MOST_CLASSES: usize = 10_000;
/// So many different values may be classes.
const FEW: usize = 20;

/// The different texts of a column in some rows, sorted; the first `most` that are found where there are more.
fn distinct(table: &Table, column: usize, rows: &[usize], most: usize) -> Vec<String> {
    let mut found = BTreeSet::new();
    for &row in rows {
        let cell = table.cell(column, row);
        if !found.contains(&*cell) {
            found.insert(cell.into_owned());
        }
        if found.len() == most {
            break;
        }
    }
    found.into_iter().collect()
}

/// Two names that are the same number, one of them with decimals or an exponent: codes such as `01` and `1` may differ.
fn equal_numbers(names: &[String]) -> Option<[&String; 2]> {
    let mut numbers: Vec<(f64, &String)> =
        names.iter().filter_map(|n| Some((cells::number(n)?, n))).collect();
    numbers.order_by(|a, b| a.0.total_cmp(&b.0));
    let written = |name: &String| name.contains(['.', 'e', 'E']);
    let equal =
        numbers.windows(2).find(|two| two[0].0 == two[1].0 && (written(two[0].1) || written(two[1].1)));
    equal.map(|two| [two[0].1, two[1].1])
}

/// One of the values of a target if they are no classes: numbers with fractions, of which many rows have one of
/// their own.
fn measured(names: &[String], rows: usize) -> Option<&String> {
    let number = |name: &String| cells::number(name);
    if names.len() <= FEW || 4 * names.len() < rows || !names.iter().all(|name| number(name).is_some()) {
        return None;
    }
    names.iter().find(|name| number(name).is_some_and(|x| x.fract() != 0.0))
}

/// Moves the positive class behind the other.
fn put_last(names: &mut Vec<String>, positive: Option<&String>) {
    if let Some(at) = names.iter().position(|name| Some(name) == positive) {
        let name = names.remove(at);
        names.push(name);
    }
}

impl FittedTarget {
    /// The targets of `rows`, if there is a target; NaN for missing numbers.
    pub(super) fn encode(&self, table: &Table, rows: &[usize]) -> Result<Option<Target>, DataError> {
        let Some(name) = self.name() else { return Ok(None) };
        let at = table.find(name)?;
        let class = |names: &[String], row: usize| {
            let cell = table.cell(at, row);
            names.iter().position(|n| *n == cell).ok_or_else(|| DataError::UnknownClass {
                path: table.path.clone(),
                line: table.lines[row],
                column: name.into(),
                text: cell.chars().take(80).collect(),
                known: shown(names),
            })
        };
        Ok(Some(match self {
            Self::Absent | Self::Text(_) | Self::Pixels(_) => return Ok(None),
            Self::Number { scaling, .. } => {
                let values = cells::values(table, at, rows, ColumnKind::Number)?;
                Target::Numbers(values.iter().map(|v| scaling.apply_f32(v.unwrap_or(f64::NAN))).collect())
            }
            Self::Rate { .. } => {
                let values = rates(table, at, rows)?;
                Target::Numbers(values.iter().map(|v| v.unwrap_or(f64::NAN) as f32).collect())
            }
            Self::Numbers { columns, scalings, .. } => {
                let mut all = vec![0.0; rows.len() * columns.len()];
                for (k, (column, scaling)) in columns.iter().zip(scalings).enumerate() {
                    let values = cells::values(table, table.find(column)?, rows, ColumnKind::Number)?;
                    for (row, value) in values.iter().enumerate() {
                        all[row * columns.len() + k] = scaling.apply_f32(value.unwrap_or(f64::NAN));
                    }
                }
                Target::Numbers(all)
            }
            Self::Binary { names, .. } => {
                let labels: Result<Vec<f32>, _> =
                    rows.iter().map(|&r| class(names, r).map(|c| c as f32)).collect();
                Target::Numbers(labels?)
            }
            Self::Classes { names, .. } => {
                let labels: Result<Vec<u32>, _> =
                    rows.iter().map(|&r| class(names, r).map(|c| c as u32)).collect();
                Target::Labels(labels?)
            }
        }))
    }
}

impl FittedTarget {
    /// The mean of a single number in its own units, or the most frequent label, the first of equals; weighted if
    /// rows are.
    pub(super) fn constant(&self, rows: &Dataset) -> Option<f64> {
        let values = rows.target.as_ref()?.values();
        let weight = |row: usize| rows.weights.get(row).copied().unwrap_or(1.0);
        if self.labels() == 0 {
            let numbers = self.own_units(values.into_iter());
            return (self.outputs() == 1 && !numbers.is_empty()).then(|| mean(&numbers, weight));
        }
        let counts = rows.class_weights(self.labels());
        let most = counts.iter().copied().max_by(f64::total_cmp)?;
        counts.iter().position(|count| *count == most).map(|label| label as f64)
    }
}

impl FittedTarget {
    /// The mean of each of several targets in its own units, weighted if rows are; empty of one target or series.
    pub(super) fn constants(&self, rows: &Dataset) -> Vec<f64> {
        let (Self::Numbers { columns, .. }, Some(target), None) = (self, &rows.target, &rows.windows) else {
            return vec![];
        };
        let numbers = self.own_units(target.values().into_iter());
        let weight = |row: usize| rows.weights.get(row).copied().unwrap_or(1.0);
        let of = |at: usize| numbers.iter().skip(at).step_by(columns.len()).copied().collect::<Vec<_>>();
        (0..columns.len()).map(|at| mean(&of(at), weight)).collect()
    }
}

/// The weighted mean.
fn mean(numbers: &[f64], weight: impl Fn(usize) -> f64) -> f64 {
    let sum: f64 = numbers.iter().enumerate().map(|(row, y)| weight(row) * y).sum();
    sum / (0..numbers.len()).map(weight).sum::<f64>()
}

/// The numbers of a column, which must not be negative.
fn rates(table: &Table, column: usize, rows: &[usize]) -> Result<Vec<Option<f64>>, DataError> {
    let values = cells::values(table, column, rows, ColumnKind::Number)?;
    match values.iter().position(|value| value.is_some_and(|x| x < 0.0)) {
        None => Ok(values),
        Some(at) => Err(DataError::Cell {
            path: table.path.clone(),
            line: table.lines[rows[at]],
            column: table.names[column].clone(),
            text: table.cell(column, rows[at]).chars().take(80).collect(),
            expected: "a number from 0 up, which the losses \"poisson\" and \"tweedie\" need",
        }),
    }
}

/// The first few class names, for messages.
fn shown(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    format!("{}{more}", names[..names.len().min(SHOWN)].join(", "))
}
