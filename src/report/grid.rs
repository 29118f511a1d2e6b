//! Tiles images into one picture.

use super::picture::png_bytes;
use crate::data::FittedImage;

/// Minimum side of the picture in pixels; small images are enlarged.
const SIDE: usize = 640;

/// A PNG of `values`, images `[count, C, H, W]` in their own units, tiled in a square and separated by lines.
pub fn png(image: &FittedImage, values: &[f32]) -> Vec<u8> {
    let count = values.len() / image.shape.values().max(1);
    png_of_rows(image, values, (1..=count).find(|n| n * n >= count).unwrap_or(1))
}

/// As [`png()`], with `across` images in a row.
pub fn png_of_rows(image: &FittedImage, values: &[f32], across: usize) -> Vec<u8> {
    let (shape, [low, high]) = (image.shape, image.range);
    let count = values.len() / shape.values().max(1);
    let down = count.div_ceil(across);
    let scale = (SIDE / (across * (shape.width + 1)).max(1)).max(1);
    let (height, width) = (scale * (down * (shape.height + 1) - 1), scale * (across * (shape.width + 1) - 1));
    let channels = if shape.channels == 3 { 3 } else { 1 };
    // Grey lines between the images.
    let mut pixels = vec![96u8; height * width * channels];
    for y in 0..height {
        for x in 0..width {
            let (row, column) = (y / scale, x / scale);
            let (inner_y, inner_x) = (row % (shape.height + 1), column % (shape.width + 1));
            let number = row / (shape.height + 1) * across + column / (shape.width + 1);
            if inner_y == shape.height || inner_x == shape.width || number >= count {
                continue;
            }
            for c in 0..channels {
                let at = number * shape.values() + c * shape.plane() + inner_y * shape.width + inner_x;
                let shade = 255.0 * (f64::from(values[at]) - low) / (high - low).max(1e-300);
                pixels[(y * width + x) * channels + c] = shade.round().clamp(0.0, 255.0) as u8;
            }
        }
    }
    png_bytes(&pixels, channels, height, width).unwrap_or_default()
}
