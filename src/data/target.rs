//! Targets, fitted on the training rows and encoded. Everything that depends on the kind of target is decided
//! here.

use serde::{Deserialize, Serialize};

use super::config::{ColumnKind, DataConfig};
use super::scaling::FittedScaling;
use super::table::Table;
use super::text::FittedText;
use super::{DataError, Goal, cells};

/// The fitted target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum FittedTarget {
    /// No target: the features themselves are learned.
    #[default]
    Absent,
    /// A number.
    Number {
        /// Column name.
        name: String,
        /// Scaling, inverted in predictions.
        scaling: FittedScaling,
    },
    /// Several numbers, for one or several steps ahead.
    Numbers {
        /// Column names.
        columns: Vec<String>,
        /// Scaling of each.
        scalings: Vec<FittedScaling>,
        /// Predicted steps ahead: outputs are `[steps, columns]`.
        steps: usize,
    },
    /// One of two classes.
    Binary {
        /// Column name.
        name: String,
        /// The negative and the positive class.
        names: [String; 2],
    },
    /// One of several classes.
    Classes {
        /// Column name.
        name: String,
        /// Class names; the label is the position.
        names: Vec<String>,
    },
    /// The next character of a text.
    Text(FittedText),
}

impl FittedTarget {
    /// Column name, if there is a target.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Absent | Self::Text(_) => None,
            Self::Number { name, .. } | Self::Binary { name, .. } | Self::Classes { name, .. } => Some(name),
            Self::Numbers { columns, .. } => columns.first().map(String::as_str),
        }
    }

    /// Number of model outputs for this target.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Absent => 0,
            Self::Text(text) => text.symbols(),
            Self::Number { .. } | Self::Binary { .. } => 1,
            Self::Classes { names, .. } => names.len(),
            Self::Numbers { columns, steps, .. } => columns.len() * steps,
        }
    }

    /// Scaling of model output `at`, if it is a number.
    pub fn scaling(&self, at: usize) -> Option<&FittedScaling> {
        match self {
            Self::Number { scaling, .. } => Some(scaling),
            Self::Numbers { scalings, .. } => scalings.get(at % scalings.len().max(1)),
            Self::Absent | Self::Binary { .. } | Self::Classes { .. } | Self::Text(_) => None,
        }
    }

    /// The predicted numeric columns with their scalings; empty if the target is not numeric.
    pub fn numbers(&self) -> Vec<(&str, &FittedScaling)> {
        match self {
            Self::Number { name, scaling } => vec![(name, scaling)],
            Self::Numbers { columns, scalings, .. } => {
                columns.iter().map(String::as_str).zip(scalings).collect()
            }
            Self::Absent | Self::Binary { .. } | Self::Classes { .. } | Self::Text(_) => vec![],
        }
    }

    /// The names of the classes in label order; empty unless the target is a class.
    pub fn classes(&self) -> &[String] {
        match self {
            Self::Binary { names, .. } => names,
            Self::Classes { names, .. } => names,
            Self::Absent | Self::Number { .. } | Self::Numbers { .. } | Self::Text(_) => &[],
        }
    }

    /// The fitted text, if the target is its next character.
    pub fn text(&self) -> Option<&FittedText> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent
            | Self::Number { .. }
            | Self::Numbers { .. }
            | Self::Binary { .. }
            | Self::Classes { .. } => None,
        }
    }

    /// Titles of a model's outputs: the columns, with the horizon if several steps are predicted.
    pub fn titles(&self) -> Vec<String> {
        match self {
            Self::Numbers { columns, steps, .. } if *steps > 1 => {
                let of = |step: usize| columns.iter().map(move |name| format!("{name} (+{})", step + 1));
                (0..*steps).flat_map(of).collect()
            }
            Self::Numbers { columns, .. } => columns.clone(),
            other => other.name().map(String::from).into_iter().collect(),
        }
    }

    /// Converts scaled outputs `[rows, outputs]` to the target's own units.
    pub fn own_units(&self, scaled: impl Iterator<Item = f64>) -> Vec<f64> {
        let outputs = self.outputs().max(1);
        let invert = |(at, y): (usize, f64)| self.scaling(at % outputs).map_or(y, |s| s.invert(y));
        scaled.enumerate().map(invert).collect()
    }

    /// Orders the class labels by `names`; classes not listed keep their order and come first.
    pub(super) fn order_classes(&mut self, names: &[String]) {
        if let Self::Classes { names: known, .. } = self {
            known.sort_by_key(|name| names.iter().position(|class| class == name));
        }
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
        let mut names: Vec<String> = train.iter().map(|&row| table.cell(column, row).to_string()).collect();
        names.sort();
        names.dedup();
        if names.len() < 2 {
            return Err(bad(format!(
                "every training row holds \"{}\"; there is nothing to learn",
                names.join("")
            )));
        }
        Ok(match goal {
            Goal::Regression => {
                let numbers: Vec<f64> = match cells::values(table, column, train, ColumnKind::Number) {
                    Ok(values) => values.into_iter().flatten().collect(),
                    Err(DataError::Cell { line, text, .. }) => {
                        let advice = "regression needs numbers; for classes use loss = \"cross_entropy\" \
                                      or \"bce_with_logits\"";
                        return Err(bad(format!("line {line} holds \"{text}\"; {advice}")));
                    }
                    Err(other) => return Err(other),
                };
                if numbers.iter().all(|x| *x == numbers[0]) {
                    return Err(bad(format!(
                        "every training row holds {}; there is nothing to learn",
                        numbers[0]
                    )));
                }
                let scaling = FittedScaling::fit(config.transform.target, &numbers);
                Self::Number { name, scaling }
            }
            Goal::Binary => {
                let found = names.len();
                let names: [String; 2] = names.try_into().map_err(|_| {
                    bad(format!(
                        "has {found} different values; loss = \"bce_with_logits\" needs 2, for more \
                         use \"cross_entropy\""
                    ))
                })?;
                Self::Binary { name, names }
            }
            Goal::Classes | Goal::Features => {
                if names.len() > 10_000 {
                    return Err(bad(format!(
                        "has {} different values; that is not a set of classes",
                        names.len()
                    )));
                }
                if names.iter().all(|n| cells::number(n).is_some()) {
                    names.sort_by(|a, b| {
                        cells::number(a).unwrap_or(0.0).total_cmp(&cells::number(b).unwrap_or(0.0))
                    });
                }
                Self::Classes { name, names }
            }
        })
    }
}

impl FittedTarget {
    /// The targets of `rows`, if there is a target; NaN for missing numbers.
    pub(super) fn encode(&self, table: &Table, rows: &[usize]) -> Result<Option<Target>, DataError> {
        let Some(name) = self.name() else { return Ok(None) };
        let at = table.find(name)?;
        let class = |names: &[String], row: usize| {
            let cell = table.cell(at, row);
            names.iter().position(|n| n == cell).ok_or_else(|| DataError::UnknownClass {
                path: table.path.clone(),
                line: table.lines[row],
                column: name.into(),
                text: cell.chars().take(80).collect(),
                known: shown(names),
            })
        };
        Ok(Some(match self {
            Self::Absent | Self::Text(_) => return Ok(None),
            Self::Number { scaling, .. } => {
                let values = cells::values(table, at, rows, ColumnKind::Number)?;
                Target::Numbers(values.iter().map(|v| scaling.apply(v.unwrap_or(f64::NAN)) as f32).collect())
            }
            Self::Numbers { columns, scalings, .. } => {
                let mut all = vec![0.0; rows.len() * columns.len()];
                for (k, (column, scaling)) in columns.iter().zip(scalings).enumerate() {
                    let values = cells::values(table, table.find(column)?, rows, ColumnKind::Number)?;
                    for (row, value) in values.iter().enumerate() {
                        all[row * columns.len() + k] = scaling.apply(value.unwrap_or(f64::NAN)) as f32;
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

/// Encoded target values.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Scaled numbers, or 0 and 1: `[rows]`.
    Numbers(Vec<f32>),
    /// Labels: `[rows]`.
    Labels(Vec<u32>),
}

impl Target {
    /// The values, with labels as numbers.
    pub fn values(&self) -> Vec<f64> {
        match self {
            Target::Numbers(values) => values.iter().map(|&x| f64::from(x)).collect(),
            Target::Labels(labels) => labels.iter().map(|&x| f64::from(x)).collect(),
        }
    }

    /// The labels; empty if the target is a number.
    pub fn labels(&self) -> &[u32] {
        match self {
            Target::Numbers(_) => &[],
            Target::Labels(labels) => labels,
        }
    }

    /// Scatters the values to positions `at` of `rows` in total; 0 elsewhere.
    pub(super) fn spread(self, rows: usize, at: &[usize]) -> Self {
        fn spread<T: Copy + Default>(values: Vec<T>, rows: usize, at: &[usize]) -> Vec<T> {
            let mut all = vec![T::default(); rows];
            at.iter().zip(values).for_each(|(&at, y)| all[at] = y);
            all
        }
        match self {
            Target::Numbers(values) => Target::Numbers(spread(values, rows, at)),
            Target::Labels(labels) => Target::Labels(spread(labels, rows, at)),
        }
    }

    /// The values as device words.
    pub fn words(&self) -> Vec<u32> {
        match self {
            Target::Numbers(values) => values.iter().map(|x| x.to_bits()).collect(),
            Target::Labels(labels) => labels.clone(),
        }
    }
}

/// The first few class names, for messages.
fn shown(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    format!("{}{more}", names[..names.len().min(SHOWN)].join(", "))
}
