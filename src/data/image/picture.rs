//! Single pictures: converted to greyscale or RGB, and brought to the shape of an image.

use super::{ImageShape, Pixels};
use crate::data::config::ImageFit;

/// A decoded picture with interleaved channels: `[height, width, channels]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// 1 (greyscale) or 3 (RGB).
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Pixels per row.
    pub width: usize,
    /// All values, from 0 (black) to 255 (white).
    pub values: Pixels,
}

impl Picture {
    /// The picture's shape.
    pub fn shape(&self) -> ImageShape {
        ImageShape { channels: self.channels, height: self.height, width: self.width }
    }

    /// The picture's values in the order `[channels, height, width]`, converted to greyscale or RGB and
    /// brought to `shape`, which has 1 or 3 channels; with the value of the `nearest` pixel each, or with means.
    pub fn fitted(&self, shape: ImageShape, fit: ImageFit, nearest: bool) -> Pixels {
        match &self.values {
            Pixels::Bytes(values) => {
                let resize: Resize<u8> = if nearest { resize_nearest } else { resize };
                Pixels::Bytes(fitted(values, self.shape(), shape, fit, resize))
            }
            Pixels::Floats(values) => {
                let resize: Resize<f32> = if nearest { resize_nearest } else { resize };
                Pixels::Floats(fitted(values, self.shape(), shape, fit, resize))
            }
        }
    }
}

/// A value of a pixel, from 0 to 255.
trait Value: Copy + Into<f32> {
    const WHITE: Self;
    /// The value nearest to a number.
    fn nearest(number: f32) -> Self;
    /// Luma of ITU-R BT.601.
    fn luma(red: Self, green: Self, blue: Self) -> Self;
}

impl Value for u8 {
    const WHITE: Self = 255;

    fn nearest(number: f32) -> Self {
        (number + 0.5).clamp(0.0, 255.0) as u8
    }

    fn luma(red: Self, green: Self, blue: Self) -> Self {
        ((299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue) + 500) / 1000) as u8
    }
}

impl Value for f32 {
    const WHITE: Self = 255.0;

    fn nearest(number: f32) -> Self {
        number
    }

    fn luma(red: Self, green: Self, blue: Self) -> Self {
        (299.0 * red + 587.0 * green + 114.0 * blue) / 1000.0
    }
}

/// Brings a plane of a size to another one.
type Resize<T> = fn(&[T], [usize; 2], [usize; 2]) -> Vec<T>;

fn fitted<T: Value>(
    values: &[T],
    from: ImageShape,
    to: ImageShape,
    fit: ImageFit,
    resize: Resize<T>,
) -> Vec<T> {
    let (size, wanted) = ([from.height, from.width], [to.height, to.width]);
    let planes = planes(values, from.channels, to.channels);
    if size == wanted {
        return planes.concat();
    }
    planes.iter().flat_map(|plane| placed(plane, size, wanted, fit, resize)).collect()
}

fn planes<T: Value>(values: &[T], channels: usize, wanted: usize) -> Vec<Vec<T>> {
    let pixels = || values.chunks_exact(channels);
    if channels == 3 && wanted == 1 {
        return vec![pixels().map(|p| T::luma(p[0], p[1], p[2])).collect()];
    }
    (0..wanted).map(|c| pixels().map(|p| p[c % channels]).collect()).collect()
}

fn placed<T: Value>(
    plane: &[T],
    size: [usize; 2],
    wanted: [usize; 2],
    fit: ImageFit,
    resize: Resize<T>,
) -> Vec<T> {
    match fit {
        ImageFit::Squash => resize(plane, size, wanted),
        ImageFit::Pad => {
            let inner = inside(size, wanted);
            let whole = resize(plane, size, inner);
            let mut out = vec![T::WHITE; wanted[0] * wanted[1]];
            let [top, left] = [(wanted[0] - inner[0]) / 2, (wanted[1] - inner[1]) / 2];
            for (row, values) in whole.chunks_exact(inner[1]).enumerate() {
                out[(top + row) * wanted[1] + left..][..inner[1]].copy_from_slice(values);
            }
            out
        }
        ImageFit::Crop => {
            let inner = inside(wanted, size);
            let [top, left] = [(size[0] - inner[0]) / 2, (size[1] - inner[1]) / 2];
            let rows = plane.chunks_exact(size[1]).skip(top).take(inner[0]);
            let middle: Vec<T> = rows.flat_map(|row| &row[left..left + inner[1]]).copied().collect();
            resize(&middle, inner, wanted)
        }
    }
}

/// The largest height and width within `bounds` with the ratio of `height` to `width`.
fn inside([height, width]: [usize; 2], bounds: [usize; 2]) -> [usize; 2] {
    let share = |whole: usize, part: usize, of: usize| {
        ((whole as f64 * part as f64 / of as f64).round() as usize).max(1)
    };
    if width as u128 * bounds[0] as u128 > height as u128 * bounds[1] as u128 {
        [share(bounds[1], height, width).min(bounds[0]), bounds[1]]
    } else {
        [bounds[0], share(bounds[0], width, height).min(bounds[1])]
    }
}

/// Resizes a plane with a triangle filter as wide as an output pixel or an input pixel, whichever is wider:
/// bilinear interpolation that does not skip pixels when downsampling.
fn resize<T: Value>(plane: &[T], [height, width]: [usize; 2], [to_height, to_width]: [usize; 2]) -> Vec<T> {
    let (across, down) = (weights(width, to_width), weights(height, to_height));
    let mut rows = vec![0f32; height * to_width];
    for (row, out) in plane.chunks_exact(width).zip(rows.chunks_exact_mut(to_width)) {
        for ((first, weights), out) in across.iter().zip(out) {
            *out = weights.iter().zip(&row[*first..]).map(|(w, &x)| w * x.into()).sum();
        }
    }
    let mut out = vec![T::WHITE; to_height * to_width];
    for ((first, weights), out) in down.iter().zip(out.chunks_exact_mut(to_width)) {
        for (column, out) in out.iter_mut().enumerate() {
            let at = |k: usize| rows[(first + k) * to_width + column];
            let sum: f32 = weights.iter().enumerate().map(|(k, w)| w * at(k)).sum();
            *out = T::nearest(sum);
        }
    }
    out
}

/// Resizes a plane, each output pixel with the value of the input pixel in which its centre lies.
fn resize_nearest<T: Value>(plane: &[T], [height, width]: [usize; 2], to: [usize; 2]) -> Vec<T> {
    let place = |at: usize, from: usize, to: usize| ((2 * at + 1) * from / (2 * to)).min(from - 1);
    let row = |y: usize| place(y, height, to[0]) * width;
    (0..to[0])
        .flat_map(|y| (0..to[1]).map(move |x| row(y) + place(x, width, to[1])))
        .map(|at| plane[at])
        .collect()
}

/// For each of `to` output positions: the first of the `from` input positions it reads, and the weights from
/// there on.
fn weights(from: usize, to: usize) -> Vec<(usize, Vec<f32>)> {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    let position = |new: usize| {
        let centre = (new as f64 + 0.5) * scale;
        let first = (centre - reach).floor().max(0.0) as usize;
        let end = ((centre + reach).ceil() as usize).min(from);
        let weight = |old: usize| (1.0 - ((old as f64 + 0.5 - centre) / reach).abs()).max(0.0);
        let raw: Vec<f64> = (first..end).map(weight).collect();
        let total: f64 = raw.iter().sum();
        (first, raw.iter().map(|w| (w / total) as f32).collect())
    };
    (0..to).map(position).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resizing_keeps_constants_and_averages_blocks() {
        assert_eq!(resize(&[7u8; 30], [5, 6], [11, 3]), vec![7; 33]);
        // Halving: a triangle over four pixels, truncated at the edge: (3 * 0 + 3 * 100 + 1 * 200) / 7, and
        // its mirror.
        let halved = resize(&[0u8, 100, 200, 44], [1, 4], [1, 2]);
        assert_eq!(halved, [71, 119]);
        // Doubling interpolates between pixel centres.
        assert_eq!(resize(&[0u8, 100], [1, 2], [1, 4]), [0, 25, 75, 100]);
    }

    #[test]
    fn masks_keep_their_values() {
        assert_eq!(resize_nearest(&[0u8, 100, 200, 44], [1, 4], [1, 2]), [100, 44]);
        assert_eq!(resize_nearest(&[1u8, 2, 3, 4], [2, 2], [4, 2]), [1, 2, 1, 2, 3, 4, 3, 4]);
        assert_eq!(resize_nearest(&[5u8, 6, 7], [3, 1], [2, 2]), [5, 5, 7, 7]);
    }

    /// The picture's bytes in a shape.
    fn bytes(picture: &Picture, [channels, height, width]: [usize; 3], fit: ImageFit) -> Vec<u8> {
        match picture.fitted(ImageShape { channels, height, width }, fit, false) {
            Pixels::Bytes(bytes) => bytes,
            Pixels::Floats(floats) => panic!("expected bytes, found {floats:?}"),
        }
    }

    fn picture([channels, height, width]: [usize; 3], values: &[u8]) -> Picture {
        Picture { channels, height, width, values: Pixels::Bytes(values.into()) }
    }

    #[test]
    fn colours_become_grey_by_their_brightness_and_grey_becomes_colours() {
        let colours = picture([3, 1, 2], &[255, 0, 0, 10, 20, 30]);
        assert_eq!(bytes(&colours, [1, 1, 2], ImageFit::Squash), [76, 18]);
        assert_eq!(bytes(&colours, [3, 1, 2], ImageFit::Squash), [255, 10, 0, 20, 0, 30]);
        let grey = picture([1, 1, 2], &[3, 4]);
        assert_eq!(bytes(&grey, [3, 1, 2], ImageFit::Squash), [3, 4, 3, 4, 3, 4]);
    }

    #[test]
    fn another_aspect_ratio_is_squashed_padded_or_cropped() {
        let wide = picture([1, 1, 4], &[10, 20, 30, 40]);
        assert_eq!(bytes(&wide, [1, 2, 4], ImageFit::Squash), [10, 20, 30, 40, 10, 20, 30, 40]);
        // One row of four in a square of four: white around it, nothing changed within.
        let white = [255; 4];
        let padded = [&white[..], &[10, 20, 30, 40], &white, &white].concat();
        assert_eq!(bytes(&wide, [1, 4, 4], ImageFit::Pad), padded);
        // The middle two of the four.
        assert_eq!(bytes(&wide, [1, 1, 2], ImageFit::Crop), [20, 30]);
        let tall = picture([1, 4, 1], &[10, 20, 30, 40]);
        assert_eq!(bytes(&tall, [1, 1, 1], ImageFit::Crop), [20]);
        assert_eq!(
            bytes(&tall, [1, 4, 3], ImageFit::Pad),
            [255, 10, 255, 255, 20, 255, 255, 30, 255, 255, 40, 255]
        );
        for fit in [ImageFit::Squash, ImageFit::Pad, ImageFit::Crop] {
            for (from, to) in [([1, 1, 9], [1, 7, 1]), ([1, 9, 1], [1, 1, 7]), ([1, 3, 2], [1, 5, 5])] {
                let found = bytes(&picture(from, &[9; 9][..from[1] * from[2]]), to, fit);
                assert_eq!(found.len(), to[1] * to[2]);
                assert!(found.contains(&9), "{fit:?} {from:?} {to:?}: {found:?}");
            }
        }
    }
}
