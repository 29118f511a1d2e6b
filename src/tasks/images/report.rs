//! The report's image figures: a classifier's most confident mistakes, and the filters of its first
//! convolution.

use std::fmt::Write;

use crate::base::order::Order;
use crate::data::FittedImage;
use crate::report::picture::{img, picture};
use crate::report::svg::escape;
use crate::tasks::Shown;
use crate::train::checkpoint::NamedTensor;
use crate::train::metrics::decide;

/// Number of mistakes shown.
const MISTAKES: usize = 18;
/// Number of filters shown.
const FILTERS: usize = 64;

/// The most confident wrong predictions, with true and predicted class.
pub(super) fn mistakes(
    image: &FittedImage,
    shown: &Shown,
    names: &[String],
    threshold: Option<f64>,
) -> String {
    let Shown { rows, predictions, .. } = *shown;
    let mut wrong: Vec<(f64, usize, usize, usize)> = vec![];
    for (row, (p, &truth)) in predictions.probabilities().iter().zip(&predictions.truth).enumerate() {
        let (predicted, truth) = (decide(p, threshold), truth as usize);
        if predicted != truth && truth < names.len() {
            wrong.push((p[predicted], row, truth, predicted));
        }
    }
    wrong.order_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let total = wrong.len();
    wrong.truncate(MISTAKES);
    let mut html = String::new();
    for (sure, row, truth, predicted) in wrong {
        let x = rows.features_of(row..row + 1);
        if x.len() != image.shape.values() {
            continue;
        }
        let picture = picture(image, &x);
        let (truth, predicted) = (escape(&names[truth]), escape(&names[predicted]));
        let number = || format!("row {}", rows.source_rows.get(row).copied().unwrap_or(row));
        let source = rows.row_names.get(row).map_or_else(number, |name| escape(name));
        let _ = writeln!(
            html,
            "<div title=\"{source}\">{picture}<span><b>{predicted}</b> {:.0} %<br>is \
             {truth}</span></div>",
            100.0 * sure
        );
    }
    if html.is_empty() {
        return html;
    }
    format!(
        "<figure><figcaption>The most confident of {total} mistakes: predicted class and its probability, \
         true class</figcaption>\n<div class=\"images\">\n{html}</div></figure>\n"
    )
}

/// The weights of the first convolution: black is the most negative, white the most positive, grey is 0.
pub(in crate::tasks) fn filters(weights: &[NamedTensor], image: &FittedImage) -> String {
    let first = weights.iter().find(|(_, shape, _)| shape.len() == 4);
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
        "<figure><figcaption>Filters of the first convolution (<code>{}</code>{shown}): grey is 0, white \
         positive, black negative</figcaption>\n<div class=\"images small\">\n{html}</div></figure>\n",
        escape(name)
    )
}
