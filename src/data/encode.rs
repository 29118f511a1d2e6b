//! From rows of a table to a model's inputs, using what was fitted on the training rows.

use std::ops::Range;

use super::DataError;
use super::cells;
use super::config::{Calendar, ColumnKind};
use super::dataset::{CategoryIds, Dataset, Unseen};
use super::fitted::{Encoding, Fitted, FittedColumn};
use super::image::Images;
use super::table::Table;

impl Fitted {
    /// Encodes `rows` of `table`; includes the target only if `with_target`.
    ///
    /// # Errors
    /// If a column is missing or a cell does not parse.
    pub fn encode(&self, table: &Table, rows: &[usize], with_target: bool) -> Result<Dataset, DataError> {
        let whole = 0..table.lines.len();
        self.encode_series(table, std::slice::from_ref(&whole), rows, with_target)
    }

    /// Like [`Fitted::encode`], for a table that holds one series after another: missing values are not
    /// filled across series.
    pub(super) fn encode_series(
        &self,
        table: &Table,
        series: &[Range<usize>],
        rows: &[usize],
        with_target: bool,
    ) -> Result<Dataset, DataError> {
        let mut blocks: Vec<(Vec<String>, Vec<Vec<f32>>)> = vec![];
        let mut categories = vec![];
        let mut unseen = vec![];
        for column in &self.columns {
            let at = table.find(&column.name)?;
            unseen.extend(unseen_names(column, table, at, rows));
            match &column.encoding {
                Encoding::Embedding { fill, forward, names } => {
                    let before = forward.then_some(series);
                    let found = category_names(table, at, rows, fill.as_deref(), before);
                    let id = |name: &str| {
                        names.binary_search_by(|n| n.as_str().cmp(name)).map_or(0, |i| i as u32 + 1)
                    };
                    let ids = found.into_iter().map(|name| name.map_or(0, id)).collect();
                    categories.push(CategoryIds {
                        name: column.name.clone(),
                        vocabulary: names.len() + 1,
                        ids,
                    });
                }
                _ => blocks.push(encode_column(column, table, series, at, rows)?),
            }
        }
        let row_names = match &self.reshape {
            Some(reshape) => {
                let at = table.find(reshape.row_name())?;
                rows.iter().map(|&row| table.cell(at, row).to_string()).collect()
            }
            None => vec![],
        };
        if let Some(image) = &self.image {
            let columns: Vec<usize> =
                image.columns.iter().map(|name| table.find(name)).collect::<Result<_, _>>()?;
            let images = Images::of_table(table, &columns, image.shape)?;
            let target = if with_target { self.target.encode(table, rows)? } else { None };
            let source_rows = rows.to_vec();
            let encoded = image.encode(&images, rows);
            return Ok(Dataset { categories, target, source_rows, row_names, ..encoded });
        }
        let features: Vec<String> = blocks.iter().flat_map(|(names, _)| names.clone()).collect();
        let mut x = Vec::with_capacity(rows.len() * features.len());
        for row in 0..rows.len() {
            x.extend(blocks.iter().flat_map(|(_, columns)| columns.iter().map(move |c| c[row])));
        }
        let target = if with_target { self.target.encode(table, rows)? } else { None };
        let source_rows = rows.to_vec();
        let rows = rows.len();
        Ok(Dataset {
            rows,
            features,
            x,
            categories,
            target,
            source_rows,
            unseen,
            row_names,
            ..Dataset::default()
        })
    }
}

/// The names of a category column that were not there in training.
fn unseen_names(column: &FittedColumn, table: &Table, at: usize, rows: &[usize]) -> Option<Unseen> {
    let (Encoding::OneHot { names, .. } | Encoding::Embedding { names, .. }) = &column.encoding else {
        return None;
    };
    let is_new = |cell: &&str| {
        !cells::is_missing(cell) && names.binary_search_by(|name| name.as_str().cmp(cell)).is_err()
    };
    let mut new = rows.iter().map(|&row| table.cell(at, row)).filter(is_new).peekable();
    let example = new.peek()?.chars().take(40).collect();
    Some(Unseen { column: column.name.clone(), cells: new.count(), example })
}

/// Feature names and their columns of values.
fn encode_column(
    column: &FittedColumn,
    table: &Table,
    series: &[Range<usize>],
    at: usize,
    rows: &[usize],
) -> Result<(Vec<String>, Vec<Vec<f32>>), DataError> {
    let name = &column.name;
    Ok(match &column.encoding {
        Encoding::Number { boolean, fill, forward, clip, scaling, indicator } => {
            let kind = if *boolean { ColumnKind::Boolean } else { ColumnKind::Number };
            let mut values = cells::values(table, at, rows, kind)?;
            let missing: Vec<f32> = values.iter().map(|v| f32::from(u8::from(v.is_none()))).collect();
            if *forward {
                let last = last_values(table, series, at, kind);
                for (value, &row) in values.iter_mut().zip(rows) {
                    *value = last[row];
                }
            }
            let scaled = values.iter().map(|v| {
                let x = v.unwrap_or(*fill);
                let x = clip.map_or(x, |[low, high]| x.clamp(low, high));
                scaling.apply_f32(x)
            });
            let mut names = vec![name.to_string()];
            let mut columns = vec![scaled.collect()];
            if *indicator {
                names.push(format!("{name} is missing"));
                columns.push(missing);
            }
            (names, columns)
        }
        Encoding::OneHot { fill, forward, names } => {
            let before = forward.then_some(series);
            let found = category_names(table, at, rows, fill.as_deref(), before);
            let column = |known: &String| {
                found.iter().map(|f| f32::from(u8::from(*f == Some(known.as_str())))).collect::<Vec<f32>>()
            };
            (names.iter().map(|n| format!("{name}={n}")).collect(), names.iter().map(column).collect())
        }
        Encoding::Calendar { parts, cyclic } => calendar(name, parts, *cyclic, table, at, rows)?,
        Encoding::Embedding { .. } => (vec![], vec![]),
    })
}

/// The value of each row; where missing, the last one before it in the same series.
fn last_values(table: &Table, series: &[Range<usize>], column: usize, kind: ColumnKind) -> Vec<Option<f64>> {
    let parse = if kind == ColumnKind::Boolean { cells::boolean } else { cells::number };
    let cells = &table.columns[column];
    let mut values = vec![None; cells.len()];
    for rows in series {
        let mut last = None;
        for row in rows.clone() {
            last = parse(&cells[row]).or(last);
            values[row] = last;
        }
    }
    values
}

/// The category of each row; where missing, the last one before it in the same series, else the replacement;
/// `None` if there is none.
fn category_names<'a>(
    table: &'a Table,
    at: usize,
    rows: &[usize],
    fill: Option<&'a str>,
    series: Option<&[Range<usize>]>,
) -> Vec<Option<&'a str>> {
    let name = |row: usize| Some(table.cell(at, row)).filter(|cell| !cells::is_missing(cell));
    let mut before = vec![None; table.lines.len()];
    for series in series.into_iter().flatten() {
        let mut last = None;
        for row in series.clone() {
            last = name(row).or(last);
            before[row] = last;
        }
    }
    rows.iter().map(|&row| name(row).or(before[row]).or(fill)).collect()
}

fn calendar(
    name: &str,
    parts: &[Calendar],
    cyclic: bool,
    table: &Table,
    at: usize,
    rows: &[usize],
) -> Result<(Vec<String>, Vec<Vec<f32>>), DataError> {
    let times = cells::timestamps(table, at, rows)?;
    let (mut names, mut columns) = (vec![], vec![]);
    for part in parts {
        let (label, period) = match part {
            Calendar::Hour => ("hour", 24.0),
            Calendar::Weekday => ("weekday", 7.0),
            Calendar::Month => ("month", 12.0),
            Calendar::DayOfYear => ("day of year", 366.0),
            Calendar::Year => ("year", 0.0),
        };
        let value = |t: &Option<jiff::civil::DateTime>| {
            t.map_or(0.0, |t| {
                let hour = f64::from(t.hour()) + f64::from(t.minute()) / 60.0;
                let day = f64::from(t.day_of_year() - 1) + hour / 24.0;
                match part {
                    Calendar::Hour => hour,
                    Calendar::Weekday => f64::from(t.weekday().to_monday_zero_offset()),
                    Calendar::Month => f64::from(t.month() - 1),
                    Calendar::DayOfYear => day,
                    Calendar::Year => f64::from(t.year()) - 2000.0 + day / 366.0,
                }
            })
        };
        let values: Vec<f64> = times.iter().map(value).collect();
        if cyclic && period > 0.0 {
            let angle = |x: &f64| 2.0 * std::f64::consts::PI * x / period;
            names.extend([format!("{name} {label} sin"), format!("{name} {label} cos")]);
            columns.push(values.iter().map(|x| angle(x).sin() as f32).collect());
            columns.push(values.iter().map(|x| angle(x).cos() as f32).collect());
        } else {
            let scale = if period > 0.0 { 1.0 / period } else { 0.1 };
            names.push(format!("{name} {label}"));
            columns.push(values.iter().map(|x| (x * scale) as f32).collect());
        }
    }
    Ok((names, columns))
}
