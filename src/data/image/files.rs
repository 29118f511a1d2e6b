//! Images from array files or folders of pictures, and their labels.

use std::path::{Path, PathBuf};

use super::array::{Array, bad};
use super::folder::{self, Reading};
use super::{Images, format, idx, npy, parts};
use crate::base::files::{self, is_dir, is_file};
use crate::base::image::ImageShape;
use crate::data::DataError;
use crate::data::config::{DataConfig, ImageFit, OnError};
use crate::data::table::Table;

/// Name of the label where `data.target` does not give it one.
pub const LABEL: &str = "label";

/// What the experiment or the run expects of the images.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted<'a> {
    /// Shape of each image, and how pictures become it.
    pub reading: Reading,
    /// Name of the label; if `None`, no labels are read.
    pub target: Option<&'a str>,
    /// Names of the labels 0, 1, ...
    pub classes: &'a [String],
}

/// Images, and a table of their labels with the target as its only column, if any.
pub(super) struct ImageSet {
    pub images: Images,
    pub labels: Table,
    /// Names of the pictures; empty for images of an array.
    pub files: Vec<String>,
    /// Their own shapes, before they were brought to a common one.
    pub shapes: Vec<ImageShape>,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl ImageSet {
    fn of_array(images: Images, labels: Table) -> Self {
        Self { images, labels, files: vec![], shapes: vec![], notes: vec![] }
    }
}

/// Whether `path` holds images rather than a table.
pub fn is_image_source(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    is_dir(path)
        || is_picture(path)
        || matches!(ending(path).as_str(), "npy" | "npz")
        || name.contains("-idx")
        || idx::begins_like_one(path)
}

/// Whether a source may hold images, which have one label each, judged by its name.
pub fn may_hold_images(source: &str) -> bool {
    !matches!(ending(Path::new(source)).as_str(), "csv" | "tsv" | "tab" | "txt" | "parquet")
}

/// Whether a source holds images whose labels are classes, judged by its name: an IDX file, or, if it is to be read
/// `as_images`, what may be a folder.
pub fn holds_classes(source: &str, as_images: bool) -> bool {
    let path = Path::new(source);
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    name.contains("-idx") || (as_images && path.extension().is_none())
}

/// Whether a file is a picture, or its name says so.
pub(super) fn is_picture(path: &Path) -> bool {
    let named = ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff"];
    named.contains(&ending(path).as_str()) || format::begins_like_a_picture(path)
}

/// The files that are read of a source: a folder's, or itself and, where labels are wanted and none are named, the file
/// with those, which lies beside it.
///
/// # Errors
/// If a folder cannot be read.
pub fn all(path: &Path, finds_labels: bool) -> Result<Vec<PathBuf>, DataError> {
    if is_dir(path) {
        return folder::all(path);
    }
    let labels = (finds_labels && is_image_source(path)).then(|| beside(path).ok()).flatten();
    Ok([Some(path.to_path_buf()), labels].into_iter().flatten().collect())
}

/// Names of the pictures in a folder, or of `path` itself if it is a picture; none if it is an array.
///
/// # Errors
/// If a folder cannot be read, is empty, or is nested in the folder of a class.
pub fn names(path: &Path) -> Result<Vec<String>, DataError> {
    if !is_dir(path) && !is_picture(path) {
        return Ok(vec![]);
    }
    Ok(folder::list(path)?.iter().map(|(file, _)| folder::name(path, file)).collect())
}

pub(super) fn ending(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// The images of a file or folder, with their labels if these are wanted.
///
/// # Errors
/// If they cannot be read, or are not what is expected of them.
pub(super) fn read(path: &Path, labels: Option<&Path>, wanted: &Wanted) -> Result<ImageSet, DataError> {
    if is_dir(path) || is_picture(path) {
        return read_folder(path, wanted);
    }
    if ending(path) == "npz" {
        return read_archive(path, wanted);
    }
    if !is_image_source(path) {
        return Err(refused(path));
    }
    let images = array(path)?.images(path, wanted.reading.shape)?;
    let count = images.count();
    let Some(target) = wanted.target else {
        return Ok(ImageSet::of_array(images, table(path, count, None)));
    };
    let labels = labels.map_or_else(|| beside(path), |given| Ok(given.to_path_buf()))?;
    let texts = array(&labels)?.labels(&labels, count, wanted.classes)?;
    Ok(ImageSet::of_array(images, table(&labels, count, Some((target, texts)))))
}

/// The array of an `.npy` or IDX file.
///
/// # Errors
/// If it cannot be read.
pub(super) fn array(path: &Path) -> Result<Array, DataError> {
    if ending(path) == "npy" { npy::read(path) } else { idx::read(path) }
}

/// What a file is that holds no images.
fn refused(path: &Path) -> DataError {
    match format::start(path) {
        Ok(start) => {
            bad(path, format!("{}; arrays of images are IDX, NPY or NPZ files", format::refusal(&start)))
        }
        Err(e) => DataError::Io { path: path.into(), reason: e.to_string() },
    }
}

/// Pictures labelled by the name of the subfolder they are in.
fn read_folder(path: &Path, wanted: &Wanted) -> Result<ImageSet, DataError> {
    let entries = folder::list(path)?;
    let class = |(file, class): &folder::Entry| {
        let loose = "it lies beside the folders of the classes; move it into one of them, or remove it";
        class.clone().ok_or_else(|| bad(file, loose))
    };
    let classes = match wanted.target {
        Some(_) => entries.iter().map(class).collect::<Result<Vec<_>, _>>()?,
        None => vec![],
    };
    let folder::Pictures { images, kept, shapes, left_out } = folder::read(path, &entries, wanted.reading)?;
    if kept.is_empty() {
        let first = left_out.first().map(DataError::to_string).unwrap_or_default();
        return Err(bad(path, format!("none of its {} files can be read; {first}", entries.len())));
    }
    let texts = wanted.target.map(|name| (name, kept.iter().map(|&at| classes[at].clone()).collect()));
    Ok(ImageSet {
        images,
        labels: table(path, kept.len(), texts),
        files: kept.iter().map(|&at| folder::name(path, &entries[at].0)).collect(),
        shapes,
        notes: left_out_note(&left_out, entries.len()).into_iter().collect(),
    })
}

/// Names files that were left out.
pub fn left_out_note(errors: &[DataError], all: usize) -> Option<String> {
    const NAMED: usize = 10;
    let count = errors.len();
    let mut named: Vec<String> = errors.iter().take(NAMED).map(DataError::to_string).collect();
    if count > NAMED {
        named.push(format!("and {} more", count - NAMED));
    }
    (count > 0).then(|| {
        format!("{count} of {all} files left out, because they cannot be read:\n  {}", named.join("\n  "))
    })
}

/// Reads an archive that holds the labels under the target's name, and one array of images.
fn read_archive(path: &Path, wanted: &Wanted) -> Result<ImageSet, DataError> {
    let arrays = npy::read_archive(path, |_| true)?;
    let names: Vec<&str> = arrays.iter().map(|(name, _)| name.as_str()).collect();
    let known = names.join(", ");
    let mut pictures =
        arrays.iter().filter(|(name, array)| Some(name.as_str()) != wanted.target && array.shape.len() > 1);
    let (Some((_, found)), None) = (pictures.next(), pictures.next()) else {
        let reason = format!("it must hold one array of images beside the labels; it holds {known}");
        return Err(bad(path, reason));
    };
    let images = found.clone().images(path, wanted.reading.shape)?;
    let count = images.count();
    let Some(target) = wanted.target else {
        return Ok(ImageSet::of_array(images, table(path, count, None)));
    };
    let mut found = arrays.iter().find(|(name, _)| name == target);
    if let (None, LABEL, [only]) = (found, target, &flat(&arrays)[..]) {
        found = Some(only);
    }
    let missing = || bad(path, format!("it holds no array `{target}`, the target; it holds {known}"));
    let texts = found.ok_or_else(missing)?.1.labels(path, count, wanted.classes)?;
    Ok(ImageSet::of_array(images, table(path, count, Some((target, texts)))))
}

/// The arrays that have one axis, as labels have.
fn flat(arrays: &[(String, Array)]) -> Vec<&(String, Array)> {
    arrays.iter().filter(|(_, array)| array.shape.len() == 1).collect()
}

/// The labels of `count` images of an IDX file, in `given` or beside it; none without a `target`.
///
/// # Errors
/// If they cannot be read, or are not as many.
pub fn labels(
    path: &Path,
    given: Option<&Path>,
    target: Option<&str>,
    classes: &[String],
    count: usize,
) -> Result<Table, DataError> {
    let Some(target) = target else { return Ok(table(path, count, None)) };
    let labels = given.map_or_else(|| beside(path), |given| Ok(given.to_path_buf()))?;
    let array = array(&labels)?;
    let texts = array.labels(&labels, count, classes)?;
    Ok(table(&labels, count, Some((target, texts))))
}

/// The configuration of a folder whose folders are the parts of a split, and what is said of it.
///
/// # Errors
/// If the folder cannot be read.
pub fn parts_of_folder(config: &DataConfig, path: &Path) -> Result<Option<(DataConfig, String)>, DataError> {
    parts::of_folder(config, path)
}

/// Bytes that the pictures of a folder may take up once they are decoded: some ten times those of their files.
pub fn bytes(path: &Path) -> u64 {
    let size = |(file, _): &folder::Entry| files::size(file).unwrap_or(0);
    10 * folder::list(path).unwrap_or_default().iter().map(size).sum::<u64>()
}

/// The label file of an image file in MNIST's naming: `labels` in place of `images`, and `idx1` in place of
/// `idx3`.
fn beside(path: &Path) -> Result<PathBuf, DataError> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let labels = path.with_file_name(name.replace("images", "labels").replace("idx3", "idx1"));
    if name.contains("images") && is_file(&labels) {
        return Ok(labels);
    }
    Err(bad(
        path,
        format!(
            "the file with the labels is not known ({} is not there); call it so, or name it in \
             `data.labels`, for files of a split in `test_labels` and `validation_labels`",
            labels.display()
        ),
    ))
}

/// Labels as a table.
pub fn table(path: &Path, count: usize, column: Option<(&str, Vec<String>)>) -> Table {
    let column = column.map(|(name, texts)| (name.to_string(), texts.into_iter().collect()));
    let (names, columns) = column.into_iter().unzip();
    Table { path: path.into(), names, columns, lines: (1..=count as u64).collect(), ..Table::default() }
}

/// SHA-256 of a file, or of the pictures of a folder.
///
/// # Errors
/// If one cannot be read.
pub fn digest(path: &Path) -> Result<String, DataError> {
    if is_dir(path) { folder::digest(path) } else { crate::data::digest(path) }
}

/// Rejects keys that concern columns of a table.
///
/// # Errors
/// If one is set.
pub fn check_keys(config: &DataConfig) -> Result<(), DataError> {
    let given = [
        ("features", config.features.is_some()),
        ("exclude", !config.exclude.is_empty()),
        ("types", !config.types.is_empty()),
        ("reshape", config.reshape.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((key, _)) => Err(DataError::Treatment {
            column: "image".into(),
            reason: format!("`data.{key}` concerns columns of a table, but the source is a file of images"),
        }),
    }
}

/// Rejects keys that concern pictures in files of their own.
///
/// # Errors
/// If one is set.
pub fn check_no_pictures(config: &DataConfig, path: &Path) -> Result<(), DataError> {
    let image = config.image.clone().unwrap_or_default();
    let key = match (image.fit, image.on_error) {
        (ImageFit::Squash, OnError::Fail) => return Ok(()),
        (ImageFit::Squash, _) => "on_error",
        _ => "fit",
    };
    Err(bad(path, format!("`data.image.{key}` is for pictures in files of their own; remove the key")))
}
