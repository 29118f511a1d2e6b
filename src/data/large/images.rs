//! Images larger than memory: IDX files, and folders of pictures.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::Digest;

use super::super::config::{DataConfig, OnError, SplitConfig, Targets, Validation};
use super::super::dataset::Dataset;
use super::super::fitted::{Fitted, FittedImage, FittedTarget};
use super::super::image::array::{MAX_ARRAY, arrangement, bad, channels_first};
use super::super::image::{Pixels, Statistics, files, folder, idx};
use super::super::stored::FileWriter;
use super::super::table::Table;
use super::super::{DataError, Goal, Loaded, Understanding, class_column, hexadecimal, split};
use super::failed;
use crate::base::bytes;
use crate::base::image::ImageShape;

/// Bytes of images that are in memory at a time.
const TOGETHER: usize = 1 << 22;
/// Pictures that are decoded at a time.
const PICTURES: usize = 256;

/// Why images cannot be kept in a file, as far as the source tells.
pub fn unsuited(_config: &DataConfig, path: &Path) -> Option<&'static str> {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    match ending.as_str() {
        "npy" | "npz" => Some("NumPy's files are read into memory; write the images to an IDX file"),
        _ => None,
    }
}

/// Whether a source holds more images than are read into memory at all.
pub fn beyond(path: &Path) -> bool {
    path.is_file() && std::fs::metadata(path).is_ok_and(|found| found.len() > MAX_ARRAY as u64)
}

/// Images of bytes that can be read in order, as often as wanted.
struct Source {
    path: PathBuf,
    shape: ImageShape,
    count: usize,
    place: Place,
    /// Names of pictures, and their classes.
    pictures: Vec<(String, Option<String>)>,
    notes: Vec<String>,
}

enum Place {
    /// An IDX file, with the channels last or not.
    Idx(bool),
    /// The values of pictures that were decoded, in a file without a name.
    Raw(File),
}

/// What is done with images: the number of the first, and their values.
type See<'a> = dyn FnMut(usize, &[u8]) -> Result<(), DataError> + 'a;

impl Source {
    fn open(path: &Path, reading: folder::Reading, scratch: &Path, trains: bool) -> Result<Self, DataError> {
        if path.is_dir() {
            return Self::pictures(path, reading, scratch, trains);
        }
        let Some((axes, _)) = idx::stream(path)? else {
            let reason = "its elements are no bytes, and such images are read into memory; write them as bytes, or set \
                          `data.memory.rows` = \"host\"";
            return Err(bad(path, reason));
        };
        let (shape, last) = arrangement(path, &axes, reading.shape)?;
        let (pictures, notes) = (vec![], vec![]);
        Ok(Self { path: path.into(), shape, count: axes[0], place: Place::Idx(last), pictures, notes })
    }

    /// Decodes the pictures of a folder.
    fn pictures(
        path: &Path,
        reading: folder::Reading,
        scratch: &Path,
        trains: bool,
    ) -> Result<Self, DataError> {
        let io = |e: std::io::Error| failed(scratch, &e);
        let entries = folder::list(path)?;
        let (shape, _) = folder::shape(path, &entries, reading)?;
        let mut file = tempfile::tempfile_in(scratch).map_err(io)?;
        let (mut pictures, mut left_out) = (vec![], vec![]);
        for some in entries.chunks(PICTURES) {
            let found = folder::read(path, some, reading)?;
            if found.kept.is_empty() {
                left_out.extend(found.left_out);
                continue;
            }
            if found.images.shape != shape {
                let reason = format!(
                    "it is a picture of {}, but the first one is of {shape}; set `data.image.shape` to resize all",
                    found.images.shape
                );
                return Err(bad(&some[found.kept[0]].0, reason));
            }
            let Pixels::Bytes(values) = &found.images.pixels else {
                let reason = "it has more than 8 bits a value, and such pictures are read into memory; convert them, or \
                              set `data.memory.rows` = \"host\"";
                return Err(bad(&some[found.kept[0]].0, reason));
            };
            file.write_all(values).map_err(io)?;
            left_out.extend(found.left_out);
            pictures
                .extend(found.kept.iter().map(|&at| (folder::name(path, &some[at].0), some[at].1.clone())));
        }
        if trains && let Some((name, _)) = pictures.iter().find(|(_, class)| class.is_none()) {
            let loose = "it lies beside the folders of the classes; move it into one of them, or remove it";
            return Err(bad(&path.join(name), loose));
        }
        let notes = files::left_out_note(&left_out, entries.len()).into_iter().collect();
        let (count, place) = (pictures.len(), Place::Raw(file));
        Ok(Self { path: path.into(), shape, count, place, pictures, notes })
    }

    /// Gives `see` all images, some at a time, with the number of the first.
    fn pass(&mut self, see: &mut See) -> Result<(), DataError> {
        let path = self.path.clone();
        let io = |e: std::io::Error| bad(&path, format!("its images cannot be read: {e}"));
        let values = self.shape.values();
        let (mut reader, last): (Box<dyn Read + '_>, bool) = match &mut self.place {
            Place::Idx(last) => match idx::stream(&path)? {
                Some((_, reader)) => (reader, *last),
                None => return Err(bad(&path, "it was changed while it was read")),
            },
            Place::Raw(file) => {
                file.seek(SeekFrom::Start(0)).map_err(io)?;
                (Box::new(&*file), false)
            }
        };
        let together = (TOGETHER / values).max(1);
        let mut buffer = vec![];
        for first in (0..self.count).step_by(together) {
            let count = together.min(self.count - first);
            buffer.resize(count * values, 0);
            reader.read_exact(&mut buffer).map_err(|e| match e.kind() {
                std::io::ErrorKind::UnexpectedEof => bad(
                    &path,
                    format!(
                        "its header declares {} images, and fewer follow; it is damaged or incomplete",
                        self.count
                    ),
                ),
                _ => io(e),
            })?;
            match last {
                true => see(first, &channels_first(&buffer, self.shape))?,
                false => see(first, &buffer)?,
            }
        }
        if reader.read(&mut [0]).map_err(io)? > 0 {
            return Err(bad(
                &path,
                format!("more follows than the {} images its header declares", self.count),
            ));
        }
        Ok(())
    }

    /// Gives `see` each of `rows`, which ascend.
    fn each(&mut self, rows: &[usize], see: &mut See) -> Result<(), DataError> {
        let values = self.shape.values();
        let mut next = 0;
        self.pass(&mut |first, images| {
            let end = first + images.len() / values;
            while let Some(&row) = rows.get(next).filter(|row| **row < end) {
                see(next, &images[(row - first) * values..][..values])?;
                next += 1;
            }
            Ok(())
        })
    }

    /// The labels, as a table with one column; without any if `target` is `None`.
    fn labels(
        &self,
        given: Option<&Path>,
        target: Option<&str>,
        classes: &[String],
    ) -> Result<Table, DataError> {
        match &self.place {
            Place::Idx(_) => files::labels(&self.path, given, target, classes, self.count),
            Place::Raw(_) => {
                let classes =
                    || self.pictures.iter().map(|(_, class)| class.clone().unwrap_or_default()).collect();
                Ok(files::table(&self.path, self.count, target.map(|name| (name, classes()))))
            }
        }
    }

    /// The statistics of each channel over `rows`, as for images in memory.
    fn statistics(&mut self, rows: &[usize]) -> Result<Vec<Statistics>, DataError> {
        let plane = self.shape.plane();
        let mut found = vec![Statistics::new(rows.len(), plane); self.shape.channels];
        self.each(rows, &mut |_, image| {
            found.iter_mut().zip(image.chunks(plane)).for_each(|(s, values)| s.see(numbers(values)));
            Ok(())
        })?;
        self.each(rows, &mut |_, image| {
            found.iter_mut().zip(image.chunks(plane)).for_each(|(s, values)| s.see_again(numbers(values)));
            Ok(())
        })?;
        Ok(found.into_iter().map(Statistics::finish).collect())
    }
}

/// What rows are encoded with, and where.
struct Encoder<'a> {
    config: &'a DataConfig,
    fitted: &'a Fitted,
    image: &'a FittedImage,
    folder: &'a Path,
}

impl Encoder<'_> {
    /// Rows of a source, with their pixels in a file.
    fn encode(
        &self,
        source: &mut Source,
        labels: &Table,
        rows: &[usize],
        trains: bool,
    ) -> Result<Dataset, DataError> {
        let Self { config, fitted, image, folder } = *self;
        let (values, pool) = (image.shape.values(), config.memory.pool_bytes());
        let width = bytes::words(values);
        let writer = FileWriter::create(folder, rows.len(), width, false, pool);
        let mut writer = writer.map_err(|e| failed(folder, &e))?;
        let (mut words, mut first) = (vec![], 0);
        let mut flush = |words: &mut Vec<u32>, first: &mut usize| {
            writer.rows(*first, words).map_err(|e| failed(folder, &e))?;
            *first += words.len() / width;
            words.clear();
            Ok::<_, DataError>(())
        };
        source.each(rows, &mut |_, row| {
            bytes::pack(row, &mut words);
            if words.len() >= TOGETHER / 4 { flush(&mut words, &mut first) } else { Ok(()) }
        })?;
        flush(&mut words, &mut first)?;
        let names = || rows.iter().filter_map(|&row| Some(source.pictures.get(row)?.0.clone()));
        Ok(Dataset {
            rows: rows.len(),
            features: image.names(),
            pixels: Some(image.pixels()),
            stored: Some(Arc::new(writer.finish(!trains))),
            target: fitted.target.encode(labels, rows)?,
            source_rows: if trains { vec![] } else { rows.to_vec() },
            row_names: if trains { vec![] } else { names().collect() },
            ..Dataset::default()
        })
    }
}

/// Reads, splits, fits and encodes images, with files of their rows in `scratch`.
///
/// # Errors
/// [`DataError`] for anything wrong with the files or the configuration, or a disk that is full.
pub fn load(
    config: &DataConfig,
    directory: &Path,
    path: &Path,
    goal: Goal,
    scratch: &Path,
) -> Result<Loaded, DataError> {
    files::check_keys(config)?;
    if let Some((config, note)) = files::parts_of_folder(config, path)? {
        let mut loaded = of_files(&config, directory, &directory.join(&config.source), goal, scratch)?;
        loaded.understood.notes.insert(0, note);
        return Ok(loaded);
    }
    of_files(config, directory, path, goal, scratch)
}

fn of_files(
    config: &DataConfig,
    directory: &Path,
    path: &Path,
    goal: Goal,
    scratch: &Path,
) -> Result<Loaded, DataError> {
    let given = config.image.as_ref();
    let classes = given.map_or(&[][..], |i| &i.classes);
    let mut reading = given.map_or_else(folder::Reading::default, |i| folder::Reading {
        shape: i.shape,
        fit: i.fit,
        skips: i.on_error == OnError::Skip,
        nearest: false,
    });
    let target = config.target.as_ref().map(Targets::first);
    let target = target.or((goal != Goal::Features).then_some(files::LABEL));
    let place = |file: &Option<String>| file.as_ref().map(|file| directory.join(file));
    let mut source = Source::open(path, reading, scratch, target.is_some())?;
    if source.pictures.is_empty() {
        files::check_no_pictures(config, path)?;
    }
    let labels = source.labels(place(&config.labels).as_deref(), target, classes)?;
    let rows: Vec<usize> = (0..source.count).collect();
    let of_class = class_column(goal, target.map(|_| 0));
    let parts = split::split(&config.split, &labels, &rows, of_class, split::Least::ONE)?;
    drop(rows);
    let mut fitted_target = FittedTarget::fit(config, &labels, target.map(|_| 0), &parts.train, goal)?;
    fitted_target.order_classes(classes);
    let statistics = source.statistics(&parts.train)?;
    let image = FittedImage::of_statistics(config, source.shape, statistics, vec![])?;
    reading.shape = Some(image.shape);
    let image = FittedImage { classes: classes.to_vec(), fit: reading.fit, ..image };
    let fitted = Fitted { target: fitted_target, image: Some(image.clone()), ..Fitted::default() };
    let encoder = Encoder { config, fitted: &fitted, image: &image, folder: scratch };
    let train = encoder.encode(&mut source, &labels, &parts.train, true)?;
    let mut validation = encoder.encode(&mut source, &labels, &parts.validation, false)?;
    let mut test = encoder.encode(&mut source, &labels, &parts.test, false)?;
    let mut notes = source.notes.clone();
    let mut read = vec![path.to_path_buf(), labels.path.clone()];
    if let SplitConfig::Files {
        validation: validating, test: testing, validation_labels, test_labels, ..
    } = &config.split
    {
        let mut other = |file: &Option<String>, own: &Option<String>| {
            let Some(path) = place(file) else { return Ok(None) };
            let mut source = Source::open(&path, reading, scratch, target.is_some())?;
            let labels = source.labels(place(own).as_deref(), target, classes)?;
            read.extend([path, labels.path.clone()]);
            notes.extend(source.notes.iter().cloned());
            let rows: Vec<usize> = (0..source.count).collect();
            encoder.encode(&mut source, &labels, &rows, false).map(Some)
        };
        if let Validation::File(file) = validating
            && let Some(found) = other(&Some(file.clone()), validation_labels)?
        {
            validation = found;
        }
        if let Some(found) = other(testing, test_labels)? {
            test = found;
        }
    }
    if let Some(blocks) = train.stored.as_ref().and_then(|stored| stored.blocks()) {
        notes.push(format!("rows are read from disk: {}", blocks.describe()));
    }
    let mut understood = Understanding::without_columns(config, notes);
    understood.split_rows(&labels, &parts, &fitted.target);
    understood.parts = [&train, &validation, &test].map(|part| part.rows);
    let digests: Result<Vec<String>, _> = read.iter().map(|file| files::digest(file)).collect();
    let digest = hexadecimal(&sha2::Sha256::digest(digests?.concat()));
    Ok(Loaded { train, validation, test, digest, dropped: 0, understood, fitted })
}

fn numbers(values: &[u8]) -> impl Iterator<Item = f64> {
    values.iter().copied().map(f64::from)
}
