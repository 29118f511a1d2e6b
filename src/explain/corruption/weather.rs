//! Snow, frost and fog in front of the camera.

use super::{Draws, blur};
use crate::base::image::ImageShape;

/// A grey picture is brightened towards this by snow.
const SNOW_LIGHT: f64 = 0.5;
/// Flakes are where a normal number is above this: 5 % of the pixels, before they fall.
const FLAKE: f64 = 1.645;
/// How far flakes fall while the picture is taken, in pixels.
const FALL: f64 = 3.0;

/// Flakes that fall at a slant, over a picture whose contrast gives way to `strength`.
pub fn snow(picture: &[f64], shape: ImageShape, strength: f64, draws: &Draws) -> Vec<f64> {
    let drawn = draws.normal(shape.plane());
    let flakes: Vec<f64> = drawn.iter().map(|e| (e - FLAKE).clamp(0.0, 0.5) * 2.0).collect();
    let one = ImageShape { channels: 1, ..shape };
    let falling = blur::motion(&flakes, one, FALL, draws);
    // Several pixels share the light of a flake, which is white all the same.
    let most = falling.iter().copied().fold(0.0, f64::max);
    let by = if most > 0.0 { 2.0 * strength / most } else { 0.0 };
    over_all(picture, shape, |shade, place| {
        let lit = (1.0 - strength) * shade + strength * shade.max(SNOW_LIGHT);
        lit + falling[place] * by
    })
}

/// Bright crystals, along the ridges of a random field.
pub fn frost(picture: &[f64], shape: ImageShape, strength: f64, draws: &Draws) -> Vec<f64> {
    // Ridges are where the field passes its middle.
    let crystals: Vec<f64> = clouds(shape, draws).into_iter().map(|x| 1.0 - (2.0 * x - 1.0).abs()).collect();
    over_all(picture, shape, |shade, place| {
        let thickness = strength * crystals[place];
        shade * (1.0 - thickness) + thickness * 0.9
    })
}

/// Clouds of brightness `strength`, which leave white white.
pub fn fog(picture: &[f64], shape: ImageShape, strength: f64, draws: &Draws) -> Vec<f64> {
    let clouds = clouds(shape, draws);
    over_all(picture, shape, |shade, place| (shade + strength * clouds[place]) / (1.0 + strength))
}

/// Every shade by its place, all channels alike.
fn over_all(picture: &[f64], shape: ImageShape, of: impl Fn(f64, usize) -> f64) -> Vec<f64> {
    let shade = |(at, &shade): (usize, &f64)| of(shade, at % shape.plane()).clamp(0.0, 1.0);
    picture.iter().enumerate().map(shade).collect()
}

/// A random field with structures of all sizes, from 0 to 1: noise at wavelengths of twice each other, the longer the
/// stronger.
fn clouds(shape: ImageShape, draws: &Draws) -> Vec<f64> {
    let mut field = vec![0.0; shape.plane()];
    let longest = shape.height.max(shape.width);
    let octaves = longest.next_power_of_two().trailing_zeros().max(1);
    let drawn = draws.normal(shape.plane() * octaves as usize);
    for (octave, noise) in drawn.chunks(shape.plane()).enumerate() {
        let deviation = longest as f64 / f64::from(1u32 << (octave + 2));
        let smooth = if deviation > 0.3 { blur::gaussian(noise, shape, deviation) } else { noise.to_vec() };
        let size = (smooth.iter().map(|x| x * x).sum::<f64>() / smooth.len() as f64).sqrt();
        let by = if size > 0.0 { 0.5f64.powi(octave as i32) / size } else { 0.0 };
        field.iter_mut().zip(&smooth).for_each(|(sum, x)| *sum += by * x);
    }
    let least = field.iter().copied().fold(f64::INFINITY, f64::min);
    let most = field.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = if most > least { most - least } else { 1.0 };
    field.into_iter().map(|x| (x - least) / range).collect()
}
