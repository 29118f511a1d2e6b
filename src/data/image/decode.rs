//! The decoders of pictures, within limits of size and memory: what a viewer would show becomes a [`Picture`].
//! The picture is turned as its EXIF data say, and transparent parts lie on white.

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::Pixels;
use super::array::bad;
use super::format::{Format, refusal};
use super::picture::Picture;
use crate::base::files;
use crate::data::DataError;

/// Larger files are rejected before they are read.
const MAX_FILE: u64 = 256 << 20;
/// Larger pictures are rejected before they are decoded.
const MAX_PIXELS: usize = 1 << 26;
/// Longest side of a picture.
const MAX_SIDE: usize = 1 << 15;
/// Largest memory of a decoded picture.
const MAX_BYTES: usize = 8 * MAX_PIXELS;
/// White.
const WHITE: f32 = 255.0;

/// Reads a picture of any [`Format`], which its content decides, not its name.
///
/// # Errors
/// If it is none, is damaged, or declares too large a size.
pub fn read(path: &Path) -> Result<Picture, DataError> {
    let io = |e: std::io::Error| DataError::Io { path: path.into(), reason: e.to_string() };
    let size = files::size(path).map_err(io)?;
    if size > MAX_FILE {
        return Err(bad(path, format!("the file has {size} bytes, a picture at most {MAX_FILE}")));
    }
    let bytes = files::read(path).map_err(io)?;
    let format = Format::of(&bytes).ok_or_else(|| bad(path, refusal(&bytes)))?;
    // The decoders may panic on malicious files; that must not reach the user as a panic.
    let decoded = std::panic::catch_unwind(|| {
        let (mut image, orientation) = match format {
            Format::Png => decode_png(&bytes)?,
            Format::Jpeg => decode_jpeg(&bytes)?,
            Format::WebP => decode_other(&bytes, ImageFormat::WebP)?,
            Format::Bmp => decode_other(&bytes, ImageFormat::Bmp)?,
            Format::Gif => decode_other(&bytes, ImageFormat::Gif)?,
            Format::Tiff => decode_other(&bytes, ImageFormat::Tiff)?,
        };
        image.apply_orientation(orientation.unwrap_or(Orientation::NoTransforms));
        shown(&image)
    });
    let decoded = decoded.unwrap_or_else(|_| Err(format!("the {} file is damaged", format.name())));
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

/// Rejects pictures that take too much memory.
fn check_bytes(bytes: usize) -> Result<(), String> {
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    Err(format!("its pixels take {bytes} bytes, at most {MAX_BYTES} are supported"))
}

/// A decoded picture, and how it is to be turned.
type Decoded = Result<(DynamicImage, Option<Orientation>), String>;

fn decode_png(bytes: &[u8]) -> Decoded {
    let damaged = |e: png::DecodingError| format!("the PNG file is damaged: {e}");
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::EXPAND);
    let info = decoder.read_header_info().map_err(damaged)?;
    check_size(info.width as usize, info.height as usize)?;
    let mut reader = decoder.read_info().map_err(damaged)?;
    let size = reader.output_buffer_size().ok_or("the PNG file is too large")?;
    check_bytes(size)?;
    let mut values = vec![0; size];
    let frame = reader.next_frame(&mut values).map_err(damaged)?;
    // The rest of the file must be intact too.
    reader.finish().map_err(damaged)?;
    values.truncate(frame.buffer_size());
    let orientation = reader.info().exif_metadata.as_deref().and_then(Orientation::from_exif_chunk);
    let (width, height, channels) = (frame.width, frame.height, frame.color_type.samples());
    let image = if frame.bit_depth == png::BitDepth::Sixteen {
        let deep = values.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        deep_image(channels, width, height, deep)
    } else {
        flat_image(channels, width, height, values)
    };
    Ok((image.ok_or("the PNG file is damaged: it does not hold all its pixels")?, orientation))
}

/// A picture of 8 bits a value, if there are as many values as it needs.
fn flat_image(channels: usize, width: u32, height: u32, values: Vec<u8>) -> Option<DynamicImage> {
    match channels {
        1 => image::GrayImage::from_raw(width, height, values).map(Into::into),
        2 => image::GrayAlphaImage::from_raw(width, height, values).map(Into::into),
        3 => image::RgbImage::from_raw(width, height, values).map(Into::into),
        _ => image::RgbaImage::from_raw(width, height, values).map(Into::into),
    }
}

/// A picture of 16 bits a value, if there are as many values as it needs.
fn deep_image(channels: usize, width: u32, height: u32, values: Vec<u16>) -> Option<DynamicImage> {
    use image::ImageBuffer;
    match channels {
        1 => ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageLuma16),
        2 => ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageLumaA16),
        3 => ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageRgb16),
        _ => ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageRgba16),
    }
}

fn decode_jpeg(bytes: &[u8]) -> Decoded {
    let options =
        DecoderOptions::default().set_max_width(MAX_SIDE).set_max_height(MAX_SIDE).set_strict_mode(true);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let damaged = |e: zune_jpeg::errors::DecodeErrors| format!("the JPEG file is damaged: {e:?}");
    decoder.decode_headers().map_err(damaged)?;
    let (width, height) = decoder.dimensions().ok_or("the JPEG file does not say its size")?;
    check_size(width, height)?;
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    let is_grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    // Four inks (CMYK and YCCK) are taken as Adobe stores them, inverted, as every viewer does.
    let (colours, channels) = if is_grey { (ColorSpace::Luma, 1) } else { (ColorSpace::RGB, 3) };
    decoder.set_options(options.jpeg_set_out_colorspace(colours));
    let values = decoder.decode().map_err(damaged)?;
    let found = values.len();
    let image = (found == width * height * channels)
        .then(|| flat_image(channels, width as u32, height as u32, values))
        .flatten();
    let wrong = || format!("the JPEG file gives {found} values for {width} x {height} pixels");
    Ok((image.ok_or_else(wrong)?, orientation))
}

fn decode_other(bytes: &[u8], format: ImageFormat) -> Decoded {
    let name = format.extensions_str()[0].to_uppercase();
    let damaged = |e: image::ImageError| match e {
        image::ImageError::Unsupported(e) => format!("this kind of {name} file is not read: {e}"),
        image::ImageError::Limits(e) => format!("the {name} file is too large: {e}"),
        e => format!("the {name} file is damaged: {e}"),
    };
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE as u32);
    limits.max_image_height = Some(MAX_SIDE as u32);
    limits.max_alloc = Some(MAX_BYTES as u64);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    check_size(width as usize, height as usize)?;
    check_bytes(decoder.total_bytes() as usize)?;
    let orientation = decoder.orientation().map_err(damaged)?;
    Ok((DynamicImage::from_decoder(decoder).map_err(damaged)?, Some(orientation)))
}

/// The picture as it is shown: transparent parts on white, in values from 0 to 255, with a fraction where
/// they are stored with more than 8 bits.
fn shown(image: &DynamicImage) -> Result<Picture, String> {
    let colours = image.color();
    let channels = if colours.has_color() { 3 } else { 1 };
    let stored = usize::from(colours.channel_count());
    let values = if usize::from(colours.bytes_per_pixel()) == stored {
        Pixels::Bytes(on_white(image.as_bytes(), channels, stored, |value, alpha| {
            let (value, alpha) = (u32::from(value), u32::from(alpha));
            ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
        }))
    } else {
        // 257 times a value of 8 bits is the same brightness in 16.
        let floats: Vec<f32> = match image {
            DynamicImage::ImageLuma16(i) => i.iter().map(|&x| f32::from(x) / 257.0).collect(),
            DynamicImage::ImageLumaA16(i) => i.iter().map(|&x| f32::from(x) / 257.0).collect(),
            DynamicImage::ImageRgb16(i) => i.iter().map(|&x| f32::from(x) / 257.0).collect(),
            DynamicImage::ImageRgba16(i) => i.iter().map(|&x| f32::from(x) / 257.0).collect(),
            DynamicImage::ImageRgb32F(i) => i.iter().map(|&x| x * WHITE).collect(),
            DynamicImage::ImageRgba32F(i) => i.iter().map(|&x| x * WHITE).collect(),
            _ => return Err(format!("pictures of {colours:?} are not read; save it with 8 or 16 bits")),
        };
        if let Some(value) = floats.iter().find(|x| !x.is_finite()) {
            return Err(format!("a pixel holds {value}, which is not a finite number"));
        }
        Pixels::Floats(on_white(&floats, channels, stored, |value, alpha| {
            let alpha = (alpha / WHITE).clamp(0.0, 1.0);
            value * alpha + WHITE * (1.0 - alpha)
        }))
    };
    Ok(Picture { channels, height: image.height() as usize, width: image.width() as usize, values })
}

/// Values without the last of `stored` channels, where it is one more than `channels`: that is how opaque
/// they are.
fn on_white<T: Copy>(values: &[T], channels: usize, stored: usize, mix: impl Fn(T, T) -> T) -> Vec<T> {
    if stored == channels {
        return values.to_vec();
    }
    let pixels = values.chunks_exact(stored);
    pixels.flat_map(|pixel| pixel[..channels].iter().map(|&value| mix(value, pixel[channels]))).collect()
}
