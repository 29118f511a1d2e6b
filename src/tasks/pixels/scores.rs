//! Scores of predictions for pixels, and the pictures that they are.

use crate::data::{Dataset, FittedImage, FittedPixels, FittedScaling};
use crate::tasks::Picture;
use crate::train::metrics::{Metric, Predictions};

/// The label with the highest score; the first of equals.
fn likeliest(scores: &[f32]) -> usize {
    let mut best = 0;
    for (at, score) in scores.iter().enumerate() {
        if score.total_cmp(&scores[best]).is_gt() {
            best = at;
        }
    }
    best
}

/// The labels of the pixels of a row of scores.
pub fn labels<'r>(pixels: &FittedPixels, row: &'r [f32]) -> impl Iterator<Item = usize> + use<'r> {
    row.chunks(pixels.classes.len().max(1)).map(likeliest)
}

/// Pixels by true class (row) and predicted class (column).
pub fn confusion(pixels: &FittedPixels, predictions: &Predictions) -> Vec<Vec<usize>> {
    let classes = pixels.classes.len();
    let mut cells = vec![vec![0; classes]; classes];
    for (label, truth) in labels(pixels, &predictions.raw).zip(&predictions.truth) {
        if let Some(cell) = cells.get_mut(*truth as usize).and_then(|row| row.get_mut(label)) {
            *cell += 1;
        }
    }
    cells
}

/// Accuracy of pixels, and the intersection over union of true and predicted pixels, the mean over the classes that
/// there are among either.
pub fn of_classes(confusion: &[Vec<usize>]) -> Vec<Metric> {
    let all: usize = confusion.iter().flatten().sum();
    let right: usize = (0..confusion.len()).map(|c| confusion[c][c]).sum();
    let ious: Vec<f64> = (0..confusion.len()).filter_map(|class| iou(confusion, class)).collect();
    let mean = ious.iter().sum::<f64>() / ious.len().max(1) as f64;
    let accuracy = right as f64 / all.max(1) as f64;
    vec![Metric { name: "accuracy", value: accuracy }, Metric { name: "mean_iou", value: mean }]
}

/// Intersection over union of a class; none if it is nowhere.
pub fn iou(confusion: &[Vec<usize>], class: usize) -> Option<f64> {
    let both = confusion[class][class];
    let actual: usize = confusion[class].iter().sum();
    let predicted: usize = confusion.iter().map(|row| row[class]).sum();
    let either = actual + predicted - both;
    (either > 0).then(|| both as f64 / either as f64)
}

/// Inverts the scaling of values `[C, H W]`, one image after the other.
fn own_units(pixels: &FittedPixels, values: impl Iterator<Item = f64>) -> impl Iterator<Item = f64> {
    let (plane, all) = (pixels.shape.plane().max(1), pixels.shape.values().max(1));
    values.enumerate().map(move |(at, x)| {
        pixels.scaling.get(at % all / plane).map_or(x, |scaling: &FittedScaling| scaling.invert(x))
    })
}

/// Mean absolute and root mean squared error in own units, and the peak signal-to-noise ratio in decibels, `20 log10(range /
/// rmse)` with the range of the values in training.
fn errors(
    pixels: &FittedPixels,
    predicted: impl Iterator<Item = f64>,
    truth: impl Iterator<Item = f64>,
) -> [f64; 3] {
    let (mut count, mut absolute, mut squared) = (0.0f64, 0.0, 0.0);
    for (p, y) in own_units(pixels, predicted).zip(own_units(pixels, truth)) {
        count += 1.0;
        absolute += (p - y).abs();
        squared += (p - y).powi(2);
    }
    let (mae, rmse) = (absolute / count.max(1.0), (squared / count.max(1.0)).sqrt());
    let range = pixels.range[1] - pixels.range[0];
    [mae, rmse, 20.0 * (range / rmse.max(f64::MIN_POSITIVE)).log10()]
}

/// Errors of predicted values.
pub fn of_values(pixels: &FittedPixels, predictions: &Predictions) -> Vec<Metric> {
    let predicted = predictions.raw.iter().map(|&x| f64::from(x));
    let [mae, rmse, psnr] = errors(pixels, predicted, predictions.truth.iter().copied());
    [("mae", mae), ("rmse", rmse), ("psnr", psnr)].map(|(name, value)| Metric { name, value }).to_vec()
}

/// Errors of the images that are read, taken as predictions; none if they have another shape than what is predicted.
pub fn of_inputs(
    image: &FittedImage,
    pixels: &FittedPixels,
    rows: &Dataset,
    predictions: &Predictions,
) -> Vec<(&'static str, f64)> {
    if image.shape != pixels.shape {
        return vec![];
    }
    let x = rows.features_of(0..rows.rows);
    // In the units of the image, then scaled as the target is.
    let plane = pixels.shape.plane().max(1);
    let scaled = |(at, x): (usize, f32)| {
        let channel = at % pixels.shape.values().max(1) / plane;
        pixels.scaling.get(channel).map_or(f64::from(x), |scaling| scaling.apply(f64::from(x)))
    };
    let inputs = image.own_units(&x).into_iter().enumerate().map(scaled).collect::<Vec<f64>>();
    let [mae, rmse, psnr] = errors(pixels, inputs.into_iter(), predictions.truth.iter().copied());
    vec![("baseline_input_mae", mae), ("baseline_input_rmse", rmse), ("baseline_input_psnr", psnr)]
}

/// The part of an image that is of each class.
pub fn shares(pixels: &FittedPixels, row: &[f32]) -> Vec<f64> {
    let mut counts = vec![0usize; pixels.classes.len()];
    labels(pixels, row).for_each(|label| counts[label] += 1);
    counts.into_iter().map(|count| count as f64 / pixels.shape.plane().max(1) as f64).collect()
}

/// Mean, least and most of an image's values in own units.
pub fn summary(pixels: &FittedPixels, row: &[f32]) -> [f64; 3] {
    let values: Vec<f64> = own_units(pixels, row.iter().map(|&x| f64::from(x))).collect();
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    [mean, least, most]
}

/// A prediction as the picture of a mask or of values, as those for training are; without a name.
pub fn picture(pixels: &FittedPixels, row: &[f32]) -> Picture {
    let (shape, kind, range) = (pixels.shape, pixels.values, pixels.range);
    if pixels.classes.is_empty() {
        let values = own_units(pixels, row.iter().map(|&x| f64::from(x))).map(|x| x as f32).collect();
        let shape = [shape.channels, shape.height, shape.width];
        return Picture { name: String::new(), shape, values, kind, range };
    }
    let channels = pixels.classes.first().map_or(1, |class| class.values.len());
    let found: Vec<usize> = labels(pixels, row).collect();
    let value = |label: usize, channel: usize| pixels.classes[label].values[channel] as f32;
    let values =
        (0..channels).flat_map(|channel| found.iter().map(move |&label| value(label, channel))).collect();
    Picture { name: String::new(), shape: [channels, shape.height, shape.width], values, kind, range }
}
