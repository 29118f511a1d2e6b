//! From rows of a table to a model's inputs, using what was fitted on the training rows.

use std::ops::Range;

use super::DataError;
use super::cells;
use super::config::{Calendar, ColumnKind};
use super::dataset::{CategoryIds, Dataset, Filled, Unseen};
use super::fitted::{Encoding, Fitted, FittedColumn};
use super::image::Images;
use super::table::Table;
use crate::base::parallel::prelude::*;

/// Features that are encoded side by side.
const TOGETHER: usize = 32;

impl Fitted {
    /// Encodes `rows` of `table`; includes the target and weights only if `with_target`.
    ///
    /// # Errors
    /// If a column is missing or a cell does not parse.
    pub fn encode(&self, table: &Table, rows: &[usize], with_target: bool) -> Result<Dataset, DataError> {
        let whole = 0..table.lines.len();
        let encoded = self.encode_series(table, std::slice::from_ref(&whole), rows, with_target)?;
        let weights = if with_target { self.weights(table, rows)? } else { vec![] };
        let targets = match self.target.columns().len() {
            0 | 1 => 0,
            several => several,
        };
        let documents = self.documents.as_ref().map(|of| of.encode(table, rows)).transpose()?;
        Ok(Dataset { filled: self.filled(table, rows)?, targets, weights, documents, ..encoded })
    }

    /// The columns with missing values in `rows`.
    fn filled(&self, table: &Table, rows: &[usize]) -> Result<Vec<Filled>, DataError> {
        let mut filled = vec![];
        for column in &self.columns {
            let at = table.find(&column.name)?;
            let cells = match table.columns[at].missing() {
                0 => 0,
                _ => rows.iter().filter(|&&row| table.is_missing(at, row)).count(),
            };
            if cells > 0 {
                filled.push(Filled { column: column.name.clone(), cells });
            }
        }
        Ok(filled)
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
        let names: Vec<Vec<String>> = self.columns.iter().map(feature_names).collect();
        let width: usize = names.iter().map(Vec::len).sum();
        let mut x = vec![0.0; rows.len() * width];
        let (mut categories, mut unseen) = (vec![], vec![]);
        let (mut done, mut start) = (0, 0);
        while done < self.columns.len() {
            // Few columns at a time, so that most values are held once.
            let mut end = done;
            let mut wide = 0;
            while end < self.columns.len() && wide < TOGETHER {
                wide += names[end].len().max(1);
                end += 1;
            }
            let encode = |column: &FittedColumn| {
                let at = table.find(&column.name)?;
                let values = encode_column(column, table, series, at, rows)?;
                Ok((unseen_names(column, table, at, rows), values))
            };
            let encoded: Vec<Result<_, DataError>> = self.columns[done..end].par_iter().map(encode).collect();
            let mut features = vec![];
            for (column, encoded) in self.columns[done..end].iter().zip(encoded) {
                let (new, values) = encoded?;
                unseen.extend(new);
                match (values, &column.encoding) {
                    (Values::Ids(ids), Encoding::Embedding { names, .. }) => categories.push(CategoryIds {
                        name: column.name.clone(),
                        vocabulary: names.len() + 1,
                        ids,
                    }),
                    (Values::Ids(_), _) => {}
                    (Values::Features(columns), _) => features.extend(columns),
                }
            }
            put(&mut x, width, start, &features);
            start += features.len();
            done = end;
        }
        let row_names = match &self.reshape {
            Some(reshape) => {
                let at = table.find(reshape.row_name())?;
                rows.iter().map(|&row| table.cell(at, row).into_owned()).collect()
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
        let features: Vec<String> = names.into_iter().flatten().collect();
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

impl FittedColumn {
    /// Number of numeric features that it becomes.
    pub fn features(&self) -> usize {
        feature_names(self).len()
    }
}

/// Puts columns of features into rows of `width`, from feature `start` on.
fn put(x: &mut [f32], width: usize, start: usize, columns: &[Vec<f32>]) {
    const ROWS: usize = 256;
    if columns.is_empty() {
        return;
    }
    x.par_chunks_mut(width * ROWS).enumerate().for_each(|(block, x)| {
        for (row, x) in x.chunks_mut(width).enumerate() {
            for (x, column) in x[start..].iter_mut().zip(columns) {
                *x = column[block * ROWS + row];
            }
        }
    });
}

/// The names of a category column that were not there in training.
fn unseen_names(column: &FittedColumn, table: &Table, at: usize, rows: &[usize]) -> Option<Unseen> {
    let (Encoding::OneHot { names, .. } | Encoding::Embedding { names, .. }) = &column.encoding else {
        return None;
    };
    let is_new = table.columns[at].read(|cell| {
        !cells::is_missing(cell) && names.binary_search_by(|name| name.as_str().cmp(cell)).is_err()
    });
    let mut new = rows.iter().filter(|&&row| is_new(row)).peekable();
    let example = table.cell(at, **new.peek()?).chars().take(40).collect();
    Some(Unseen { column: column.name.clone(), cells: new.count(), example })
}

/// What a column becomes.
enum Values {
    /// Features, one after another.
    Features(Vec<Vec<f32>>),
    /// Categories.
    Ids(Vec<u32>),
}

/// The names of the features that a column becomes.
pub(super) fn feature_names(column: &FittedColumn) -> Vec<String> {
    let name = &column.name;
    match &column.encoding {
        Encoding::Number { indicator, .. } => {
            let missing = indicator.then(|| format!("{name} is missing"));
            std::iter::once(name.to_string()).chain(missing).collect()
        }
        Encoding::OneHot { names, .. } => names.iter().map(|n| format!("{name}={n}")).collect(),
        Encoding::Calendar { parts, cyclic } => calendar_names(name, parts, *cyclic),
        Encoding::Embedding { .. } => vec![],
    }
}

/// The values of a column.
fn encode_column(
    column: &FittedColumn,
    table: &Table,
    series: &[Range<usize>],
    at: usize,
    rows: &[usize],
) -> Result<Values, DataError> {
    Ok(match &column.encoding {
        Encoding::Number { boolean, fill, forward, clip, scaling, indicator } => {
            let kind = if *boolean { ColumnKind::Boolean } else { ColumnKind::Number };
            let mut values = cells::values(table, at, rows, kind)?;
            let missing = indicator
                .then(|| values.iter().map(|v| f32::from(u8::from(v.is_none()))).collect::<Vec<f32>>());
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
            Values::Features(std::iter::once(scaled.collect()).chain(missing).collect())
        }
        Encoding::OneHot { fill, forward, names } => {
            let before = forward.then_some(series);
            let found = category_ids(table, at, rows, fill.as_deref(), before, names);
            let column = |id: u32| found.iter().map(|f| f32::from(u8::from(*f == Some(id)))).collect();
            Values::Features((0..names.len() as u32).map(column).collect())
        }
        Encoding::Calendar { parts, cyclic } => Values::Features(calendar(parts, *cyclic, table, at, rows)?),
        Encoding::Embedding { fill, forward, names } => {
            let before = forward.then_some(series);
            let found = category_ids(table, at, rows, fill.as_deref(), before, names);
            Values::Ids(found.into_iter().map(|id| id.map_or(0, |id| id + 1)).collect())
        }
    })
}

/// The value of each row; where missing, the last one before it in the same series.
fn last_values(table: &Table, series: &[Range<usize>], column: usize, kind: ColumnKind) -> Vec<Option<f64>> {
    fn fill(count: usize, series: &[Range<usize>], value: impl Fn(usize) -> Option<f64>) -> Vec<Option<f64>> {
        let mut values = vec![None; count];
        for rows in series {
            let mut last = None;
            for row in rows.clone() {
                last = value(row).or(last);
                values[row] = last;
            }
        }
        values
    }
    let cells = &table.columns[column];
    match kind {
        ColumnKind::Boolean => fill(cells.len(), series, cells.read(cells::boolean)),
        _ => fill(cells.len(), series, cells.numbers()),
    }
}

/// The category of each row, by its place in `names`; where missing, the last one before it in the same series, else
/// the replacement; `None` if there is none, or it is not among the names.
fn category_ids(
    table: &Table,
    at: usize,
    rows: &[usize],
    fill: Option<&str>,
    series: Option<&[Range<usize>]>,
    names: &[String],
) -> Vec<Option<u32>> {
    let place = |cell: &str| names.binary_search_by(|n| n.as_str().cmp(cell)).ok().map(|at| at as u32);
    let id = table.columns[at].read(|cell| (!cells::is_missing(cell)).then(|| place(cell)));
    let fill = fill.map(place);
    let Some(series) = series else {
        return rows.iter().map(|&row| id(row).or(fill).flatten()).collect();
    };
    let mut before = vec![None; table.lines.len()];
    for series in series {
        let mut last = None;
        for row in series.clone() {
            last = id(row).or(last);
            before[row] = last;
        }
    }
    rows.iter().map(|&row| id(row).or(before[row]).or(fill).flatten()).collect()
}

/// What a part of a date is called, and after how much it repeats; 0 if it does not.
fn label(part: Calendar) -> (&'static str, f64) {
    match part {
        Calendar::Hour => ("hour", 24.0),
        Calendar::Weekday => ("weekday", 7.0),
        Calendar::Month => ("month", 12.0),
        Calendar::DayOfYear => ("day of year", 366.0),
        Calendar::Year => ("year", 0.0),
    }
}

fn calendar_names(name: &str, parts: &[Calendar], cyclic: bool) -> Vec<String> {
    let of = |&part: &Calendar| {
        let (label, period) = label(part);
        match cyclic && period > 0.0 {
            true => vec![format!("{name} {label} sin"), format!("{name} {label} cos")],
            false => vec![format!("{name} {label}")],
        }
    };
    parts.iter().flat_map(of).collect()
}

fn calendar(
    parts: &[Calendar],
    cyclic: bool,
    table: &Table,
    at: usize,
    rows: &[usize],
) -> Result<Vec<Vec<f32>>, DataError> {
    let times = cells::timestamps(table, at, rows)?;
    let mut columns = vec![];
    for part in parts {
        let period = label(*part).1;
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
            columns.push(values.iter().map(|x| angle(x).sin() as f32).collect());
            columns.push(values.iter().map(|x| angle(x).cos() as f32).collect());
        } else {
            let scale = if period > 0.0 { 1.0 / period } else { 0.1 };
            columns.push(values.iter().map(|x| (x * scale) as f32).collect());
        }
    }
    Ok(columns)
}
