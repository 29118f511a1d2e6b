//! The report's figures of predictions for pixels: images with what they should become and what they became.

use std::fmt::Write;

use super::scores;
use crate::data::{FittedImage, FittedPixels};
use crate::report::picture::{img, picture};
use crate::report::svg::escape;
use crate::tasks::Shown;
use crate::train::metrics::of_confusion;

/// Number of images shown.
const SHOWN: usize = 12;
/// Colours of classes, after Okabe and Ito, which people with colour blindness tell apart.
const COLOURS: [[u8; 3]; 8] = [
    [0, 0, 0],
    [230, 159, 0],
    [86, 180, 233],
    [0, 158, 115],
    [240, 228, 66],
    [0, 114, 178],
    [213, 94, 0],
    [204, 121, 167],
];

/// The colour of a class.
fn colour(label: usize) -> [u8; 3] {
    let [r, g, b] = COLOURS[label % COLOURS.len()];
    // Further classes have the same ones, lighter and lighter.
    let lighter = |x: u8| x + ((255 - u32::from(x)) * (label / COLOURS.len()) as u32 / 34).min(200) as u8;
    [lighter(r), lighter(g), lighter(b)]
}

/// Labels as an image in the colours of their classes.
fn coloured(labels: impl Iterator<Item = usize> + Clone, height: usize, width: usize) -> String {
    let values: Vec<u8> = (0..3).flat_map(|c| labels.clone().map(move |label| colour(label)[c])).collect();
    img(&values, [3, height, width])
}

/// Images, what they should become, and what was predicted.
pub fn examples(image: &FittedImage, pixels: &FittedPixels, shown: &Shown) -> String {
    let Shown { rows, predictions, .. } = *shown;
    let shape = pixels.shape;
    let of_values =
        FittedImage { shape, scaling: pixels.scaling.clone(), range: pixels.range, ..image.clone() };
    let (outputs, targets) = (predictions.outputs.max(1), pixels.count());
    let mut html = String::new();
    for row in 0..rows.rows.min(SHOWN) {
        let x = rows.features_of(row..row + 1);
        let (Some(raw), Some(truth)) = (
            predictions.raw.get(row * outputs..(row + 1) * outputs),
            predictions.truth.get(row * targets..(row + 1) * targets),
        ) else {
            break;
        };
        let [wanted, found] = if pixels.classes.is_empty() {
            let truth: Vec<f32> = truth.iter().map(|&y| y as f32).collect();
            [picture(&of_values, &truth), picture(&of_values, raw)]
        } else {
            let labels: Vec<usize> = scores::labels(pixels, raw).collect();
            [
                coloured(truth.iter().map(|&label| label as usize), shape.height, shape.width),
                coloured(labels.iter().copied(), shape.height, shape.width),
            ]
        };
        let name = rows.row_names.get(row).map_or_else(|| format!("row {}", row + 1), |name| escape(name));
        let _ = writeln!(
            html,
            "<div title=\"{name}\">{}{wanted}{found}<span>{name}</span></div>",
            picture(image, &x)
        );
    }
    let read = if pixels.noise > 0.0 { "The image with noise" } else { "The image" };
    format!(
        "<figure><figcaption>{read}, what it should become, and what was predicted, of the first {} \
         images</figcaption>\n<div class=\"images triples\">\n{html}</div></figure>\n",
        rows.rows.min(SHOWN)
    )
}

/// The colour of each class, how many pixels it has, and how well they are found.
pub fn classes(pixels: &FittedPixels, confusion: &[Vec<usize>]) -> String {
    let scores = of_confusion(confusion);
    let mut rows = String::new();
    for (label, (class, score)) in pixels.classes.iter().zip(&scores).enumerate() {
        let [r, g, b] = colour(label);
        let part = |x: f64| if x.is_finite() { format!("{:.1} %", 100.0 * x) } else { "–".into() };
        let iou = scores::iou(confusion, label).unwrap_or(f64::NAN);
        let _ = writeln!(
            rows,
            "<tr><td><span style=\"display:inline-block;width:1em;height:1em;background:rgb({r},{g},{b})\"></span> \
             {}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&class.name),
            score.samples,
            part(score.precision.0),
            part(score.recall.0),
            part(iou)
        );
    }
    format!(
        "<table>\n<tr><th>class</th><th>pixels</th><th>precision</th><th>recall</th><th>intersection over \
         union</th></tr>\n{rows}</table>\n"
    )
}
