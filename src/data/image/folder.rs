//! Folders of pictures: one subfolder per class, named after the class; or pictures alone, without labels.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::Digest;

use super::array::{MAX_ARRAY, bad};
use super::picture::{self, Picture};
use super::{Images, Pixels};
use crate::base::image::ImageShape;
use crate::data::DataError;

/// Maximum number of pictures.
const MAX_PICTURES: usize = 1 << 24;

/// A picture's file, and the name of its subfolder, if any.
pub type Entry = (PathBuf, Option<String>);

/// The pictures of a folder, subfolder by subfolder, each sorted by name; or `path` itself if it is a
/// picture.
///
/// # Errors
/// If a folder cannot be read, is empty, or is nested in the folder of a class.
pub fn list(path: &Path) -> Result<Vec<Entry>, DataError> {
    if path.is_file() {
        return Ok(vec![(path.into(), None)]);
    }
    let mut entries = vec![];
    for inner in contents(path)? {
        if !inner.is_dir() {
            entries.push((inner, None));
            continue;
        }
        let class = inner.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let before = entries.len();
        for file in contents(&inner)? {
            if file.is_dir() {
                return Err(bad(
                    &file,
                    "it is a folder within the folder of a class; pictures must lie in the latter",
                ));
            }
            entries.push((file, Some(class.clone())));
        }
        if entries.len() == before {
            return Err(bad(&inner, "the folder of a class is empty; add pictures to it or remove it"));
        }
    }
    if entries.is_empty() || entries.len() > MAX_PICTURES {
        let found = entries.len();
        return Err(bad(path, format!("it holds {found} pictures; 1 to {MAX_PICTURES} are supported")));
    }
    Ok(entries)
}

/// The pictures' paths within the folder, in the order of [`list`].
///
/// # Errors
/// As [`list`].
pub fn names(path: &Path) -> Result<Vec<String>, DataError> {
    let name = |(file, _): &Entry| file.strip_prefix(path).unwrap_or(file).to_string_lossy().into_owned();
    Ok(list(path)?.iter().map(name).collect())
}

/// The contents of a folder, sorted by name, without hidden files.
fn contents(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let io = |e: std::io::Error| DataError::Io { path: path.into(), reason: e.to_string() };
    let mut found = vec![];
    for entry in std::fs::read_dir(path).map_err(io)? {
        let entry = entry.map_err(io)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Reads pictures as images of shape `wanted`, or else of the size and channels of the first one, which all
/// others must then match.
///
/// # Errors
/// If a picture cannot be read, or its size differs from the first and no shape is set.
pub fn read(path: &Path, entries: &[Entry], wanted: Option<ImageShape>) -> Result<Images, DataError> {
    let Some((first, _)) = entries.first() else { return Err(bad(path, "it holds no pictures")) };
    let shape = match wanted {
        Some(shape) if matches!(shape.channels, 1 | 3) => shape,
        Some(shape) => {
            let reason =
                format!("pictures have 1 channel or 3, `data.image.shape` = {shape} says {}", shape.channels);
            return Err(bad(path, reason));
        }
        None => picture::read(first)?.shape(),
    };
    let total = entries.len().saturating_mul(shape.values());
    if total > MAX_ARRAY {
        let reason = format!(
            "{} pictures of {shape} are {total} values, at most {MAX_ARRAY} are supported; set a smaller \
             `data.image.shape`",
            entries.len()
        );
        return Err(bad(path, reason));
    }
    let fit = |file: &Path, picture: &Picture| {
        if wanted.is_none() && picture.shape() != shape {
            let reason = format!(
                "it is a picture of {}, but the first one ({}) is of {shape}; set `data.image.shape` to \
                 resize all",
                picture.shape(),
                first.display()
            );
            return Err(bad(file, reason));
        }
        Ok(picture.fitted(shape))
    };
    let mut bytes = vec![0; total];
    let places: Vec<_> = bytes.chunks_exact_mut(shape.values()).zip(entries).collect();
    // In order, so that the first bad picture is reported, whichever thread finds one.
    let results: Vec<Result<(), DataError>> = places
        .into_par_iter()
        .map(|(place, (file, _))| {
            place.copy_from_slice(&fit(file, &picture::read(file)?)?);
            Ok(())
        })
        .collect();
    results.into_iter().collect::<Result<(), _>>()?;
    Ok(Images { shape, pixels: Pixels::Bytes(bytes) })
}

/// SHA-256 of the names and contents of all pictures, in hexadecimal.
///
/// # Errors
/// If one cannot be read.
pub fn digest(path: &Path) -> Result<String, DataError> {
    let mut all = sha2::Sha256::new();
    for (file, _) in list(path)? {
        all.update(file.strip_prefix(path).unwrap_or(&file).to_string_lossy().as_bytes());
        all.update(crate::data::digest(&file)?);
    }
    Ok(crate::data::hexadecimal(&all.finalize()))
}
