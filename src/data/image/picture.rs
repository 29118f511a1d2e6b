//! Single pictures: PNG and JPEG files decoded within limits, converted to greyscale or RGB, and resized.

use std::io::Cursor;
use std::path::Path;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::ImageShape;
use super::array::bad;
use crate::data::DataError;

/// Larger files are rejected before they are read.
const MAX_FILE: u64 = 256 << 20;
/// Larger pictures are rejected before they are decoded.
const MAX_PIXELS: usize = 1 << 26;
/// Longest side of a picture.
const MAX_SIDE: usize = 1 << 15;

/// A decoded picture with interleaved channels: `[height, width, channels]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// 1 (greyscale) or 3 (RGB).
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Pixels per row.
    pub width: usize,
    /// All values.
    pub values: Vec<u8>,
}

/// Reads a PNG or JPEG file.
///
/// # Errors
/// If it is neither, is damaged, or declares too large a size.
pub fn read(path: &Path) -> Result<Picture, DataError> {
    let io = |e: std::io::Error| DataError::Io { path: path.into(), reason: e.to_string() };
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > MAX_FILE {
        return Err(bad(path, format!("the file has {size} bytes, a picture at most {MAX_FILE}")));
    }
    let bytes = std::fs::read(path).map_err(io)?;
    // The decoders may panic on malicious files; that must not reach the user as a panic.
    let decoded = std::panic::catch_unwind(|| match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => decode_png(&bytes),
        [0xff, 0xd8, 0xff, ..] => decode_jpeg(&bytes),
        _ => Err("it is not a PNG or JPEG file; remove it, or convert it to one of these".into()),
    });
    let decoded = decoded.unwrap_or_else(|_| Err("the file is damaged".into()));
    decoded.map_err(|reason| bad(path, reason))
}

/// Rejects a declared size before anything is allocated for it.
fn check_size(width: usize, height: usize) -> Result<(), String> {
    let bounded = width <= MAX_SIDE && height <= MAX_SIDE && width * height <= MAX_PIXELS;
    if bounded && width > 0 && height > 0 {
        return Ok(());
    }
    Err(format!(
        "it declares {width} x {height} pixels; pictures of 1 to {MAX_PIXELS} pixels and sides of at most \
         {MAX_SIDE} are read"
    ))
}

fn decode_png(bytes: &[u8]) -> Result<Picture, String> {
    let damaged = |e: png::DecodingError| format!("the PNG file is damaged: {e}");
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let info = decoder.read_header_info().map_err(damaged)?;
    check_size(info.width as usize, info.height as usize)?;
    let mut reader = decoder.read_info().map_err(damaged)?;
    let size = reader.output_buffer_size().ok_or("the PNG file is too large")?;
    if size > 4 * MAX_PIXELS {
        return Err(format!("its pixels take {size} bytes, at most {} are supported", 4 * MAX_PIXELS));
    }
    let mut values = vec![0; size];
    let frame = reader.next_frame(&mut values).map_err(damaged)?;
    // The rest of the file must be intact too.
    reader.finish().map_err(damaged)?;
    values.truncate(frame.buffer_size());
    let (width, height) = (frame.width as usize, frame.height as usize);
    let picture = |channels, values| Picture { channels, height, width, values };
    Ok(match frame.color_type {
        png::ColorType::Grayscale => picture(1, values),
        png::ColorType::GrayscaleAlpha => picture(1, without_alpha(&values, 1)),
        png::ColorType::Rgba => picture(3, without_alpha(&values, 3)),
        png::ColorType::Rgb | png::ColorType::Indexed => picture(3, values),
    })
}

fn without_alpha(values: &[u8], channels: usize) -> Vec<u8> {
    values.chunks_exact(channels + 1).flat_map(|pixel| &pixel[..channels]).copied().collect()
}

fn decode_jpeg(bytes: &[u8]) -> Result<Picture, String> {
    let options =
        DecoderOptions::default().set_max_width(MAX_SIDE).set_max_height(MAX_SIDE).set_strict_mode(true);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let damaged = |e: zune_jpeg::errors::DecodeErrors| format!("the JPEG file is damaged: {e:?}");
    decoder.decode_headers().map_err(damaged)?;
    let (width, height) = decoder.dimensions().ok_or("the JPEG file does not say its size")?;
    check_size(width, height)?;
    let is_grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let colours = if is_grey { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(colours));
    let values = decoder.decode().map_err(damaged)?;
    let channels = if is_grey { 1 } else { 3 };
    if values.len() != width * height * channels {
        return Err(format!("the JPEG file gives {} values for {width} x {height} pixels", values.len()));
    }
    Ok(Picture { channels, height, width, values })
}

impl Picture {
    /// The picture's shape.
    pub fn shape(&self) -> ImageShape {
        ImageShape { channels: self.channels, height: self.height, width: self.width }
    }

    /// The picture's values in the order `[channels, height, width]`, converted to greyscale or RGB and
    /// resized to `shape`, which has 1 or 3 channels.
    pub fn fitted(&self, shape: ImageShape) -> Vec<u8> {
        let mut planes = self.planes(shape.channels);
        if (self.height, self.width) != (shape.height, shape.width) {
            for plane in &mut planes {
                *plane = resize(plane, [self.height, self.width], [shape.height, shape.width]);
            }
        }
        planes.concat()
    }

    fn planes(&self, channels: usize) -> Vec<Vec<u8>> {
        let pixels = || self.values.chunks_exact(self.channels);
        if self.channels == 3 && channels == 1 {
            // Luma of ITU-R BT.601.
            let luma = |p: &[u8]| {
                (299 * u32::from(p[0]) + 587 * u32::from(p[1]) + 114 * u32::from(p[2]) + 500) / 1000
            };
            return vec![pixels().map(|p| luma(p) as u8).collect()];
        }
        (0..channels).map(|c| pixels().map(|p| p[c % self.channels]).collect()).collect()
    }
}

/// Resizes a plane with a triangle filter as wide as an output pixel or an input pixel, whichever is wider:
/// bilinear interpolation that does not skip pixels when downsampling.
fn resize(plane: &[u8], [height, width]: [usize; 2], [to_height, to_width]: [usize; 2]) -> Vec<u8> {
    let (across, down) = (weights(width, to_width), weights(height, to_height));
    let mut rows = vec![0f32; height * to_width];
    for (row, out) in plane.chunks_exact(width).zip(rows.chunks_exact_mut(to_width)) {
        for ((first, weights), out) in across.iter().zip(out) {
            *out = weights.iter().zip(&row[*first..]).map(|(w, &x)| w * f32::from(x)).sum();
        }
    }
    let mut out = vec![0u8; to_height * to_width];
    for ((first, weights), out) in down.iter().zip(out.chunks_exact_mut(to_width)) {
        for (column, out) in out.iter_mut().enumerate() {
            let at = |k: usize| rows[(first + k) * to_width + column];
            let sum: f32 = weights.iter().enumerate().map(|(k, w)| w * at(k)).sum();
            *out = (sum + 0.5).clamp(0.0, 255.0) as u8;
        }
    }
    out
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
        assert_eq!(resize(&[7; 30], [5, 6], [11, 3]), vec![7; 33]);
        // Halving: a triangle over four pixels, truncated at the edge: (3 * 0 + 3 * 100 + 1 * 200) / 7, and
        // its mirror.
        let halved = resize(&[0, 100, 200, 44], [1, 4], [1, 2]);
        assert_eq!(halved, [71, 119]);
        // Doubling interpolates between pixel centres.
        assert_eq!(resize(&[0, 100], [1, 2], [1, 4]), [0, 25, 75, 100]);
    }

    #[test]
    fn colours_become_grey_by_their_brightness_and_grey_becomes_colours() {
        let picture = Picture { channels: 3, height: 1, width: 2, values: vec![255, 0, 0, 10, 20, 30] };
        assert_eq!(picture.fitted(ImageShape { channels: 1, height: 1, width: 2 }), [76, 18]);
        assert_eq!(picture.fitted(picture.shape()), [255, 10, 0, 20, 0, 30]);
        let grey = Picture { channels: 1, height: 1, width: 2, values: vec![3, 4] };
        assert_eq!(grey.fitted(ImageShape { channels: 3, height: 1, width: 2 }), [3, 4, 3, 4, 3, 4]);
    }
}
