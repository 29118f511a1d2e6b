//! Data larger than memory: encoded column by column, or picture by picture, into a file of rows, from which batches
//! are read. What is fitted, and every encoded value, has the bits of data in memory, because the same functions see the
//! same cells.

mod columns;
mod images;
mod table;

use std::path::{Path, PathBuf};

use super::config::{DataConfig, RowsIn};
use super::image;
use super::table::given;
use super::{DataError, Goal, Loaded};
use crate::device::cpu::host;

/// Times its size that a file takes up while it is read into memory.
const IN_MEMORY: u64 = 2;

/// Whether the rows of an experiment are kept in a file.
pub fn is_large(config: &DataConfig, path: &Path) -> bool {
    match config.memory.rows {
        RowsIn::Disk => true,
        RowsIn::Device | RowsIn::Host => false,
        // What is not read by parts is left to whoever reads it into memory.
        RowsIn::Auto if unsuited(config, path).is_some() => false,
        RowsIn::Auto => {
            let bytes = size(path);
            (image::files::is_image_source(path) && images::beyond(path))
                || config.memory.host_bytes().is_some_and(|most| bytes > most)
                || host::available().is_some_and(|available| IN_MEMORY * bytes > available)
        }
    }
}

/// Bytes of the files of a source.
fn size(path: &Path) -> u64 {
    let of_file = |file: &Path| std::fs::metadata(file).map_or(0, |found| found.len());
    if path.is_dir() {
        return image::files::bytes(path);
    }
    super::table::files(path).unwrap_or_default().iter().map(|file| of_file(file)).sum()
}

/// Why data cannot be kept in a file.
fn unsuited(config: &DataConfig, path: &Path) -> Option<&'static str> {
    if config.pixel_target().is_some() {
        return Some("targets of pixels are kept in memory");
    }
    if given::is_name(path) {
        return Some("rows that are given in memory stay there; write them to a file");
    }
    if config.text.is_some() {
        return Some("texts are kept in memory: a character takes up four bytes of it");
    }
    if config.window.is_some() {
        return Some("windows of series are kept in memory, with each row once");
    }
    if config.graph.is_some() {
        return Some("rows that are graphs, or nodes of one, are kept in memory");
    }
    if config.reshape.is_some() || !config.derive.is_empty() {
        return Some(
            "[data.reshape] and [data.derive] need several columns at a time; write what they make to a file",
        );
    }
    if image::files::is_image_source(path) {
        return images::unsuited(config, path);
    }
    if config.image.is_some() {
        return Some("images in the columns of a table are kept in memory; write them to an IDX file");
    }
    match config.split.files() {
        true => Some(
            "`data.split.by` = \"files\" reads tables into memory; name the part of each row in a column, and \
                      set `by` = \"column\"",
        ),
        false => None,
    }
}

/// Reads, splits, fits and encodes data that are not held in memory.
///
/// # Errors
/// If they are wrong, or of a kind that is only read into memory; or if the disk is full.
pub fn load(config: &DataConfig, directory: &Path, path: &Path, goal: Goal) -> Result<Loaded, DataError> {
    if let Some(reason) = unsuited(config, path) {
        let reason = format!("`data.memory.rows` = \"disk\" is not for these data: {reason}");
        return Err(DataError::Treatment { column: "rows".into(), reason });
    }
    let folder = folder(config, directory);
    match image::files::is_image_source(path) {
        true => images::load(config, directory, path, goal, &folder),
        false => table::load(config, path, goal, &folder),
    }
}

/// Where files of rows are made.
fn folder(config: &DataConfig, directory: &Path) -> PathBuf {
    config.memory.scratch.as_ref().map_or_else(|| PathBuf::from("."), |scratch| directory.join(scratch))
}

/// The error of the file of rows.
fn failed(folder: &Path, error: &std::io::Error) -> DataError {
    let reason = format!("the file of encoded rows, which is kept here (`data.memory.scratch`): {error}");
    DataError::Io { path: folder.into(), reason }
}
