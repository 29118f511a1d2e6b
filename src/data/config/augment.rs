//! The `[data.augment]` table of an experiment file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernels::augment::Changes;

/// Random augmentation of training rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table such as { noise = 0.1 }")]
pub struct AugmentConfig {
    /// Standard deviation of Gaussian noise added to every (scaled) feature, fresh at each step.
    #[serde(default)]
    pub noise: f64,
    /// Images: flip half of them left to right.
    #[serde(default)]
    pub flip_horizontal: bool,
    /// Images: flip half of them top to bottom.
    #[serde(default)]
    pub flip_vertical: bool,
    /// Images: largest shift in pixels in each direction. Vacated pixels are black, so this equals a random
    /// crop of the image padded by as many pixels.
    #[serde(default)]
    pub shift: usize,
    /// Images: largest rotation in degrees, in either direction.
    #[serde(default)]
    pub rotation: f64,
    /// Images: largest brightness change, added to all (scaled) values.
    #[serde(default)]
    pub brightness: f64,
    /// Images: contrast; all (scaled) values are multiplied by 1 plus or minus up to this amount.
    #[serde(default)]
    pub contrast: f64,
    /// Images: side of a square of zeros (the training mean) at a random position (cutout; DeVries and Taylor
    /// 2017, arXiv:1708.04552).
    #[serde(default)]
    pub cutout: usize,
}

/// Maximum pixels of a shift or a cutout.
const MAX_PIXELS: usize = 10_000;

impl AugmentConfig {
    /// The first value out of range: its key and what is wrong with it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let bounded = [
            ("data.augment.rotation", self.rotation, 180.0),
            ("data.augment.brightness", self.brightness, 1e6),
            ("data.augment.contrast", self.contrast, 1.0),
        ];
        let bad = bounded.into_iter().find(|(_, x, most)| !(0.0..=*most).contains(x));
        if let Some((key, x, most)) = bad {
            return Some((key, format!("= {x} is not in 0..={most}")));
        }
        let counted = [("data.augment.shift", self.shift), ("data.augment.cutout", self.cutout)];
        let bad = counted.into_iter().find(|(_, n)| *n > MAX_PIXELS);
        bad.map(|(key, n)| (key, format!("= {n} is not in 0..={MAX_PIXELS}")))
    }

    /// The changes made to images.
    pub fn changes(&self) -> Changes {
        Changes {
            flip_horizontal: self.flip_horizontal,
            flip_vertical: self.flip_vertical,
            shift: self.shift as u32,
            rotation: (self.rotation.to_radians() as f32).to_bits(),
            brightness: (self.brightness as f32).to_bits(),
            contrast: (self.contrast as f32).to_bits(),
            cutout: self.cutout as u32,
        }
    }
}
