//! Numeric arrays as stored in array files, and their interpretation as images or labels.

use std::path::Path;

use super::{Images, Pixels};
use crate::base::image::{ImageShape, MAX_VALUES};
use crate::base::number::half;
use crate::data::DataError;

/// Maximum values of an array: as many bytes, or four times as many once converted to numbers.
pub const MAX_ARRAY: usize = 1 << 29;
/// Integers beyond this are not all representable in `f32`.
const MAX_WHOLE: f64 = 16_777_216.0;

/// Element type in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Unsigned integers of this many bytes.
    Unsigned(usize),
    /// Signed integers of this many bytes.
    Signed(usize),
    /// Floating-point numbers of 2, 4 or 8 bytes.
    Float(usize),
}

impl Element {
    /// Bytes per element.
    pub fn bytes(self) -> usize {
        match self {
            Self::Unsigned(n) | Self::Signed(n) | Self::Float(n) => n,
        }
    }
}

/// An array as stored in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// Its elements, row-major.
    pub values: Pixels,
}

/// An error about an array file.
pub fn bad(path: &Path, reason: impl Into<String>) -> DataError {
    DataError::Image { path: path.into(), reason: reason.into() }
}

/// Number of elements of an array whose shape a file declares.
///
/// # Errors
/// If there are too many.
pub fn elements(path: &Path, shape: &[usize]) -> Result<usize, DataError> {
    let count = shape.iter().try_fold(1usize, |n, &side| n.checked_mul(side));
    count.filter(|&n| n <= MAX_ARRAY).ok_or_else(|| {
        bad(
            path,
            format!("the header declares an array of {shape:?}; at most {MAX_ARRAY} values are supported"),
        )
    })
}

impl Array {
    /// Decodes the bytes of the elements.
    ///
    /// # Errors
    /// If the number of bytes does not match `shape`, or a value is not a finite `f32`.
    pub fn decode(
        path: &Path,
        shape: Vec<usize>,
        element: Element,
        big_endian: bool,
        bytes: Vec<u8>,
    ) -> Result<Self, DataError> {
        let expected = elements(path, &shape)? * element.bytes();
        if bytes.len() != expected {
            return Err(bad(
                path,
                format!(
                    "the header declares an array of {shape:?}, {expected} bytes, but {} follow; the file is \
                     damaged or incomplete",
                    bytes.len()
                ),
            ));
        }
        if element == Element::Unsigned(1) {
            return Ok(Self { shape, values: Pixels::Bytes(bytes) });
        }
        let mut floats = Vec::with_capacity(expected / element.bytes());
        for (at, chunk) in bytes.chunks_exact(element.bytes()).enumerate() {
            let value = number(chunk, element, big_endian);
            let whole = !matches!(element, Element::Float(_));
            if !(value as f32).is_finite() || (whole && value.abs() > MAX_WHOLE) {
                let place = at / shape.iter().skip(1).product::<usize>().max(1);
                return Err(bad(
                    path,
                    format!("item {place} (from 0) holds {value}, which is not a finite 32-bit number"),
                ));
            }
            floats.push(value as f32);
        }
        Ok(Self { shape, values: Pixels::Floats(floats) })
    }

    /// Interprets the array as images. Axes are `[images, height, width]`,
    /// `[images, channels, height, width]` or `[images, height, width, channels]`; any other shape is
    /// accepted if it has as many values per image as `wanted`.
    ///
    /// # Errors
    /// If the axes match none of these, or do not match `wanted`.
    pub fn images(self, path: &Path, wanted: Option<ImageShape>) -> Result<Images, DataError> {
        let (shape, last) = arrangement(path, &self.shape, wanted)?;
        let pixels = match self.values {
            values if !last => values,
            Pixels::Bytes(bytes) => Pixels::Bytes(channels_first(&bytes, shape)),
            Pixels::Floats(floats) => Pixels::Floats(channels_first(&floats, shape)),
        };
        Ok(Images { shape, pixels })
    }

    /// Interprets the array as labels of `count` images: numbers as text, or the class names with those
    /// numbers.
    ///
    /// # Errors
    /// If the number of labels differs from `count`, or a number has no class.
    pub fn labels(&self, path: &Path, count: usize, classes: &[String]) -> Result<Vec<String>, DataError> {
        if self.shape.iter().product::<usize>() != count || self.shape.first() != Some(&count) {
            let reason = format!("it holds labels of {:?}, but there are {count} images", self.shape);
            return Err(bad(path, reason));
        }
        let text = |value: f64| {
            if classes.is_empty() {
                return Ok(value.to_string());
            }
            let class = (value >= 0.0 && value.fract() == 0.0).then(|| classes.get(value as usize)).flatten();
            class.cloned().ok_or_else(|| {
                bad(
                    path,
                    format!("label {value} has no name among the {} of `data.image.classes`", classes.len()),
                )
            })
        };
        match &self.values {
            Pixels::Bytes(bytes) => bytes.iter().map(|&b| text(f64::from(b))).collect(),
            Pixels::Floats(floats) => floats.iter().map(|&x| text(f64::from(x))).collect(),
        }
    }
}

/// The shape of the images of an array with these axes, and whether its channels come last.
///
/// # Errors
/// As [`Array::images`].
pub fn arrangement(
    path: &Path,
    axes: &[usize],
    wanted: Option<ImageShape>,
) -> Result<(ImageShape, bool), DataError> {
    let few = |n: usize| matches!(n, 1 | 3 | 4);
    let (shape, last) = match (axes, wanted) {
        (&[_, height, width], None) => (ImageShape { channels: 1, height, width }, false),
        (&[_, channels, height, width], None) if few(channels) || !few(width) => {
            (ImageShape { channels, height, width }, false)
        }
        (&[_, height, width, channels], None) => (ImageShape { channels, height, width }, true),
        (&[_, height, width, channels], Some(w))
            if (w.channels, w.height, w.width) == (channels, height, width) && channels != height =>
        {
            (w, true)
        }
        (&[_, channels, height, width], Some(w))
            if (w.channels, w.height, w.width) == (channels, height, width) =>
        {
            (w, false)
        }
        (&[_, height, width], Some(w)) if [w.channels, w.height, w.width] == [1, height, width] => (w, false),
        (&[_, values], Some(w)) if w.values() == values => (w, false),
        (shape, wanted) => {
            let expected = wanted.map_or_else(
                || "[images, height, width] or [images, channels, height, width]".to_string(),
                |w| format!("images of {w}"),
            );
            return Err(bad(path, format!("it holds an array of {shape:?}; expected {expected}")));
        }
    };
    if shape.values() == 0 || shape.values() > MAX_VALUES {
        return Err(bad(path, format!("images of {shape} have no values, or more than {MAX_VALUES}")));
    }
    if axes[0] == 0 {
        return Err(bad(path, "it holds no images"));
    }
    Ok((shape, last))
}

/// From `[images, height, width, channels]` to `[images, channels, height, width]`.
pub fn channels_first<T: Copy>(values: &[T], shape: ImageShape) -> Vec<T> {
    let mut moved = Vec::with_capacity(values.len());
    for image in values.chunks_exact(shape.values()) {
        for channel in 0..shape.channels {
            moved.extend(image.iter().skip(channel).step_by(shape.channels));
        }
    }
    moved
}

fn number(chunk: &[u8], element: Element, big_endian: bool) -> f64 {
    let mut bytes = [0u8; 8];
    for (to, &from) in bytes.iter_mut().zip(chunk) {
        *to = from;
    }
    if big_endian {
        bytes[..chunk.len()].reverse();
    }
    let bits = u64::from_le_bytes(bytes);
    match element {
        Element::Unsigned(_) => bits as f64,
        Element::Signed(width) => {
            let unused = 64 - 8 * width as u32;
            (((bits << unused) as i64) >> unused) as f64
        }
        Element::Float(2) => f64::from(half(bits as u16)),
        Element::Float(4) => f64::from(f32::from_bits(bits as u32)),
        Element::Float(_) => f64::from_bits(bits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_every_kind() {
        let one = |element, big, bytes: &[u8]| {
            let array = Array::decode(Path::new("a"), vec![1], element, big, bytes.to_vec()).unwrap();
            match array.values {
                Pixels::Bytes(b) => f64::from(b[0]),
                Pixels::Floats(x) => f64::from(x[0]),
            }
        };
        assert_eq!(one(Element::Unsigned(1), false, &[200]), 200.0);
        assert_eq!(one(Element::Signed(1), false, &[0xfe]), -2.0);
        assert_eq!(one(Element::Signed(2), true, &[0xff, 0x00]), -256.0);
        assert_eq!(one(Element::Signed(8), false, &[7, 0, 0, 0, 0, 0, 0, 0]), 7.0);
        assert_eq!(one(Element::Float(4), true, &1.5f32.to_be_bytes()), 1.5);
        assert_eq!(one(Element::Float(8), false, &(-0.25f64).to_le_bytes()), -0.25);
        for (bits, value) in [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0001, 2f32.powi(-24))] {
            assert_eq!(half(bits), value);
        }
        let large = (1u64 << 40).to_le_bytes().to_vec();
        assert!(Array::decode(Path::new("a"), vec![1], Element::Unsigned(8), false, large).is_err());
        let nan = f32::NAN.to_le_bytes().to_vec();
        assert!(Array::decode(Path::new("a"), vec![1], Element::Float(4), false, nan).is_err());
    }

    #[test]
    fn channels_may_come_last() {
        let values = Pixels::Bytes(vec![1, 2, 3, 4, 5, 6]);
        let array = Array { shape: vec![1, 1, 2, 3], values };
        // One channel of 2 x 3, unless three channels of 1 x 2 are requested.
        let images = array.clone().images(Path::new("a"), None).unwrap();
        assert_eq!(images.shape, ImageShape { channels: 1, height: 2, width: 3 });
        let wanted = Some(ImageShape { channels: 3, height: 1, width: 2 });
        let images = array.images(Path::new("a"), wanted).unwrap();
        assert_eq!(images.pixels, Pixels::Bytes(vec![1, 4, 2, 5, 3, 6]));
    }
}
