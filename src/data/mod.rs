//! Data: from tables and images to numbers. Read, drop, split, fit on the training rows alone, encode.

pub mod cells;
mod chosen;
pub mod config;
mod dataset;
pub mod derive;
mod digest;
mod documents;
mod encode;
mod error;
mod fit;
mod fitted;
mod fitted_target;
mod formats;
pub mod graph;
pub mod image;
mod keep;
mod large;
mod padded;
mod pixels;
mod places;
mod placing;
mod read;
mod reshape;
mod room;
mod scaling;
pub mod split;
pub mod stored;
mod symbols;
pub mod table;
mod target;
mod text;
pub mod tokens;
mod understanding;
mod weights;
mod window;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;

use crate::base::parallel::prelude::*;
use chosen::{class_column, feature_columns, find_targets, first_target, is_target, kept_rows};
pub use config::DataConfig;
pub use dataset::{
    Baselines, CategoryIds, Dataset, Documents, Filled, Members, Place, Target, Text, Unseen, Windows,
};
use digest::{digest, digest_all, hexadecimal};
pub use documents::FittedDocuments;
pub use error::DataError;
pub use fitted::{
    Encoding, Fitted, FittedColumn, FittedGraph, FittedGraphs, FittedImage, FittedPixels, FittedSeries,
    FittedTarget, FittedWindow, PixelClass, PixelValues,
};
use image::Images;
pub use keep::Kept;
pub use padded::Graphs;
pub use pixels::PixelRows;
pub use read::{RowsInMemory, examples};
pub use scaling::FittedScaling;
pub use symbols::{FittedText, FittedTokens};
use table::Table;
pub use understanding::{Class, Column, Doubt, Understanding};

/// What a model learns from rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// A number.
    Regression,
    /// A number from 0 up, of whose mean the model predicts the logarithm.
    Rate,
    /// One of two classes, from one logit.
    Binary,
    /// One of several classes.
    Classes,
    /// The features themselves; a target, if any, provides class names for them.
    Features,
}

/// The data of an experiment, encoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What was fitted on the training rows.
    pub fitted: Fitted,
    /// Training rows.
    pub train: Dataset,
    /// Validation rows.
    pub validation: Dataset,
    /// Test rows; may be empty.
    pub test: Dataset,
    /// SHA-256 of the source file, in hexadecimal; with several files, of their concatenated digests.
    pub digest: String,
    /// Number of dropped rows.
    pub dropped: usize,
    /// What was understood of them.
    pub understood: Understanding,
}

/// Reads, splits, fits and encodes the data of an experiment; `directory` is that of the experiment file.
///
/// # Errors
/// [`DataError`] for anything wrong with the file or the configuration.
pub fn load(config: &DataConfig, directory: &Path, goal: Goal) -> Result<Loaded, DataError> {
    let path = directory.join(&config.source);
    for file in config.clone().paths() {
        readable(&directory.join(file))?;
    }
    let loaded = match large::is_large(config, &path) {
        true => large::load(config, directory, &path, goal),
        false => load_path(config, directory, &path, goal),
    };
    let mut loaded = loaded.map_err(|e| e.in_file(&path))?;
    for (trains, part) in
        [(true, &mut loaded.train), (false, &mut loaded.validation), (false, &mut loaded.test)]
    {
        image::targets::finish(&loaded.fitted, part, true, trains);
    }
    let bytes = loaded.train.feature_bytes() + loaded.validation.feature_bytes();
    for part in [&mut loaded.train, &mut loaded.validation, &mut loaded.test] {
        part.keep_as(config, bytes);
    }
    Ok(loaded)
}

fn load_path(config: &DataConfig, directory: &Path, path: &Path, goal: Goal) -> Result<Loaded, DataError> {
    let documents = config.text.as_ref().and_then(|text| Some((text, text.column.as_deref()?)));
    if let (Some(text), None) = (&config.text, documents) {
        return text::load(config, text, directory, path, goal);
    }
    if image::files::is_image_source(path) {
        if config.weight.is_some() {
            let reason = "`data.weight` names a column of a table, and these are images; remove it".into();
            return Err(DataError::Treatment { column: "weight".into(), reason });
        }
        return image::load::load(config, directory, path, goal);
    }
    image::files::check_no_pictures(config, path)?;
    if config.target.is_none() && goal != Goal::Features && config.pixel_target().is_none() {
        let reason = "`data.target` is missing; name the column to predict".into();
        return Err(DataError::Treatment { column: "target".into(), reason });
    }
    let (table, formats) = read::first(path, config)?;
    let alike = read::Alike {
        csv: &config.csv,
        formats: &formats,
        derive: &config.derive,
        reshape: config.reshape.as_ref(),
    };
    let mut understood = Understanding::of_table(config, &table, &formats);
    let targets = find_targets(config, &table)?;
    let target = targets.first().copied();
    let features = feature_columns(config, &table)?;
    if let Some(graph) = config.graph.as_ref().filter(|graph| graph.nodes.is_some()) {
        let loaded = graph::load_whole(config, graph, directory, (&table, &formats), goal)?;
        return Ok(Loaded { digest: digest_all(config, directory, path)?, ..loaded });
    }
    for name in config.types.keys().chain(config.clean.columns.keys()).chain(config.transform.columns.keys())
    {
        table.find(name)?;
    }
    if let Some(window) = &config.window {
        let other = |file: &str| alike.read(&directory.join(file), &[]);
        let mut loaded = window::load(config, window, &table, goal, &other)?;
        loaded.fitted.csv = config.csv.clone();
        loaded.fitted.formats = formats;
        understood.notes.append(&mut loaded.understood.notes);
        if let Some(graph) = &config.graph {
            graph::of_series(config, graph, directory, &mut loaded)?;
            understood.notes.append(&mut loaded.understood.notes);
        }
        understood.fitted(&loaded.fitted);
        understood.parts = [&loaded.train, &loaded.validation, &loaded.test].map(|part| part.rows);
        understood.drop_rows(loaded.dropped, "windows that reach over the end of a part or miss values");
        return Ok(Loaded { digest: digest_all(config, directory, path)?, understood, ..loaded });
    }
    let weight = weights::find(config, &table)?;
    if let Some(graph) = &config.graph {
        let loaded = graph::load(config, graph, directory, (&table, &formats), goal)?;
        return Ok(Loaded { digest: digest_all(config, directory, path)?, ..loaded });
    }
    let rows = kept_rows(config, &table, &targets)?;
    let parts = split::split(&config.split, &table, &rows, class_column(goal, target), split::Least::ONE)?;
    let fitted_target = FittedTarget::fit_all(config, &table, &targets, &parts.train, goal)?;
    let (columns, image) = match config.image.as_ref().and_then(|image| image.shape) {
        Some(shape) => {
            let images = Images::of_table(&table, &features, shape)?;
            let names = features.iter().map(|&c| table.names[c].clone()).collect();
            let image = FittedImage::fit(config, &images, &parts.train, names)?;
            (vec![], Some(image))
        }
        None => {
            let fit = |&c: &usize| fit::fit_column(config, &table, c, &parts.train);
            let columns: Vec<Result<_, DataError>> = features.par_iter().map(fit).collect();
            (columns.into_iter().collect::<Result<_, _>>()?, None)
        }
    };
    let fitted_target = image::targets::of_table(config, image.as_ref())?.unwrap_or(fitted_target);
    let documents = match documents {
        Some((text, column)) => {
            // Rows without a target have texts too.
            let held_out: BTreeSet<usize> = parts.validation.iter().chain(&parts.test).copied().collect();
            let rows: Vec<usize> = (0..table.lines.len()).filter(|row| !held_out.contains(row)).collect();
            Some(FittedDocuments::fit(text, column, directory, &table, &rows)?)
        }
        None => None,
    };
    let mut fitted = Fitted {
        columns,
        target: fitted_target,
        image,
        window: None,
        graph: None,
        graphs: None,
        documents,
        csv: config.csv.clone(),
        formats: formats.clone(),
        derive: config.derive.clone(),
        reshape: config.reshape.clone(),
        weight: config.weight.clone(),
        threshold: None,
        temperature: None,
        constant: None,
        constants: vec![],
    };
    let encode = |rows: &[usize]| fitted.encode(&table, rows, true);
    let from_file = |file: &String| {
        let other = alike.read(&directory.join(file), &[])?;
        let rows = kept_rows(config, &other, &find_targets(config, &other)?)?;
        fitted.encode(&other, &rows, true)
    };
    let (validation, test) = match &config.split {
        config::SplitConfig::Files { validation, test, .. } => {
            let validation = match validation {
                config::Validation::File(file) => from_file(file)?,
                config::Validation::Part(_) => encode(&parts.validation)?,
            };
            (validation, test.as_ref().map_or_else(|| encode(&[]), from_file)?)
        }
        _ => (encode(&parts.validation)?, encode(&parts.test)?),
    };
    let train = encode(&parts.train)?;
    fitted.constant = fitted.target.constant(&train);
    fitted.constants = fitted.target.constants(&train);
    if train.features.is_empty() && train.categories.is_empty() && train.documents.is_none() {
        return Err(no_features(config));
    }
    let dropped = table.lines.len() - rows.len();
    understood.fitted(&fitted);
    if goal == Goal::Regression {
        understood.predicts_numbers(&table);
    }
    understood.split_rows(&table, &parts, &fitted.target);
    understood.parts = [&train, &validation, &test].map(|part| part.rows);
    understood.drop_rows_of(&table, &targets, weight, dropped);
    understood.notes.extend(
        [&train, &validation, &test]
            .into_iter()
            .filter_map(|part| documents::told(part.documents.as_ref()?, fitted.documents.as_ref()?)),
    );
    drop(table);
    let digest = digest_all(config, directory, path)?;
    Ok(Loaded { train, validation, test, digest, dropped, understood, fitted })
}

/// The error that nothing is left to predict from.
fn no_features(config: &DataConfig) -> DataError {
    let reason = match config.split.column() {
        Some(name) => format!(
            "no other column is left to predict from; `{name}` splits the rows and is no feature unless \
             `features` names it"
        ),
        None => "no other column is left to predict from".into(),
    };
    DataError::Treatment { column: first_target(config), reason }
}

/// What a table is before anything is fitted to it; `None` for images and texts.
///
/// # Errors
/// If it cannot be read.
pub fn look(config: &DataConfig, directory: &Path) -> Result<Option<Understanding>, DataError> {
    let path = directory.join(&config.source);
    if config.is_text() || image::files::is_image_source(&path) {
        return Ok(None);
    }
    let (table, formats) = read::first(&path, config).map_err(|e| e.in_file(&path))?;
    Ok(Some(Understanding::of_table(config, &table, &formats)))
}

/// Reads another file and encodes its rows with what was fitted. Rows keep the file's order; none is dropped
/// unless the target is wanted and missing.
///
/// # Errors
/// [`DataError`] for anything wrong with the file.
pub fn load_with(fitted: &Fitted, path: &Path, with_target: bool) -> Result<Dataset, DataError> {
    let mut rows = load_rows_with(fitted, path, with_target)?;
    image::targets::finish(fitted, &mut rows, with_target, false);
    Ok(rows)
}

fn load_rows_with(fitted: &Fitted, path: &Path, with_target: bool) -> Result<Dataset, DataError> {
    readable(path)?;
    if let Some(image) = fitted.image.as_ref().filter(|image| image.columns.is_empty()) {
        return image::load::load_with(fitted, image, path, with_target);
    }
    if let Some(text) = fitted.target.text() {
        return text::load_with(text, path);
    }
    if let Some(documents) = fitted.documents.as_ref().filter(|documents| documents.column.is_none()) {
        return text::pieces_with(documents, path);
    }
    let fitted = &*if with_target { Cow::Borrowed(fitted) } else { fitted.without_derived_targets() };
    let table = read::alike(fitted, path).map_err(|e| e.in_file(path))?;
    of_table(fitted, table, path, with_target)
}

/// Like [`load_with`], for rows of a table in memory, which messages call `name`.
///
/// # Errors
/// [`DataError`] for anything wrong with the rows, or if the model reads pictures or texts.
pub fn load_in_memory(
    fitted: &Fitted,
    name: &Path,
    rows: RowsInMemory,
    with_target: bool,
) -> Result<Dataset, DataError> {
    let of_text = fitted.symbols().is_some() && fitted.documents.as_ref().is_none_or(|d| d.column.is_none());
    if of_text || fitted.image.as_ref().is_some_and(|image| image.columns.is_empty()) {
        let reason = "these are rows of a table, and the model reads none".into();
        return Err(DataError::Io { path: name.into(), reason });
    }
    let fitted = &*if with_target { Cow::Borrowed(fitted) } else { fitted.without_derived_targets() };
    let table = read::alike_in_memory(fitted, name, rows).map_err(|e| e.in_file(name))?;
    let mut rows = of_table(fitted, table, name, with_target)?;
    image::targets::finish(fitted, &mut rows, with_target, false);
    Ok(rows)
}

/// Encodes the rows of a table that was read for a model.
fn of_table(fitted: &Fitted, table: Table, path: &Path, with_target: bool) -> Result<Dataset, DataError> {
    if let (Some(_), None) = (&fitted.graph, &fitted.window) {
        return of_nodes(fitted, &table, with_target).map_err(|e| e.in_file(path));
    }
    if let Some(window) = &fitted.window {
        return window::load_with(fitted, window, table, None, with_target).map_err(|e| e.in_file(path));
    }
    let rows = wanted_rows(fitted, &table, with_target)?;
    if let Some(graphs) = &fitted.graphs {
        return graph::of_graphs(fitted, graphs, (&table, path), &rows, with_target)
            .map_err(|e| e.in_file(path));
    }
    fitted.encode(&table, &rows, with_target).map_err(|e| e.in_file(path))
}

/// Encodes rows that name nodes of a model's graph.
fn of_nodes(fitted: &Fitted, table: &Table, with_target: bool) -> Result<Dataset, DataError> {
    graph::of_rows(fitted, table, &wanted_rows(fitted, table, with_target)?, with_target)
}

/// The rows of a table that have what is wanted of them.
fn wanted_rows(fitted: &Fitted, table: &Table, with_target: bool) -> Result<Vec<usize>, DataError> {
    let mut rows: Vec<usize> = (0..table.lines.len()).collect();
    for name in fitted.target.columns().into_iter().filter(|_| with_target) {
        let target = table.find(name)?;
        rows.retain(|&row| !table.is_missing(target, row));
    }
    if let (true, Some(name)) = (with_target, &fitted.weight) {
        let weight = table.find(name)?;
        rows.retain(|&row| !table.is_missing(weight, row));
    }
    Ok(rows)
}

/// Refuses devices, pipes and sockets, which may never end.
fn readable(path: &Path) -> Result<(), DataError> {
    let wrong = |reason| DataError::Io { path: path.into(), reason };
    crate::base::input::refuse_special(path).map_err(wrong)
}

/// Reads the known rows of series, and those to come from the file `future`: their times, their series and
/// the columns known in advance. `None` if the rows are not windows of series.
///
/// # Errors
/// [`DataError`] for anything wrong with the files.
pub fn load_future(fitted: &Fitted, path: &Path, future: &Path) -> Result<Option<Dataset>, DataError> {
    let Some(window) = &fitted.window else { return Ok(None) };
    let table = read::alike(fitted, path).map_err(|e| e.in_file(path))?;
    // Columns computed from what is yet unknown are left out.
    let mut known = fitted.clone();
    known.derive.retain(|name, _| window.config.known_future.contains(name));
    let future = read::alike(&known, future).map_err(|e| e.in_file(future))?;
    window::load_with(fitted, window, table, Some(&future), false).map(Some).map_err(|e| e.in_file(path))
}
