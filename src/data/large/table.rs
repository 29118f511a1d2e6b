//! Tables larger than memory.

use std::path::Path;
use std::sync::Arc;

use super::super::config::{DataConfig, Fill};
use super::super::dataset::{CategoryIds, Dataset, Filled, Unseen};
use super::super::fitted::{Encoding, Fitted, FittedColumn, FittedTarget};
use super::super::split::{self, Parts};
use super::super::stored::FileWriter;
use super::super::table::Table;
use super::super::{
    DataError, Goal, Loaded, Understanding, class_column, digest, feature_columns, find_targets,
    first_target, no_features, weights,
};
use super::super::{encode, fit};
use super::columns::Columns;
use super::failed;

/// Words that are encoded at a time.
const TOGETHER: usize = 1 << 22;

/// Reads, splits, fits and encodes a table, with a file of its rows in `folder`.
///
/// # Errors
/// [`DataError`] for anything wrong with the file or the configuration, or a disk that is full.
pub fn load(config: &DataConfig, path: &Path, goal: Goal, folder: &Path) -> Result<Loaded, DataError> {
    super::super::image::files::check_no_pictures(config, path)?;
    let mut columns = Columns::read(path, config, folder)?;
    let targets = find_targets(config, &columns.head)?;
    let features = feature_columns(config, &columns.head)?;
    let treated =
        config.types.keys().chain(config.clean.columns.keys()).chain(config.transform.columns.keys());
    for name in treated {
        columns.head.find(name)?;
    }
    let weight = weights::find(config, &columns.head)?;
    let count = columns.rows();
    let rows = kept_rows(config, &mut columns, &targets, &features, weight)?;
    let dropped = count - rows.len();
    let parts = parts(config, &mut columns, &targets, &rows, goal)?;
    drop(rows);
    let train = &parts.train;
    let own: Vec<usize> = (0..targets.len()).collect();
    let target = columns.with(&targets, |table| FittedTarget::fit_all(config, table, &own, train, goal))?;
    let mut fitted = Fitted {
        target,
        csv: config.csv.clone(),
        formats: columns.formats.clone(),
        weight: config.weight.clone(),
        ..Fitted::default()
    };
    for &at in &features {
        fitted.columns.push(columns.with(&[at], |table| fit::fit_column(config, table, 0, train))?);
    }
    let all = [&parts.train, &parts.validation, &parts.test];
    let [train, validation, test] =
        Encoder { config, fitted: &fitted, folder }.encode(&mut columns, &features, all)?;
    if train.features.is_empty() && train.categories.is_empty() {
        return Err(no_features(config));
    }
    fitted.constant = fitted.target.constant(&train);
    fitted.constants = fitted.target.constants(&train);
    let mut notes = columns.head.notes.clone();
    notes.push(
        "the table is read from disk column by column: single columns are fitted as in memory, and are not shown or \
         doubted here"
            .into(),
    );
    if let Some(blocks) = train.stored.as_ref().and_then(|stored| stored.blocks()) {
        notes.push(format!("rows are read from disk: {}", blocks.describe()));
    }
    let mut understood = Understanding::without_columns(config, notes);
    understood.rows = count;
    understood.parts = all.map(Vec::len);
    let counted: Vec<usize> = targets.iter().copied().chain(weight).collect();
    columns.with(&counted, |table| {
        understood.split_rows(table, &parts, &fitted.target);
        understood.drop_rows_of(table, &own, weight.map(|_| own.len()), dropped);
        Ok(())
    })?;
    // The file alone: tables of several files are refused.
    Ok(Loaded { train, validation, test, digest: digest(path)?, dropped, understood, fitted })
}

/// Rows with a target and without missing values in the columns that require one.
fn kept_rows(
    config: &DataConfig,
    columns: &mut Columns,
    targets: &[usize],
    features: &[usize],
    weight: Option<usize>,
) -> Result<Vec<usize>, DataError> {
    let mut required: Vec<usize> = targets.iter().copied().chain(weight).collect();
    for name in &config.clean.drop_missing {
        required.push(columns.head.find(name)?);
    }
    let by_rule = |c: &usize| config.clean.columns.get(&columns.head.names[*c]) == Some(&Fill::Drop);
    required.extend((0..columns.head.names.len()).filter(by_rule));
    for &at in features {
        // Without reading the column, where no kind of columns drops rows.
        let may = [&config.clean.numbers, &config.clean.categories].contains(&&Fill::Drop);
        if may && columns.drops(at)? {
            required.push(at);
        }
    }
    let mut complete = vec![true; columns.rows()];
    for at in required {
        columns.with(&[at], |table| {
            complete.iter_mut().enumerate().for_each(|(row, kept)| *kept &= !table.is_missing(0, row));
            Ok(())
        })?;
    }
    let rows: Vec<usize> = (0..complete.len()).filter(|&row| complete[row]).collect();
    if rows.is_empty() {
        let reason = "no row is left once rows with missing values are dropped".into();
        let column = first_target(config);
        return Err(DataError::BadTarget { path: columns.head.path.clone(), column, reason });
    }
    Ok(rows)
}

/// The parts of rows, from the columns that decide them.
fn parts(
    config: &DataConfig,
    columns: &mut Columns,
    targets: &[usize],
    rows: &[usize],
    goal: Goal,
) -> Result<Parts, DataError> {
    let classes = class_column(goal, targets.first().copied());
    let mut needed: Vec<usize> = classes.into_iter().collect();
    for name in config.split.column().into_iter().chain(config.split.group()) {
        let at = columns.head.find(name)?;
        if !needed.contains(&at) {
            needed.push(at);
        }
    }
    columns.with(&needed, |table| {
        split::split(&config.split, table, rows, classes.map(|_| 0), split::Least::ONE)
    })
}

struct Encoder<'a> {
    config: &'a DataConfig,
    fitted: &'a Fitted,
    folder: &'a Path,
}

impl Encoder<'_> {
    /// The rows of each part, with their features in files.
    fn encode(
        &self,
        columns: &mut Columns,
        features: &[usize],
        parts: [&Vec<usize>; 3],
    ) -> Result<[Dataset; 3], DataError> {
        let fitted = self.fitted;
        let names: Vec<String> = fitted.columns.iter().flat_map(encode::feature_names).collect();
        let mut made = vec![];
        for rows in parts {
            let pool = self.config.memory.pool_bytes();
            let writer = FileWriter::create(self.folder, rows.len(), names.len(), true, pool);
            let part = Dataset { rows: rows.len(), features: names.clone(), ..Dataset::default() };
            made.push((writer.map_err(|e| failed(self.folder, &e))?, part));
        }
        let mut first = 0;
        for (column, &at) in fitted.columns.iter().zip(features) {
            columns.with(&[at], |table| {
                for ((writer, part), rows) in made.iter_mut().zip(parts) {
                    self.column(column, table, rows, writer, first, part)?;
                }
                Ok(())
            })?;
            first += column.features();
        }
        let wanted = fitted.target.columns().into_iter().chain(fitted.weight.as_deref());
        let wanted: Vec<usize> = wanted.map(|name| columns.head.find(name)).collect::<Result<_, _>>()?;
        let targets = match fitted.target.columns().len() {
            0 | 1 => 0,
            several => several,
        };
        let mut sets = vec![];
        columns.with(&wanted, |table| {
            for (number, ((writer, part), rows)) in made.into_iter().zip(parts).enumerate() {
                let trains = number == 0;
                let stored = (!names.is_empty()).then(|| Arc::new(writer.finish(!trains)));
                sets.push(Dataset {
                    stored,
                    target: fitted.target.encode(table, rows)?,
                    targets,
                    weights: fitted.weights(table, rows)?,
                    // Nothing names the rows that train.
                    source_rows: if trains { vec![] } else { rows.clone() },
                    ..part
                });
            }
            Ok(())
        })?;
        sets.try_into().map_err(|_| DataError::Split { reason: "has not three parts".into() })
    }

    /// Writes the features of a column.
    fn column(
        &self,
        column: &FittedColumn,
        table: &Table,
        rows: &[usize],
        writer: &mut FileWriter,
        first: usize,
        part: &mut Dataset,
    ) -> Result<(), DataError> {
        let one = Fitted { columns: vec![column.clone()], ..Fitted::default() };
        let width = column.features();
        let mut ids = vec![];
        let (mut cells, mut new): (usize, Option<Unseen>) = (0, None);
        let mut values = vec![];
        for (number, some) in rows.chunks(TOGETHER / width.max(1)).enumerate() {
            let encoded = one.encode(table, some, false)?;
            let row = number * (TOGETHER / width.max(1));
            for feature in 0..width {
                values.clear();
                values.extend(encoded.x[feature..].iter().step_by(width).map(|x| x.to_bits()));
                let written = writer.column(row, first + feature, &values);
                written.map_err(|e| failed(self.folder, &e))?;
            }
            ids.extend(encoded.categories.into_iter().flat_map(|categories| categories.ids));
            cells += encoded.filled.iter().map(|filled| filled.cells).sum::<usize>();
            for unseen in encoded.unseen {
                match &mut new {
                    Some(new) => new.cells += unseen.cells,
                    None => new = Some(unseen),
                }
            }
        }
        if let Encoding::Embedding { names, .. } = &column.encoding {
            let (name, vocabulary) = (column.name.clone(), names.len() + 1);
            part.categories.push(CategoryIds { name, vocabulary, ids });
        }
        part.unseen.extend(new);
        if cells > 0 {
            part.filled.push(Filled { column: column.name.clone(), cells });
        }
        Ok(())
    }
}
