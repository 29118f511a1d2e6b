//! Noise of sensors.

use super::Draws;
use crate::base::image::ImageShape;

/// Normal noise, whose standard deviation depends on the shade.
pub fn normal(shades: &[f64], draws: &Draws, deviation: impl Fn(f64) -> f64) -> Vec<f64> {
    let noise = draws.normal(shades.len());
    shades.iter().zip(noise).map(|(&x, e)| (x + deviation(x) * e).clamp(0.0, 1.0)).collect()
}

/// A part of the pixels black, as large a part white; all channels of a pixel are hit together.
pub fn impulses(shades: &[f64], shape: ImageShape, draws: &Draws, part: f64) -> Vec<f64> {
    let hits = draws.uniform(shades.len() / shape.channels.max(1));
    let of = |at: usize| {
        let (picture, place) = (at / shape.values(), at % shape.plane());
        hits[picture * shape.plane() + place]
    };
    let corrupted = |(at, &x): (usize, &f64)| match of(at) {
        hit if hit < part / 2.0 => 0.0,
        hit if hit < part => 1.0,
        _ => x,
    };
    shades.iter().enumerate().map(corrupted).collect()
}
