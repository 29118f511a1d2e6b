//! Images: rows of pixels in PyTorch's order `[channels, height, width]`, scaled per channel with statistics
//! of the training rows.

pub(crate) mod array;
mod decode;
pub mod files;
pub(super) mod folder;
mod format;
pub(super) mod idx;
pub(super) mod load;
mod masks;
pub(crate) mod npy;
mod parts;
mod picture;
pub mod targets;

use super::DataError;
use super::cells;
use super::config::{ColumnKind, DataConfig, ImageFit, Scaling};
use super::dataset::Dataset;
use super::fitted::FittedImage;
use super::pixels::PixelRows;
use super::scaling::FittedScaling;
use super::table::Table;
use crate::base::image::ImageShape;

/// Pixel values as stored in a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Pixels {
    /// 8-bit values.
    Bytes(Vec<u8>),
    /// Numbers.
    Floats(Vec<f32>),
}

/// Images of equal shape, `[rows, channels, height, width]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Images {
    /// Shape of each image.
    pub shape: ImageShape,
    /// Values of all images.
    pub pixels: Pixels,
}

impl Images {
    /// Number of images.
    pub fn count(&self) -> usize {
        let values = match &self.pixels {
            Pixels::Bytes(bytes) => bytes.len(),
            Pixels::Floats(floats) => floats.len(),
        };
        values / self.shape.values().max(1)
    }

    /// The values of an image, as stored in the file.
    pub fn row(&self, row: usize) -> impl Iterator<Item = f64> {
        let values = self.shape.values();
        let range = row * values..(row + 1) * values;
        let (bytes, floats) = match &self.pixels {
            Pixels::Bytes(bytes) => (&bytes[range], &[][..]),
            Pixels::Floats(floats) => (&[][..], &floats[range]),
        };
        bytes.iter().map(|&b| f64::from(b)).chain(floats.iter().map(|&x| f64::from(x)))
    }

    /// `pixels` with `rows` appended, if all their values are bytes.
    fn packed(&self, rows: &[usize], mut pixels: PixelRows) -> Option<PixelRows> {
        let values = self.shape.values();
        let range = |row: usize| row * values..(row + 1) * values;
        match &self.pixels {
            Pixels::Bytes(bytes) => rows.iter().for_each(|&row| pixels.push(&bytes[range(row)])),
            Pixels::Floats(floats) => {
                let mut bytes = vec![0; values];
                for &row in rows {
                    for (byte, x) in bytes.iter_mut().zip(&floats[range(row)]) {
                        *byte = *x as u8;
                        // By its bits, because -0 is no byte.
                        if f32::from(*byte).to_bits() != x.to_bits() {
                            return None;
                        }
                    }
                    pixels.push(&bytes);
                }
            }
        }
        Some(pixels)
    }

    /// Reads the cells of `columns`; each row is an image of `shape`.
    ///
    /// # Errors
    /// If the number of columns does not match the shape, or a cell is empty or not a number.
    pub fn of_table(table: &Table, columns: &[usize], shape: ImageShape) -> Result<Self, DataError> {
        if columns.len() != shape.values() {
            return Err(DataError::Image {
                path: table.path.clone(),
                reason: format!(
                    "`data.image.shape` = {shape} is {} values, but there are {} feature columns; correct \
                     the shape, name the columns in `features`, or leave some out with `exclude`",
                    shape.values(),
                    columns.len()
                ),
            });
        }
        let rows: Vec<usize> = (0..table.lines.len()).collect();
        let mut floats = vec![0.0; rows.len() * columns.len()];
        for (at, &column) in columns.iter().enumerate() {
            for (row, value) in cells::values(table, column, &rows, ColumnKind::Number)?.iter().enumerate() {
                let missing = || DataError::Image {
                    path: table.path.clone(),
                    reason: format!(
                        "line {}: pixel `{}` is empty; images must be complete",
                        table.lines[row], table.names[column]
                    ),
                };
                floats[row * columns.len() + at] = value.ok_or_else(missing)? as f32;
            }
        }
        Ok(Self { shape, pixels: Pixels::Floats(floats) })
    }
}

impl FittedImage {
    /// Fits the scaling `data.transform.numbers` per channel on the training rows.
    ///
    /// # Errors
    /// If the scaling is not supported for images.
    pub fn fit(
        config: &DataConfig,
        images: &Images,
        train: &[usize],
        columns: Vec<String>,
    ) -> Result<Self, DataError> {
        let of = |channel| Statistics::of(images, train, channel);
        Self::of_statistics(config, images.shape, (0..images.shape.channels).map(of).collect(), columns)
    }

    /// As [`FittedImage::fit`], from the statistics of each channel.
    ///
    /// # Errors
    /// If the scaling is not supported for images.
    pub(super) fn of_statistics(
        config: &DataConfig,
        shape: ImageShape,
        channels: Vec<Statistics>,
        columns: Vec<String>,
    ) -> Result<Self, DataError> {
        let mut scaling = vec![];
        let mut range = [f64::INFINITY, f64::NEG_INFINITY];
        for statistics in channels {
            range = [range[0].min(statistics.least), range[1].max(statistics.most)];
            scaling.push(match config.transform.numbers {
                Scaling::None => FittedScaling::None,
                Scaling::Standardise => {
                    FittedScaling::Affine { shift: statistics.mean, scale: statistics.deviation }
                }
                Scaling::MinMax => {
                    let span = statistics.most - statistics.least;
                    FittedScaling::Affine {
                        shift: statistics.least,
                        scale: if span > 0.0 { span } else { 1.0 },
                    }
                }
                Scaling::Log1p | Scaling::Quantile => {
                    let reason =
                        "`data.transform.numbers` for images is \"standardise\", \"min_max\" or \"none\"";
                    return Err(DataError::Treatment { column: "image".into(), reason: reason.into() });
                }
            });
        }
        Ok(Self { shape, scaling, range, columns, classes: vec![], fit: ImageFit::default() })
    }

    /// Rows of bytes of these images, none yet.
    pub(super) fn pixels(&self) -> PixelRows {
        let (values, plane) = (self.shape.values(), self.shape.plane().max(1));
        PixelRows::new(values, plane, |channel, byte| self.scaled(channel, f64::from(byte)))
    }

    fn scaled(&self, channel: usize, value: f64) -> f32 {
        self.scaling.get(channel).map_or(value, |scaling| scaling.apply(value)) as f32
    }

    /// The scaled values of `rows`, one image after the other, in `x` or `pixels` of a data set without
    /// anything else: as bytes if all are, and that takes up less memory.
    pub fn encode(&self, images: &Images, rows: &[usize]) -> Dataset {
        let (values, plane) = (self.shape.values(), self.shape.plane().max(1));
        let mut set = Dataset { rows: rows.len(), features: self.names(), ..Dataset::default() };
        if PixelRows::saves(values, plane, rows.len()) {
            set.pixels = images.packed(rows, self.pixels());
        }
        if set.pixels.is_none() {
            set.x.reserve_exact(rows.len() * values);
            for &row in rows {
                set.x.extend(images.row(row).enumerate().map(|(at, value)| self.scaled(at / plane, value)));
            }
        }
        set
    }
}

/// Statistics of one channel over the training rows.
#[derive(Clone, Debug)]
pub(super) struct Statistics {
    mean: f64,
    deviation: f64,
    least: f64,
    most: f64,
    /// Values of the channel.
    count: f64,
    variance: f64,
}

impl Statistics {
    /// Those of `rows` planes of `plane` values, none of which was seen yet.
    pub(super) fn new(rows: usize, plane: usize) -> Self {
        let count = (rows * plane).max(1) as f64;
        let (least, most) = (f64::INFINITY, f64::NEG_INFINITY);
        Self { mean: 0.0, deviation: 1.0, least, most, count, variance: 0.0 }
    }

    /// Adds the values of a row to the mean.
    pub(super) fn see(&mut self, values: impl Iterator<Item = f64>) {
        for value in values {
            self.mean += value / self.count;
            self.least = self.least.min(value);
            self.most = self.most.max(value);
        }
    }

    /// Adds the values of a row to the variance, once the mean is known.
    pub(super) fn see_again(&mut self, values: impl Iterator<Item = f64>) {
        for x in values {
            self.variance += (x - self.mean).powi(2);
        }
    }

    /// All values were seen twice.
    pub(super) fn finish(mut self) -> Self {
        let deviation = (self.variance / self.count).sqrt();
        if deviation > 1e-12 * self.mean.abs().max(1e-300) {
            self.deviation = deviation;
        }
        self
    }

    fn of(images: &Images, rows: &[usize], channel: usize) -> Self {
        let plane = images.shape.plane();
        let mut found = Self::new(rows.len(), plane);
        let values = || rows.iter().flat_map(|&r| images.row(r).skip(channel * plane).take(plane));
        found.see(values());
        found.see_again(values());
        found.finish()
    }
}
