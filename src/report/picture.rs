//! Images as HTML elements.

use crate::data::FittedImage;

/// What PNG files say of the program that made them.
pub const SOFTWARE: &str = "Gridlight";

/// An image before scaling; black and white are the smallest and largest training values.
pub fn picture(image: &FittedImage, x: &[f32]) -> String {
    let [low, high] = image.range;
    let plane = image.shape.plane().max(1);
    let byte = |(at, &x): (usize, &f32)| {
        let value = image.scaling.get(at / plane).map_or(f64::from(x), |s| s.invert(f64::from(x)));
        (255.0 * (value - low) / (high - low).max(1e-300)).round().clamp(0.0, 255.0) as u8
    };
    let values: Vec<u8> = x.iter().enumerate().map(byte).collect();
    img(&values, [image.shape.channels, image.shape.height, image.shape.width])
}

/// An `img` element of values `[channels, height, width]`: RGB with three channels, else the first in
/// greyscale.
pub fn img(values: &[u8], [channels, height, width]: [usize; 3]) -> String {
    embedded(&png(values, [channels, height, width]).unwrap_or_default())
}

/// The PNG file of values `[channels, height, width]`: RGB with three channels, else the first in greyscale.
///
/// # Errors
/// If there are no pixels.
pub fn png(values: &[u8], [channels, height, width]: [usize; 3]) -> Result<Vec<u8>, png::EncodingError> {
    let plane = height * width;
    let shown = if channels == 3 { 3 } else { 1 };
    let pixels: Vec<u8> = (0..plane).flat_map(|p| (0..shown).map(move |c| values[c * plane + p])).collect();
    png_bytes(&pixels, shown, height, width)
}

/// An `img` element that embeds its PNG.
pub fn embedded(png: &[u8]) -> String {
    format!("<img alt=\"\" src=\"data:image/png;base64,{}\">", base64(png))
}

/// The PNG file of values `[channels, height, width]` of 16 bits, the nearest to these numbers.
///
/// # Errors
/// If there are no pixels.
pub fn png_of_16_bits(
    values: &[f32],
    [channels, height, width]: [usize; 3],
) -> Result<Vec<u8>, png::EncodingError> {
    let plane = height * width;
    let shown = if channels == 3 { 3 } else { 1 };
    let value = |x: f32| (x.round().clamp(0.0, 65_535.0) as u16).to_be_bytes();
    let pixels = (0..plane).flat_map(|p| (0..shown).flat_map(move |c| value(values[c * plane + p])));
    encoded(&pixels.collect::<Vec<u8>>(), shown, height, width, png::BitDepth::Sixteen)
}

pub(super) fn png_bytes(
    pixels: &[u8],
    channels: usize,
    height: usize,
    width: usize,
) -> Result<Vec<u8>, png::EncodingError> {
    encoded(pixels, channels, height, width, png::BitDepth::Eight)
}

fn encoded(
    pixels: &[u8],
    channels: usize,
    height: usize,
    width: usize,
    depth: png::BitDepth,
) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = vec![];
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(if channels == 3 { png::ColorType::Rgb } else { png::ColorType::Grayscale });
    encoder.set_depth(depth);
    encoder.add_text_chunk("Software".into(), SOFTWARE.into())?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

/// Base64 (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |w, &b| w << 8 | u32::from(b)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let index = (word >> (18 - 6 * digit) & 63) as usize;
            text.push(if digit <= chunk.len() { char::from(DIGITS[index]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
