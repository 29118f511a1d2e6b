//! The report's images: the most confident mistakes of a classifier, and the filters of its first convolution.

use std::fmt::Write;

use super::Report;
use super::svg::escape;
use crate::data::{Dataset, FittedImage, FittedTarget};
use crate::train::metrics::{Predictions, argmax};

/// Mistakes shown.
const MISTAKES: usize = 18;
/// Filters shown.
const FILTERS: usize = 64;

/// Mistakes and filters, where rows are images; else nothing.
pub fn section(report: &Report) -> String {
    let Some(image) = &report.data.fitted.image else { return String::new() };
    let rows = if report.test.is_some() { &report.data.test } else { &report.data.validation };
    let html = match report.portrait {
        Some(_) => filters(report, image),
        None => mistakes(image, rows, report.shown().0, &report.data.fitted.target) + &filters(report, image),
    };
    if html.is_empty() { html } else { super::section("Images", &html) }
}

/// The images whose wrong class the model was surest of, with the true and the predicted class.
fn mistakes(image: &FittedImage, rows: &Dataset, predictions: &Predictions, target: &FittedTarget) -> String {
    let names: &[String] = match target {
        FittedTarget::Classes { names, .. } => names,
        FittedTarget::Binary { names, .. } => names,
        FittedTarget::Absent
        | FittedTarget::Number { .. }
        | FittedTarget::Numbers { .. }
        | FittedTarget::Text(_) => {
            return String::new();
        }
    };
    let mut wrong: Vec<(f64, usize, usize, usize)> = vec![];
    for (row, (p, &truth)) in predictions.probabilities().iter().zip(&predictions.truth).enumerate() {
        let (predicted, truth) = (argmax(p), truth as usize);
        if predicted != truth && truth < names.len() {
            wrong.push((p[predicted], row, truth, predicted));
        }
    }
    wrong.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let total = wrong.len();
    wrong.truncate(MISTAKES);
    let values = image.shape.values();
    let mut html = String::new();
    for (sure, row, truth, predicted) in wrong {
        let Some(x) = rows.x.get(row * values..(row + 1) * values) else { continue };
        let picture = picture(image, x);
        let (truth, predicted) = (escape(&names[truth]), escape(&names[predicted]));
        let source = rows.source_rows.get(row).copied().unwrap_or(row);
        let _ = writeln!(
            html,
            "<div title=\"row {source}\">{picture}<span><b>{predicted}</b> {:.0} %<br>is {truth}</span></div>",
            100.0 * sure
        );
    }
    if html.is_empty() {
        return html;
    }
    format!(
        "<figure><figcaption>The most confident of {total} mistakes: predicted class and its probability, true class\
         </figcaption>\n<div class=\"images\">\n{html}</div></figure>\n"
    )
}

/// An image as it was before scaling, black and white being the least and largest training values.
pub(super) fn picture(image: &FittedImage, x: &[f32]) -> String {
    let [low, high] = image.range;
    let plane = image.shape.plane().max(1);
    let byte = |(at, &x): (usize, &f32)| {
        let value = image.scaling.get(at / plane).map_or(f64::from(x), |s| s.invert(f64::from(x)));
        (255.0 * (value - low) / (high - low).max(1e-300)).round().clamp(0.0, 255.0) as u8
    };
    let values: Vec<u8> = x.iter().enumerate().map(byte).collect();
    img(&values, [image.shape.channels, image.shape.height, image.shape.width])
}

/// The weights of the first convolution: black is the most negative, white the most positive, grey is 0.
fn filters(report: &Report, image: &FittedImage) -> String {
    let first = report.weights.iter().find(|(_, shape, _)| shape.len() == 4);
    let Some((name, shape, weights)) = first.filter(|w| w.1[1] == image.shape.channels) else {
        return String::new();
    };
    let &[count, channels, height, width] = shape.as_slice() else { return String::new() };
    let largest = weights.iter().fold(1e-30f32, |a, w| a.max(w.abs()));
    let mut html = String::new();
    for filter in weights.chunks_exact(channels * height * width).take(FILTERS) {
        let byte = |w: &f32| (127.5 * (1.0 + w / largest)).round().clamp(0.0, 255.0) as u8;
        let values: Vec<u8> = filter.iter().map(byte).collect();
        let _ = writeln!(html, "<div>{}</div>", img(&values, [channels, height, width]));
    }
    let shown = if count > FILTERS { format!(", the first {FILTERS} of {count}") } else { String::new() };
    format!(
        "<figure><figcaption>Filters of the first convolution (<code>{}</code>{shown}): grey is 0, white positive, \
         black negative</figcaption>\n<div class=\"images small\">\n{html}</div></figure>\n",
        escape(name)
    )
}

/// An `img` element of values `[channels, height, width]`: in colour with three channels, else the first in grey.
fn img(values: &[u8], [channels, height, width]: [usize; 3]) -> String {
    let plane = height * width;
    let shown = if channels == 3 { 3 } else { 1 };
    let pixels: Vec<u8> = (0..plane).flat_map(|p| (0..shown).map(move |c| values[c * plane + p])).collect();
    embedded(&png_bytes(&pixels, shown, height, width).unwrap_or_default())
}

/// An `img` element that holds its PNG.
pub(super) fn embedded(png: &[u8]) -> String {
    format!("<img alt=\"\" src=\"data:image/png;base64,{}\">", base64(png))
}

pub(super) fn png_bytes(
    pixels: &[u8],
    channels: usize,
    height: usize,
    width: usize,
) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = vec![];
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(if channels == 3 { png::ColorType::Rgb } else { png::ColorType::Grayscale });
    encoder.set_depth(png::BitDepth::Eight);
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
