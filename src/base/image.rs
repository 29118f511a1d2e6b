//! The shape of an image.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The largest number of values in an image.
pub const MAX_VALUES: usize = 1 << 26;

/// The shape of an image; a row of pixel values is stored in the order `[channels, height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<usize>", into = "[usize; 3]")]
pub struct ImageShape {
    /// Channels: 1 for greyscale, 3 for RGB.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Pixels per row.
    pub width: usize,
}

impl From<[usize; 3]> for ImageShape {
    fn from([channels, height, width]: [usize; 3]) -> Self {
        Self { channels, height, width }
    }
}

/// An array of fixed length would let a file's fourth number pass unseen.
impl TryFrom<Vec<usize>> for ImageShape {
    type Error = String;

    fn try_from(sides: Vec<usize>) -> Result<Self, String> {
        let found = sides.len();
        <[usize; 3]>::try_from(sides).map(Self::from).map_err(|_| {
            format!("expected [channels, height, width] such as [1, 28, 28]; found a list of {found}")
        })
    }
}

impl From<ImageShape> for [usize; 3] {
    fn from(shape: ImageShape) -> Self {
        [shape.channels, shape.height, shape.width]
    }
}

impl std::fmt::Display for ImageShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}, {}, {}]", self.channels, self.height, self.width)
    }
}

impl ImageShape {
    /// Number of values in an image. Saturates, because a file may declare any shape.
    pub fn values(&self) -> usize {
        self.channels.saturating_mul(self.height).saturating_mul(self.width)
    }

    /// Pixels per channel.
    pub fn plane(&self) -> usize {
        self.height.saturating_mul(self.width)
    }

    /// What is wrong with the shape, if anything.
    pub fn problem(&self) -> Option<String> {
        let sides = [self.channels, self.height, self.width];
        (sides.contains(&0) || self.values() > MAX_VALUES)
            .then(|| format!("= {self} must have sides of at least 1 and at most {MAX_VALUES} values in all"))
    }
}
