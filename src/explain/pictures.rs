//! Where in a picture a prediction comes from: maps with one number for each pixel.
//!
//! - Saliency: the size of the gradient (Simonyan, Vedaldi, Zisserman 2013), the largest over the channels.
//! - SmoothGrad: the mean gradient under noise (Smilkov et al. 2017), its size as above.
//! - Grad-CAM: the last convolution's channels, weighted by their mean gradients (Selvaraju et al. 2017).
//! - Occlusion: how much the prediction falls when a patch is black (Zeiler, Fergus 2014).

use super::network::{Given, Network, Wanted};
use super::points::{Points, words};
use super::response::Response;
use crate::base::image::ImageShape;
use crate::base::rng::{self, RandomKind, streams};
use crate::base::step::StepRecord;
use crate::train::TrainError;

/// Standard deviation of SmoothGrad's noise, as a part of the picture's range.
pub const NOISE: f64 = 0.15;
/// Noisy pictures of each row.
pub const NOISY: usize = 32;

/// The gradient of what `response` explains of each row, `[rows, channels * height * width]`.
///
/// # Errors
/// If the device fails.
pub fn gradient(network: &Network, points: &Points, response: &Response) -> Result<Vec<f32>, TrainError> {
    let mut probe = network.probe(Wanted::Gradient, points.count)?;
    let raw = probe.run(&points.x, Given::default())?.swap_remove(0);
    let focus = response.focus(&raw, points.count, None);
    let mut results = probe.run(&points.x, Given { selector: &focus.weights, ..Given::default() })?;
    Ok(probe.gradient(&mut results, 1))
}

/// The largest size over the channels, `[rows, height * width]`.
pub fn largest(values: &[f32], shape: ImageShape) -> Vec<f64> {
    let plane = shape.plane();
    let pixel = |picture: &[f32], at: usize| {
        (0..shape.channels).map(|c| f64::from(picture[c * plane + at].abs())).fold(0.0, f64::max)
    };
    let pictures = values.chunks(shape.values());
    pictures.flat_map(|picture| (0..plane).map(|at| pixel(picture, at)).collect::<Vec<_>>()).collect()
}

/// The sum over the channels, `[rows, height * width]`.
pub fn total(values: &[f64], shape: ImageShape) -> Vec<f64> {
    let plane = shape.plane();
    let pixel =
        |picture: &[f64], at: usize| (0..shape.channels).map(|c| picture[c * plane + at]).sum::<f64>();
    let pictures = values.chunks(shape.values());
    pictures.flat_map(|picture| (0..plane).map(|at| pixel(picture, at)).collect::<Vec<_>>()).collect()
}

/// Saliency of each row, `[rows, height * width]`.
///
/// # Errors
/// If the device fails.
pub fn saliency(
    network: &Network,
    points: &Points,
    shape: ImageShape,
    response: &Response,
) -> Result<Vec<f64>, TrainError> {
    Ok(largest(&gradient(network, points, response)?, shape))
}

/// SmoothGrad of each row, `[rows, height * width]`; `range` are the smallest and the largest number of each
/// channel.
///
/// # Errors
/// If the device fails.
pub fn smooth_grad(
    network: &Network,
    points: &Points,
    shape: ImageShape,
    range: &[[f32; 2]],
    response: &Response,
    seed: u64,
) -> Result<Vec<f64>, TrainError> {
    let mut probe = network.probe(Wanted::Gradient, points.count)?;
    let raw = probe.run(&points.x, Given::default())?.swap_remove(0);
    let focus = response.focus(&raw, points.count, None);
    let [seed_low, seed_high] = words(seed);
    let mut sums = vec![0.0f32; points.x.len()];
    let mut noise = vec![0.0; points.x.len()];
    for draw in 0..NOISY {
        let step = StepRecord { step: draw as u32, seed_low, seed_high, ..StepRecord::default() };
        rng::fill(RandomKind::Normal, &step, streams::EXPLAIN, 0, &mut noise);
        let noisy = |(at, (x, e)): (usize, (&f32, &f32))| {
            let [low, high] = range.get(at % shape.values() / shape.plane()).copied().unwrap_or([0.0, 1.0]);
            x + e * (NOISE as f32) * (high - low)
        };
        let x: Vec<f32> = points.x.iter().zip(&noise).enumerate().map(noisy).collect();
        let mut results = probe.run(&x, Given { selector: &focus.weights, ..Given::default() })?;
        let gradient = probe.gradient(&mut results, 1);
        sums.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g / NOISY as f32);
    }
    Ok(largest(&sums, shape))
}

/// Grad-CAM of each row, `[rows, height * width]`: `max(0, sum_k a_k A_k)` over the channels `A_k` of the
/// last convolution's result, where `a_k` is the mean gradient over channel `k`; enlarged to the size of the
/// picture.
///
/// # Errors
/// If the model has no convolution, or the device fails.
pub fn grad_cam(
    network: &Network,
    points: &Points,
    shape: ImageShape,
    response: &Response,
) -> Result<Vec<f64>, TrainError> {
    let raw = network.probe(Wanted::Outputs, points.count)?.run(&points.x, Given::default())?.swap_remove(0);
    let focus = response.focus(&raw, points.count, None);
    let maps = class_maps(network, points, &focus.weights)?;
    let enlarged = maps.values.chunks(maps.height * maps.width);
    Ok(enlarged
        .flat_map(|map| enlarge(map, [maps.height, maps.width], [shape.height, shape.width]))
        .collect())
}

/// Class activation maps before they are enlarged.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassMaps {
    /// Height of the convolution's result.
    pub height: usize,
    /// Its width.
    pub width: usize,
    /// `[rows, height, width]`
    pub values: Vec<f64>,
}

/// Grad-CAM of the weighted sum of outputs (`weights` `[rows, outputs]`), at the size of the convolution's
/// result.
///
/// # Errors
/// If the model has no convolution, or the device fails.
pub fn class_maps(network: &Network, points: &Points, weights: &[f32]) -> Result<ClassMaps, TrainError> {
    let mut probe = network.probe(Wanted::Activations, points.count)?;
    let [height, width, channels] = network.map_shape()?;
    let results = probe.run(&points.x, Given { selector: weights, ..Given::default() })?;
    let (plane, each) = (height * width, height * width * channels);
    let mut values = vec![];
    for (activations, gradients) in results[0].chunks(each).zip(results[1].chunks(each)) {
        let mean = |c: usize| {
            gradients.iter().skip(c).step_by(channels).map(|&g| f64::from(g)).sum::<f64>() / plane as f64
        };
        let means: Vec<f64> = (0..channels).map(mean).collect();
        let sum = |pixel: &[f32]| pixel.iter().zip(&means).map(|(a, m)| f64::from(*a) * m).sum::<f64>();
        values.extend(activations.chunks(channels).map(|pixel| sum(pixel).max(0.0)));
    }
    Ok(ClassMaps { height, width, values })
}

/// A map in another size, bilinear between the centres of its pixels.
fn enlarge(map: &[f64], [height, width]: [usize; 2], [high, wide]: [usize; 2]) -> Vec<f64> {
    let place = |at: usize, from: usize, to: usize| {
        let x = ((at as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, from as f64 - 1.0);
        let low = x.floor() as usize;
        (low, (low + 1).min(from - 1), x - x.floor())
    };
    let pixel = |row: usize, column: usize| {
        let ((top, bottom, down), (left, right, across)) =
            (place(row, height, high), place(column, width, wide));
        let between =
            |row: usize| (1.0 - across) * map[row * width + left] + across * map[row * width + right];
        (1.0 - down) * between(top) + down * between(bottom)
    };
    (0..high).flat_map(|row| (0..wide).map(move |column| (row, column))).map(|(r, c)| pixel(r, c)).collect()
}

/// Occlusion of each row, `[rows, height * width]`: of each pixel, the mean fall of the explained prediction
/// over the patches that cover it; `black` is a black picture.
///
/// # Errors
/// If the device fails.
pub fn occlusion(
    network: &Network,
    points: &Points,
    shape: ImageShape,
    black: &[f32],
    response: &Response,
) -> Result<Vec<f64>, TrainError> {
    let mut probe = network.probe(Wanted::Outputs, points.count)?;
    let raw = probe.run(&points.x, Given::default())?.swap_remove(0);
    let values = response.of(raw, points.count);
    let chosen = response.chosen(&values);
    let before = response.pick(&values, chosen.iter().copied());
    let side = (shape.height.min(shape.width).div_ceil(6)).max(2);
    let stride = (side / 2).max(1);
    let starts = |extent: usize| -> Vec<usize> {
        let last = extent.saturating_sub(side);
        (0..last).step_by(stride).chain([last]).collect()
    };
    let (mut sums, mut counts) =
        (vec![0.0; points.count * shape.plane()], vec![0.0f64; points.count * shape.plane()]);
    for &top in &starts(shape.height) {
        for &left in &starts(shape.width) {
            let rows = top..(top + side).min(shape.height);
            let places: Vec<usize> = rows
                .flat_map(|row| (left..(left + side).min(shape.width)).map(move |c| row * shape.width + c))
                .collect();
            let mut x = points.x.clone();
            for picture in x.chunks_mut(shape.values()) {
                for channel in 0..shape.channels {
                    for &place in &places {
                        let at = channel * shape.plane() + place;
                        picture[at] = black[at];
                    }
                }
            }
            let raw = probe.run(&x, Given::default())?.swap_remove(0);
            let after = response.pick(&response.of(raw, points.count), chosen.iter().copied());
            for (row, (before, after)) in before.iter().zip(&after).enumerate() {
                for &place in &places {
                    sums[row * shape.plane() + place] += before - after;
                    counts[row * shape.plane() + place] += 1.0;
                }
            }
        }
    }
    Ok(sums.iter().zip(&counts).map(|(sum, count)| sum / count.max(1.0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enlarging_keeps_corners_and_means_between() {
        // PyTorch's `interpolate(mode="bilinear", align_corners=False)`.
        let enlarged = enlarge(&[0.0, 1.0, 2.0, 3.0], [2, 2], [4, 4]);
        assert_eq!(enlarged[0], 0.0);
        assert_eq!(enlarged[15], 3.0);
        assert_eq!(enlarged[1], 0.25);
        assert_eq!(enlarged[5], 0.75);
        assert_eq!(enlarge(&[7.0], [1, 1], [2, 3]), [7.0; 6]);
    }
}
