//! Fits feature columns on the training rows: how missing values are filled, and how each becomes numbers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::DataError;
use super::cells;
use super::config::{CategoryEncoding, ColumnKind, DataConfig, Fill, Scaling};
use super::fitted::{Encoding, FittedColumn};
use super::scaling::{FittedScaling, mean_and_deviation};
use super::table::Table;
use crate::base::order::Order;

/// The category of an empty cell.
pub const MISSING: &str = "(missing)";

/// Maximum number of one-hot categories.
const MAX_ONE_HOT: usize = 1000;

/// The column's type from the experiment, or else inferred from its cells.
pub fn column_kind(config: &DataConfig, table: &Table, column: usize) -> ColumnKind {
    let given = config.types.get(&table.names[column]).copied();
    let infer = || cells::infer(&table.columns[column]);
    given.unwrap_or_else(|| table.kinds.get(column).map_or_else(infer, |kind| *kind.get_or_init(infer)))
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
    let mut present = cells::present(table, column, train, kind)?;
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
        (ColumnKind::Boolean, None) => Scaling::None,
        (_, None) => config.transform.numbers,
    };
    let missing = present.len() < train.len();
    let mut filled = present;
    filled.resize(train.len(), value);
    if let Some(problem) = FittedScaling::problem(scaling, &filled) {
        return Err(treatment(&problem));
    }
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
    let mut counts = BTreeMap::<Cow<'_, str>, usize>::new();
    for &row in train {
        let cell = table.cell(column, row);
        if !cells::is_missing(&cell) {
            *counts.entry(cell).or_default() += 1;
        }
    }
    let any_missing = train.iter().any(|&row| table.is_missing(column, row));
    let fill = match column_fill(config, table, column) {
        Fill::OwnCategory => Some(MISSING.to_string()),
        Fill::Constant(value) => Some(value.clone()),
        Fill::MostFrequent => {
            let top = counts.iter().max_by_key(|(name, count)| (**count, std::cmp::Reverse(*name)));
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
        names.order();
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
