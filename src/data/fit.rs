//! What is fitted on the training rows and stored with the run: how each column becomes numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::DataError;
use super::cells;
use super::config::{Calendar, CategoryEncoding, ColumnKind, DataConfig, Fill};
use super::image::FittedImage;
use super::reshape::ReshapeConfig;
use super::scaling::{FittedScaling, mean_and_deviation};
use super::table::Table;
use super::target::FittedTarget;
use super::window::FittedWindow;

/// Everything fitted on the training rows: enough to encode any other file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fitted {
    /// Features, in order.
    pub columns: Vec<FittedColumn>,
    /// The target.
    pub target: FittedTarget,
    /// Images, instead of columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<FittedImage>,
    /// Windows of a series, if rows are cut into them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<FittedWindow>,
    /// Columns computed from others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub derive: BTreeMap<String, String>,
    /// How rows are reshaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reshape: Option<ReshapeConfig>,
}

impl Fitted {
    /// Converts scaled features back to their own units. Calendar features and indicators are unchanged.
    pub fn own_units(&self, names: &[String], scaled: &[f32]) -> Vec<f32> {
        if let Some(image) = &self.image {
            return image.own_units(scaled);
        }
        let scaling = |name: &String| {
            self.columns.iter().find(|c| c.name == *name).and_then(|c| match &c.encoding {
                Encoding::Number { scaling, .. } => Some(scaling),
                _ => None,
            })
        };
        let scalings: Vec<_> = names.iter().map(scaling).collect();
        let value = |(at, &x): (usize, &f32)| match scalings[at % names.len()] {
            Some(scaling) => scaling.invert(f64::from(x)) as f32,
            None => x,
        };
        scaled.iter().enumerate().map(value).collect()
    }
}

/// A fitted feature column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedColumn {
    /// Column name in the file.
    pub name: String,
    /// How it is encoded.
    pub encoding: Encoding,
}

/// How a column is encoded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Encoding {
    /// One feature, plus one more if missing values are flagged.
    Number {
        /// Whether cells are booleans.
        boolean: bool,
        /// Replaces a missing value.
        fill: f64,
        /// Whether to use the last preceding value instead, where there is one.
        forward: bool,
        /// Values are clipped to this range first.
        clip: Option<[f64; 2]>,
        /// Scaling.
        scaling: FittedScaling,
        /// Whether to add a feature that is 1 where the value is missing.
        indicator: bool,
    },
    /// One 0/1 feature per name.
    OneHot {
        /// Replaces a missing value.
        fill: Option<String>,
        /// Whether to use the last preceding name, where there is one.
        #[serde(default)]
        forward: bool,
        /// Names seen in training, ascending.
        names: Vec<String>,
    },
    /// Indices into a trained table; index 0 is for names not seen in training.
    Embedding {
        /// Replaces a missing value.
        fill: Option<String>,
        /// Whether to use the last preceding name, where there is one.
        #[serde(default)]
        forward: bool,
        /// Names seen in training, ascending; name `i` has index `i + 1`.
        names: Vec<String>,
    },
    /// Parts of a timestamp.
    Calendar {
        /// Which.
        parts: Vec<Calendar>,
        /// Whether to encode them as sine and cosine.
        cyclic: bool,
    },
}

/// The category of an empty cell.
pub const MISSING: &str = "(missing)";

/// Maximum number of one-hot categories.
const MAX_ONE_HOT: usize = 1000;

/// The column's type from the experiment, or else inferred from its cells.
pub fn column_kind(config: &DataConfig, table: &Table, column: usize) -> ColumnKind {
    let given = config.types.get(&table.names[column]).copied();
    given.unwrap_or_else(|| cells::infer(&table.columns[column]))
}

/// How a missing cell of a column is filled.
pub fn column_fill<'a>(config: &'a DataConfig, table: &Table, column: usize) -> &'a Fill {
    let default = match column_kind(config, table, column) {
        ColumnKind::Number | ColumnKind::Boolean => &config.clean.numbers,
        ColumnKind::Category | ColumnKind::Timestamp => &config.clean.categories,
    };
    config.clean.columns.get(&table.names[column]).unwrap_or(default)
}

/// Fits one feature column on the training rows.
///
/// # Errors
/// If a cell does not parse, or a setting does not suit the column's type.
pub fn fit_column(
    config: &DataConfig,
    table: &Table,
    column: usize,
    train: &[usize],
) -> Result<FittedColumn, DataError> {
    let name = table.names[column].clone();
    let kind = column_kind(config, table, column);
    let numeric = matches!(kind, ColumnKind::Number | ColumnKind::Boolean);
    if !numeric && config.transform.columns.contains_key(&name) {
        let reason = "`data.transform.columns` scales numbers; remove the column, or say in [data.types] \
                      that it holds numbers";
        return Err(DataError::Treatment { column: name, reason: reason.into() });
    }
    let encoding = match kind {
        ColumnKind::Number | ColumnKind::Boolean => fit_number(config, table, column, train, kind)?,
        ColumnKind::Category => fit_category(config, table, column, train)?,
        ColumnKind::Timestamp => {
            // Parse now, so that a bad cell is reported before training.
            cells::timestamps(table, column, train)?;
            Encoding::Calendar { parts: config.transform.timestamps.clone(), cyclic: config.transform.cyclic }
        }
    };
    Ok(FittedColumn { name, encoding })
}

fn fit_number(
    config: &DataConfig,
    table: &Table,
    column: usize,
    train: &[usize],
    kind: ColumnKind,
) -> Result<Encoding, DataError> {
    let name = &table.names[column];
    let treatment = |reason: &str| DataError::Treatment { column: name.clone(), reason: reason.into() };
    if config.clean.clip.is_some_and(|deviations| !(deviations > 0.0 && deviations.is_finite())) {
        return Err(treatment("`clip` must be a number of standard deviations above 0"));
    }
    let cells = cells::values(table, column, train, kind)?;
    let mut present: Vec<f64> = cells.iter().flatten().copied().collect();
    if present.is_empty() && !matches!(column_fill(config, table, column), Fill::Constant(_)) {
        let reason = "it is empty in all training rows, so there is nothing to fill missing values with; \
                      leave it out with `exclude`, or fill it with a constant";
        return Err(treatment(reason));
    }
    let clip =
        config.clean.clip.filter(|_| kind == ColumnKind::Number && !present.is_empty()).map(|deviations| {
            let (mean, deviation) = mean_and_deviation(&present);
            [mean - deviations * deviation, mean + deviations * deviation]
        });
    if let Some([low, high]) = clip {
        for x in &mut present {
            *x = x.clamp(low, high);
        }
    }
    let mean = mean_and_deviation(&present).0;
    let (value, forward) = match column_fill(config, table, column) {
        Fill::Mean | Fill::Drop => (mean, false),
        Fill::ForwardFill => (mean, true),
        Fill::Median => (median(&mut present.clone()), false),
        Fill::MostFrequent => (most_frequent(&present), false),
        Fill::Constant(text) => (
            cells::number(text)
                .ok_or_else(|| treatment("the constant for a number column must be a number"))?,
            false,
        ),
        Fill::OwnCategory => return Err(treatment("`own_category` is for category columns")),
    };
    let scaling = match (kind, config.transform.columns.get(name)) {
        (_, Some(&scaling)) => scaling,
        (ColumnKind::Boolean, None) => super::config::Scaling::None,
        (_, None) => config.transform.numbers,
    };
    let missing = present.len() < cells.len();
    let filled: Vec<f64> =
        present.iter().copied().chain(cells.iter().filter(|c| c.is_none()).map(|_| value)).collect();
    Ok(Encoding::Number {
        boolean: kind == ColumnKind::Boolean,
        fill: value,
        forward,
        clip,
        scaling: FittedScaling::fit(scaling, &filled),
        indicator: config.clean.indicators && missing,
    })
}

fn fit_category(
    config: &DataConfig,
    table: &Table,
    column: usize,
    train: &[usize],
) -> Result<Encoding, DataError> {
    let name = &table.names[column];
    let mut counts = BTreeMap::<&str, usize>::new();
    for &row in train {
        let cell = table.cell(column, row);
        if !cells::is_missing(cell) {
            *counts.entry(cell).or_default() += 1;
        }
    }
    let any_missing = train.iter().any(|&row| cells::is_missing(table.cell(column, row)));
    let fill = match column_fill(config, table, column) {
        Fill::OwnCategory => Some(MISSING.to_string()),
        Fill::Constant(value) => Some(value.clone()),
        Fill::MostFrequent => {
            let top = counts.iter().max_by_key(|(name, count)| (**count, std::cmp::Reverse(**name)));
            top.map(|(name, _)| name.to_string())
        }
        Fill::Drop | Fill::ForwardFill => None,
        Fill::Mean | Fill::Median => {
            let reason = "`mean` and `median` are for number columns; use `most_frequent` or `own_category`";
            return Err(DataError::Treatment { column: name.clone(), reason: reason.into() });
        }
    };
    let forward = matches!(column_fill(config, table, column), Fill::ForwardFill);
    let mut names: Vec<String> = counts.keys().map(|n| n.to_string()).collect();
    if let (true, Some(fill)) = (any_missing, &fill)
        && !names.contains(fill)
    {
        names.push(fill.clone());
        names.sort();
    }
    match config.transform.categories {
        CategoryEncoding::OneHot if names.len() > MAX_ONE_HOT => Err(DataError::Treatment {
            column: name.clone(),
            reason: format!(
                "has {} different names, one-hot encoding takes at most {MAX_ONE_HOT}; put the column in \
                 `exclude` or set `data.transform.categories` = \"embedding\"",
                names.len()
            ),
        }),
        CategoryEncoding::OneHot => Ok(Encoding::OneHot { fill, forward, names }),
        CategoryEncoding::Embedding => Ok(Encoding::Embedding { fill, forward, names }),
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[middle],
        _ => 0.5 * (values[middle - 1] + values[middle]),
    }
}

fn most_frequent(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let groups = sorted.chunk_by(|a, b| a == b);
    groups.fold((0, 0.0), |best, group| if group.len() > best.0 { (group.len(), group[0]) } else { best }).1
}
