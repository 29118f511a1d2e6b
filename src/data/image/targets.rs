//! Targets of single pixels: masks, whose values are classes, or pictures of values; in files of their own, or the
//! images themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::array::bad;
use super::masks::Masks;
use super::{Images, Pixels};
use crate::base::image::ImageShape;
use crate::base::rng::{self, streams};
use crate::data::DataError;
use crate::data::config::{DataConfig, ITSELF};
use crate::data::dataset::{Dataset, Target};
use crate::data::fitted::{Fitted, FittedImage, FittedPixels, FittedTarget, PixelClass, PixelValues};

/// Classes of pixels at most: more are values.
const MOST_CLASSES: usize = 256;
/// Seed of the noise on images whose target is known, which is the same in every evaluation.
const NOISE_SEED: [u32; 2] = [0x6e6f_6973, 0x6531_7365];

/// Bits of a channel in the key of a class.
const CHANNEL_BITS: u32 = 24;

/// The values of a pixel, which are whole numbers from 0 up, in one number; else the one that is none.
fn key_of(images: &Images, row: usize, pixel: usize) -> Result<u128, f64> {
    let (values, plane) = (images.shape.values(), images.shape.plane());
    let mut key = 0;
    for channel in 0..images.shape.channels {
        let at = row * values + channel * plane + pixel;
        let value = match &images.pixels {
            Pixels::Bytes(bytes) => u128::from(bytes[at]),
            Pixels::Floats(floats) => {
                let x = floats[at];
                if !(x >= 0.0 && x.fract() == 0.0 && x < 16_777_216.0) {
                    return Err(f64::from(x));
                }
                x as u128
            }
        };
        key = key << CHANNEL_BITS | value;
    }
    Ok(key)
}

/// The values of each of so many channels that a key stands for.
fn values_of(key: u128, channels: usize) -> Vec<u32> {
    let value =
        |channel: usize| (key >> (CHANNEL_BITS as usize * (channels - 1 - channel))) as u32 & 0xff_ffff;
    (0..channels).map(value).collect()
}

/// What the classes of pixels are called: by the names given, their value, or their colour.
fn name_of(values: &[u32], names: &[String]) -> Option<String> {
    match values {
        [value] if !names.is_empty() => names.get(*value as usize).cloned(),
        [value] => Some(value.to_string()),
        colours => Some(format!("#{}", colours.iter().map(|c| format!("{c:02x}")).collect::<String>())),
    }
}

impl FittedPixels {
    /// Fits a target of pixels on the training rows: finds the classes of masks, or the scaling of values.
    ///
    /// # Errors
    /// If masks hold what is no class, only one class, or too many.
    pub fn fit(
        config: &DataConfig,
        path: &Path,
        masks: &Masks,
        train: &[usize],
        as_classes: bool,
    ) -> Result<Self, DataError> {
        let Masks { images: targets, values, .. } = masks;
        let values = *values;
        let (itself, noise) = (false, if as_classes { 0.0 } else { config.augment.noise });
        if !as_classes {
            let FittedImage { shape, scaling, range, .. } = FittedImage::fit(config, targets, train, vec![])?;
            return Ok(Self { shape, classes: vec![], scaling, range, itself, noise, values });
        }
        let channels = targets.shape.channels;
        if channels > 3 {
            return Err(bad(path, format!("masks have 1 channel or 3, it has {channels}")));
        }
        let (mut found, mut last) = (BTreeSet::new(), None);
        for &row in train {
            for pixel in 0..targets.shape.plane() {
                let key = key_of(targets, row, pixel).map_err(|x| {
                    bad(
                        path,
                        format!(
                            "the mask {} holds {x}, which is no class; for values, set train.loss = \"mse\"",
                            masks.name(row)
                        ),
                    )
                })?;
                // Neighbours mostly are of one class.
                if last == Some(key) {
                    continue;
                }
                last = Some(key);
                if found.insert(key) && found.len() > MOST_CLASSES {
                    return Err(bad(
                        path,
                        format!(
                            "its pictures have more than {MOST_CLASSES} different values or colours, so they are no masks \
                             of classes (JPEG does not keep values: use PNG); for values, set train.loss = \"mse\""
                        ),
                    ));
                }
            }
        }
        if found.len() < 2 {
            return Err(bad(
                path,
                "every pixel of the masks for training has the same value; there is nothing to learn",
            ));
        }
        let names = config.image.as_ref().map_or(&[][..], |image| &image.classes);
        if channels > 1 && !names.is_empty() {
            let reason = "its masks are in colours, which `data.image.classes` does not name: they are called by their \
                          values; remove the key, or save masks with the values 0, 1, ...";
            return Err(bad(path, reason));
        }
        let class = |values: Vec<u32>| {
            let missing = || {
                bad(
                    path,
                    format!(
                        "masks hold the value {}, which has no name among the {} of `data.image.classes`",
                        values[0],
                        names.len()
                    ),
                )
            };
            Ok(PixelClass { name: name_of(&values, names).ok_or_else(missing)?, values })
        };
        let keys = found.into_iter().map(|key| values_of(key, channels));
        let classes = keys.map(class).collect::<Result<Vec<_>, DataError>>()?;
        let shape = ImageShape { channels: 1, ..targets.shape };
        let most = classes.iter().flat_map(|class| &class.values).max();
        let values = match most {
            Some(..=255) => PixelValues::Eight,
            Some(..=65_535) => PixelValues::Sixteen,
            _ => PixelValues::Numbers,
        };
        Ok(Self { shape, classes, scaling: vec![], range: [0.0, 255.0], itself, noise, values })
    }

    /// The target that the image itself is.
    pub fn itself(image: &FittedImage, values: PixelValues, noise: f64) -> Self {
        let FittedImage { shape, scaling, range, .. } = image.clone();
        Self { shape, classes: vec![], scaling, range, itself: true, noise, values }
    }

    /// Encodes the targets of `rows`: labels of pixels `[rows, H W]`, or scaled values `[rows, C H W]`.
    ///
    /// # Errors
    /// If a mask holds a class that those for training do not.
    pub fn encode(&self, path: &Path, masks: &Masks, rows: &[usize]) -> Result<Target, DataError> {
        let targets = &masks.images;
        let plane = self.shape.plane();
        if self.classes.is_empty() {
            let scaled = |(at, x): (usize, f64)| {
                self.scaling.get(at / plane).map_or(x, |scaling| scaling.apply(x)) as f32
            };
            let values = rows.iter().flat_map(|&row| targets.row(row).enumerate().map(scaled)).collect();
            return Ok(Target::Numbers(values));
        }
        let channels = targets.shape.channels;
        let known: BTreeMap<&[u32], u32> =
            (0..).zip(&self.classes).map(|(at, c)| (&c.values[..], at)).collect();
        let mut labels = Vec::with_capacity(rows.len() * plane);
        let mut last = None;
        for &row in rows {
            for pixel in 0..plane {
                let key = key_of(targets, row, pixel);
                if let (Some((before, label)), Ok(key)) = (last, key)
                    && before == key
                {
                    labels.push(label);
                    continue;
                }
                let values = key.map(|key| values_of(key, channels));
                let label = values.as_ref().ok().and_then(|values| known.get(&values[..]));
                let unknown = || {
                    let value = values.as_ref().map_or_else(f64::to_string, |v| match v[..] {
                        [only] => only.to_string(),
                        _ => format!("{v:?}"),
                    });
                    let known: Vec<&str> = self.classes.iter().map(|class| class.name.as_str()).collect();
                    let known = known.join(", ");
                    bad(
                        path,
                        format!(
                            "the mask {} holds {value}, which no mask for training does; their classes are {known} (JPEG does \
                             not keep values: use PNG)",
                            masks.name(row)
                        ),
                    )
                };
                let label = *label.ok_or_else(unknown)?;
                last = key.ok().map(|key| (key, label));
                labels.push(label);
            }
        }
        Ok(Target::Labels(labels))
    }

    /// Targets of each row.
    pub fn count(&self) -> usize {
        if self.classes.is_empty() { self.shape.values() } else { self.shape.plane() }
    }
}

/// Says of rows whose target is the image itself that it is, and adds the noise that is to be removed. Training adds its
/// own, anew at every step.
pub fn finish(fitted: &Fitted, rows: &mut Dataset, knows_target: bool, trains: bool) {
    let FittedTarget::Pixels(pixels) = &fitted.target else { return };
    let count = rows.rows;
    if pixels.itself && knows_target {
        rows.target = Some(Target::Numbers(rows.features_of(0..count).into_owned()));
    }
    rows.targets = pixels.count();
    if trains || pixels.noise == 0.0 || rows.target.is_none() {
        return;
    }
    let noisy = |(at, x): (usize, &f32)| {
        let at = at as u64; // where addresses have 32 bits, too
        let word = rng::word(NOISE_SEED, streams::NOISE, (at >> 32) as u32, at as u32);
        x + (pixels.noise as f32) * rng::normal(word)
    };
    rows.x = rows.features_of(0..count).iter().enumerate().map(noisy).collect();
    rows.pixels = None;
}

/// Refuses a target of pixels where images cannot have one.
///
/// # Errors
/// If it is a path, and the images are rows of a table.
pub fn of_table(config: &DataConfig, image: Option<&FittedImage>) -> Result<Option<FittedTarget>, DataError> {
    let Some(target) = config.pixel_target() else { return Ok(None) };
    let wrong = |reason: &str| DataError::Treatment { column: "image".into(), reason: reason.into() };
    let Some(image) = image else {
        return Err(wrong("`data.image.target` is of images, and rows are none; set `data.image.shape`"));
    };
    if target != ITSELF {
        return Err(wrong(
            "`data.image.target` of images that are rows of a table can only be \"self\"; others need files of pictures",
        ));
    }
    Ok(Some(FittedTarget::Pixels(FittedPixels::itself(image, PixelValues::Numbers, config.augment.noise))))
}
