//! Maps laid over pictures.

use super::picture::png_bytes;
use crate::data::FittedImage;

/// Side of a picture in pixels at least; small ones are enlarged.
const SIDE: usize = 168;
/// Pixels between two pictures of one file.
const GAP: usize = 6;

/// A picture in colour: `[height, width, 3]`.
#[derive(Clone)]
pub struct Panel {
    pub height: usize,
    pub width: usize,
    pixels: Vec<u8>,
}

impl Panel {
    /// A picture as it was before scaling, enlarged.
    pub fn picture(image: &FittedImage, x: &[f32]) -> Self {
        Self::enlarged(image, &shades(image, x))
    }

    /// A picture in grey with a map over it: red where numbers are large, blue where they are far below 0.
    pub fn map(image: &FittedImage, x: &[f32], values: &[f64]) -> Self {
        let largest = robust_largest(values);
        let colours: Vec<[f64; 3]> = shades(image, x)
            .iter()
            .zip(values)
            .map(|(shade, &value)| {
                let grey = 0.12 + 0.6 * (shade.iter().sum::<f64>() / 3.0);
                let part = (value / largest).clamp(-1.0, 1.0);
                let strength = part.abs().powf(1.3);
                let colour = if part >= 0.0 { [1.0, 0.6 - 0.5 * strength, 0.1] } else { [0.1, 0.45, 1.0] };
                colour.map(|c| (1.0 - strength) * grey + strength * c)
            })
            .collect();
        Self::enlarged(image, &colours)
    }

    fn enlarged(image: &FittedImage, colours: &[[f64; 3]]) -> Self {
        let (high, wide) = (image.shape.height, image.shape.width);
        let scale = SIDE.div_ceil(high.max(wide).max(1)).max(1);
        let mut pixels = Vec::with_capacity(scale * scale * colours.len() * 3);
        for y in 0..high * scale {
            for x in 0..wide * scale {
                let colour = colours[y / scale * wide + x / scale];
                pixels.extend(colour.map(|c| (255.0 * c).round().clamp(0.0, 255.0) as u8));
            }
        }
        Self { height: high * scale, width: wide * scale, pixels }
    }

    /// As a PNG file.
    pub fn png(&self) -> Vec<u8> {
        png_bytes(&self.pixels, 3, self.height, self.width).unwrap_or_default()
    }

    /// Panels of the same size side by side, as a PNG file.
    pub fn row(panels: &[Self]) -> Vec<u8> {
        let Some(first) = panels.first() else { return vec![] };
        let width = panels.len() * (first.width + GAP) - GAP;
        let mut pixels = vec![128u8; 3 * width * first.height];
        for (number, panel) in panels.iter().enumerate() {
            for (y, line) in panel.pixels.chunks(3 * panel.width).enumerate() {
                let start = 3 * (y * width + number * (first.width + GAP));
                pixels[start..start + line.len()].copy_from_slice(line);
            }
        }
        png_bytes(&pixels, 3, first.height, width).unwrap_or_default()
    }
}

/// The colour of each pixel, from 0 to 1.
fn shades(image: &FittedImage, x: &[f32]) -> Vec<[f64; 3]> {
    let [low, high] = image.range;
    let (plane, channels) = (image.shape.plane(), image.shape.channels);
    let own = image.own_units(x);
    let shade = |channel: usize, at: usize| {
        ((f64::from(own[channel * plane + at]) - low) / (high - low).max(1e-300)).clamp(0.0, 1.0)
    };
    let colour = |at: usize| [0, 1, 2].map(|c| shade(if channels == 3 { c } else { 0 }, at));
    (0..plane).map(colour).collect()
}

/// The size that all but one in a hundred numbers stay below.
fn robust_largest(values: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = values.iter().map(|v| v.abs()).filter(|v| v.is_finite()).collect();
    sizes.sort_by(f64::total_cmp);
    let at = (0.99 * sizes.len().saturating_sub(1) as f64).ceil() as usize;
    sizes.get(at).copied().unwrap_or(0.0).max(1e-300)
}
