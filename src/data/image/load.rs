//! Loads data sets of images: what is read of files is split, fitted and encoded.

use std::path::Path;

use sha2::Digest;

use super::array::bad;
use super::files::{ImageSet, LABEL, Wanted, check_keys, check_no_pictures, digest, read};
use super::folder::Reading;
use super::masks::Masks;
use super::{Pixels, parts};
use crate::base::image::ImageShape;
use crate::data::config::{DataConfig, ITSELF, OnError, SplitConfig, Targets, Validation};
use crate::data::dataset::Dataset;
use crate::data::fitted::{Fitted, FittedImage, FittedPixels, FittedTarget, PixelValues};
use crate::data::{DataError, Goal, Loaded, Understanding, class_column, hexadecimal, split};

/// Reads, splits, fits and encodes the images of an experiment; `directory` is the experiment file's.
///
/// # Errors
/// [`DataError`] for anything wrong with the files or the configuration.
pub fn load(config: &DataConfig, directory: &Path, path: &Path, goal: Goal) -> Result<Loaded, DataError> {
    check_keys(config)?;
    if let Some((config, note)) = parts::of_folder(config, path)? {
        let mut loaded = load_files(&config, directory, &directory.join(&config.source), goal)?;
        loaded.understood.notes.insert(0, note);
        return Ok(loaded);
    }
    load_files(config, directory, path, goal)
}

fn load_files(config: &DataConfig, directory: &Path, path: &Path, goal: Goal) -> Result<Loaded, DataError> {
    let image = config.image.as_ref();
    let classes = image.map_or(&[][..], |i| &i.classes);
    let reading = image.map_or_else(Reading::default, |i| Reading {
        shape: i.shape,
        fit: i.fit,
        skips: i.on_error == OnError::Skip,
        nearest: false,
    });
    let place = |file: &Option<String>| file.as_ref().map(|file| directory.join(file));
    let pixels = config.pixel_target();
    let masks = pixels.filter(|target| *target != ITSELF).map(|target| directory.join(target));
    let label = config.target.as_ref().map(Targets::first).or((goal != Goal::Features).then_some(LABEL));
    let target = label.filter(|_| pixels.is_none());
    let mut wanted = Wanted { reading, target, classes };
    let labels = place(&config.labels);
    let all = read(path, labels.as_deref(), &wanted)?;
    if all.files.is_empty() {
        check_no_pictures(config, path)?;
    }
    let rows: Vec<usize> = (0..all.labels.lines.len()).collect();
    let parts = split::split(
        &config.split,
        &all.labels,
        &rows,
        class_column(goal, target.map(|_| 0)),
        split::Least::ONE,
    )?;
    let mut target = FittedTarget::fit(config, &all.labels, target.map(|_| 0), &parts.train, goal)?;
    // Without a configured order, the labels are unchanged.
    target.order_classes(classes);
    let image = FittedImage::fit(config, &all.images, &parts.train, vec![])?;
    wanted.reading.shape = Some(image.shape);
    let image = FittedImage { classes: classes.to_vec(), fit: reading.fit, ..image };
    let by_pixel = ByPixel { config, shape: image.shape, reading, as_classes: goal == Goal::Classes };
    let mut targets = None;
    let mut notes = all.notes.clone();
    if let Some(masks) = &masks {
        let read = by_pixel.read(masks, path, &all)?;
        notes.extend(read.note.clone());
        let fitted = FittedPixels::fit(config, masks, &read, &parts.train, by_pixel.as_classes)?;
        target = FittedTarget::Pixels(fitted);
        targets = Some((masks.as_path(), read));
    } else if pixels.is_some() {
        let values = match all.images.pixels {
            Pixels::Bytes(_) => PixelValues::Eight,
            Pixels::Floats(_) => PixelValues::Numbers,
        };
        target = FittedTarget::Pixels(FittedPixels::itself(&image, values, config.augment.noise));
    }
    let fitted = Fitted { target, image: Some(image), ..Fitted::default() };
    let mut understood = Understanding::without_columns(config, notes);
    understood.split_rows(&all.labels, &parts, &fitted.target);
    let of = |rows: &[usize]| encode_with(&fitted, &all, targets.as_ref(), rows);
    let mut loaded = Loaded {
        train: of(&parts.train)?,
        validation: of(&parts.validation)?,
        test: of(&parts.test)?,
        digest: String::new(),
        dropped: 0,
        understood,
        fitted,
    };
    if loaded.fitted.target.labels() > 0 && pixels.is_some() {
        loaded.fitted.constant = loaded.fitted.target.constant(&loaded.train);
    }
    let mut files = vec![path.to_path_buf()];
    files.push(all.labels.path.clone());
    files.extend(masks.clone());
    if let SplitConfig::Files { validation, test, validation_labels, test_labels, .. } = &config.split {
        let mut other = |file: &Option<String>, labels: &Option<String>| {
            let (Some(path), labels) = (place(file), place(labels)) else { return Ok(None) };
            let set = read(&path, labels.as_deref(), &wanted)?;
            let targets = match (&masks, &labels) {
                (Some(_), Some(labels)) => Some((labels.as_path(), by_pixel.read(labels, &path, &set)?)),
                (Some(_), None) => {
                    let reason = "its targets are not known; name them in `data.split.validation_labels` and `test_labels`";
                    return Err(bad(&path, reason));
                }
                (None, _) => None,
            };
            files.extend(targets.iter().map(|(path, _)| path.to_path_buf()));
            files.extend([path, set.labels.path.clone()]);
            loaded.understood.notes.extend(set.notes.iter().cloned());
            let rows: Vec<usize> = (0..set.labels.lines.len()).collect();
            encode_with(&loaded.fitted, &set, targets.as_ref(), &rows).map(Some)
        };
        let validating = match validation {
            Validation::File(file) => other(&Some(file.clone()), validation_labels)?,
            Validation::Part(_) => None,
        };
        let testing = other(test, test_labels)?;
        loaded.validation = validating.unwrap_or(loaded.validation);
        loaded.test = testing.unwrap_or(loaded.test);
        loaded.understood.parts = [&loaded.train, &loaded.validation, &loaded.test].map(|part| part.rows);
    }
    let digests: Result<Vec<String>, _> = files.iter().map(|file| digest(file)).collect();
    loaded.digest = hexadecimal(&sha2::Sha256::digest(digests?.concat()));
    Ok(loaded)
}

/// How targets of pixels are read.
struct ByPixel<'a> {
    config: &'a DataConfig,
    shape: ImageShape,
    reading: Reading,
    as_classes: bool,
}

impl ByPixel<'_> {
    fn read(&self, path: &Path, source: &Path, of: &ImageSet) -> Result<Masks, DataError> {
        let given =
            Reading { shape: self.config.image.as_ref().and_then(|image| image.shape), ..self.reading };
        Masks::read(path, (source, of), self.shape, self.as_classes, given)
    }
}

/// As [`encode`], with the targets of pixels that lie in files of their own.
fn encode_with(
    fitted: &Fitted,
    set: &ImageSet,
    targets: Option<&(&Path, Masks)>,
    rows: &[usize],
) -> Result<Dataset, DataError> {
    let encoded = encode(fitted, set, rows, true)?;
    let (Some((path, targets)), Some(pixels)) = (targets, fitted.target.pixels()) else { return Ok(encoded) };
    Ok(Dataset { target: Some(pixels.encode(path, targets, rows)?), ..encoded })
}

/// Reads other images and encodes them with what was fitted; includes labels if `with_target`.
///
/// # Errors
/// [`DataError`] for anything wrong with the files.
pub fn load_with(
    fitted: &Fitted,
    image: &FittedImage,
    path: &Path,
    with_target: bool,
) -> Result<Dataset, DataError> {
    if with_target && fitted.target.pixels().is_some_and(|pixels| !pixels.itself) {
        let reason = "the targets of its pixels are not known; evaluate the parts of the run's own data, or use `predict`";
        return Err(bad(path, reason));
    }
    let target = fitted.target.name().filter(|_| with_target);
    // Whoever asks for predictions gets one for each file, or an error that names it.
    let reading = Reading { shape: Some(image.shape), fit: image.fit, ..Reading::default() };
    let wanted = Wanted { reading, target, classes: &image.classes };
    let set = read(path, None, &wanted)?;
    let rows: Vec<usize> = (0..set.labels.lines.len()).collect();
    encode(fitted, &set, &rows, with_target)
}

fn encode(fitted: &Fitted, set: &ImageSet, rows: &[usize], with_target: bool) -> Result<Dataset, DataError> {
    let Some(image) = &fitted.image else { return Ok(Dataset::default()) };
    let unknown = |error| match error {
        DataError::UnknownClass { line, text, known, .. } if !set.files.is_empty() => {
            let file = (line as usize).checked_sub(1).and_then(|at| set.files.get(at));
            let path = file.map_or(set.labels.path.clone(), |file| set.labels.path.join(file));
            let reason = format!(
                "its class is \"{text}\", of which there are no pictures for training; the classes are \
                 {known}"
            );
            DataError::Image { path, reason }
        }
        other => other,
    };
    let target = if with_target { fitted.target.encode(&set.labels, rows).map_err(unknown)? } else { None };
    Ok(Dataset {
        target,
        source_rows: rows.to_vec(),
        row_names: rows.iter().filter_map(|&row| set.files.get(row).cloned()).collect(),
        ..image.encode(&set.images, rows)
    })
}
