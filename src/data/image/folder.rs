//! Folders of pictures: one subfolder per class, named after the class; or pictures alone, without labels.

use std::path::{Path, PathBuf};

use sha2::Digest;

use super::array::{MAX_ARRAY, bad};
use super::decode;
use super::picture::Picture;
use super::{Images, Pixels};
use crate::base::files::{self, is_dir, is_file};
use crate::base::image::ImageShape;
use crate::base::order::Order;
use crate::base::parallel::prelude::*;
use crate::data::DataError;
use crate::data::config::ImageFit;

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
    if is_file(path) {
        return Ok(vec![(path.into(), None)]);
    }
    let mut entries = vec![];
    for inner in contents(path)? {
        if !is_dir(&inner) {
            entries.push((inner, None));
            continue;
        }
        let class = inner.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let before = entries.len();
        for file in contents(&inner)? {
            if is_dir(&file) {
                let reason = "it is a folder within the folder of a class; pictures must lie in the latter. \
                              If the outer folders are parts such as `train` and `test`, keep nothing else \
                              beside them, or set `data.source` to the one to train with";
                return Err(bad(&file, reason));
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

/// A picture's path within the folder; its file's name where `path` is the picture.
pub fn name(path: &Path, file: &Path) -> String {
    let within = file.strip_prefix(path).ok().filter(|within| *within != Path::new(""));
    let name = within.map(Path::as_os_str).or(file.file_name()).unwrap_or(file.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Files that systems leave in folders of pictures unasked, and viewers do not show.
const NOT_SHOWN: [&str; 3] = ["Thumbs.db", "desktop.ini", "__MACOSX"];

/// The contents of a folder, sorted by name, without hidden files.
///
/// # Errors
/// If it cannot be read.
pub fn contents(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let io = |e: std::io::Error| DataError::Io { path: path.into(), reason: e.to_string() };
    let mut found = vec![];
    for name in files::names_in(path).map_err(io)? {
        if !name.to_string_lossy().starts_with('.') && !NOT_SHOWN.iter().any(|hidden| name == *hidden) {
            found.push(path.join(name));
        }
    }
    found.order();
    Ok(found)
}

/// All files in a folder and in its folders, sorted by name, without hidden ones.
///
/// # Errors
/// If one of the folders cannot be read.
pub fn all(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut found = vec![];
    for inner in contents(path)? {
        match is_dir(&inner) {
            true => found.extend(all(&inner)?),
            false => found.push(inner),
        }
    }
    Ok(found)
}

/// How pictures become images.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Shape of the images.
    pub shape: Option<ImageShape>,
    /// How a picture of another aspect ratio becomes that shape.
    pub fit: ImageFit,
    /// Whether files that cannot be read are left out.
    pub skips: bool,
    /// Whether resized pictures have the value of the nearest pixel, as masks must.
    pub nearest: bool,
}

/// What is read of pictures.
pub struct Pictures {
    /// Those that could be read.
    pub images: Images,
    /// Which of the entries they are.
    pub kept: Vec<usize>,
    /// Their own shapes, before they were brought to a common one.
    pub shapes: Vec<ImageShape>,
    /// Why the others could not be read.
    pub left_out: Vec<DataError>,
}

/// Reads pictures as images of the wanted shape, or else of the size and channels of the first one, which all
/// others must then match.
///
/// # Errors
/// If a picture cannot be read (all of them, where such files are left out), or its size differs from the
/// first and no shape is set.
pub fn read(path: &Path, entries: &[Entry], reading: Reading) -> Result<Pictures, DataError> {
    let (shape, first) = shape(path, entries, reading)?;
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
        if reading.shape.is_none() && picture.shape() != shape {
            let reason = format!(
                "it is a picture of {}, but the first one ({}) is of {shape}; set `data.image.shape` to \
                 resize all",
                picture.shape(),
                first.display()
            );
            return Err(bad(file, reason));
        }
        Ok(picture.fitted(shape, reading.fit, reading.nearest))
    };
    let mut bytes = vec![0; total];
    let places: Vec<_> = bytes.chunks_exact_mut(shape.values()).zip(entries).collect();
    // In order, so that the first bad picture is reported, whichever thread finds one.
    let results: Vec<Result<Read, DataError>> = places
        .into_par_iter()
        .map(|(place, (file, _))| {
            let picture = match decode::read(file) {
                Err(error) if reading.skips => return Ok(Read::Not(error)),
                found => found?,
            };
            let own = picture.shape();
            Ok(match fit(file, &picture)? {
                Pixels::Bytes(values) => {
                    place.copy_from_slice(&values);
                    Read::InPlace(own)
                }
                Pixels::Floats(values) => Read::Deep(own, values),
            })
        })
        .collect();
    let results = results.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(collected(shape, bytes, results))
}

/// The shape of the images, and the first picture that is read where it decides.
///
/// # Errors
/// If no picture can be read, or pictures have no such shape.
pub fn shape<'a>(
    path: &Path,
    entries: &'a [Entry],
    reading: Reading,
) -> Result<(ImageShape, &'a Path), DataError> {
    let Some((first, _)) = entries.first() else { return Err(bad(path, "it holds no pictures")) };
    match reading.shape {
        Some(shape) if matches!(shape.channels, 1 | 3) => Ok((shape, first)),
        Some(shape) => {
            let reason =
                format!("pictures have 1 channel or 3, `data.image.shape` = {shape} says {}", shape.channels);
            Err(bad(path, reason))
        }
        None => {
            let mut found = entries.iter().map(|(file, _)| Ok((decode::read(file)?.shape(), file.as_path())));
            let whole = |found: &Result<_, DataError>| found.is_ok() || !reading.skips;
            let none = || bad(path, format!("none of its {} files can be read as a picture", entries.len()));
            found.find(whole).ok_or_else(none)?
        }
    }
}

/// What became of one picture.
enum Read {
    /// Its 8-bit values are where they belong.
    InPlace(ImageShape),
    /// It has more than 8 bits a value.
    Deep(ImageShape, Vec<f32>),
    /// It cannot be read.
    Not(DataError),
}

/// The pictures that could be read: as bytes, unless one of them has more than 8 bits a value.
fn collected(shape: ImageShape, mut bytes: Vec<u8>, results: Vec<Read>) -> Pictures {
    let values = shape.values();
    let (mut kept, mut shapes, mut deep, mut left_out) = (vec![], vec![], vec![], vec![]);
    for (at, result) in results.into_iter().enumerate() {
        match result {
            Read::Not(error) => {
                left_out.push(error);
                continue;
            }
            Read::Deep(own, floats) => {
                deep.push((kept.len(), floats));
                shapes.push(own);
            }
            Read::InPlace(own) => shapes.push(own),
        }
        bytes.copy_within(at * values..(at + 1) * values, kept.len() * values);
        kept.push(at);
    }
    bytes.truncate(kept.len() * values);
    let pixels = if deep.is_empty() {
        Pixels::Bytes(bytes)
    } else {
        let mut floats: Vec<f32> = bytes.into_iter().map(f32::from).collect();
        for (at, values) in deep {
            floats[at * values.len()..][..values.len()].copy_from_slice(&values);
        }
        Pixels::Floats(floats)
    };
    Pictures { images: Images { shape, pixels }, kept, shapes, left_out }
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
