//! Pictures whose pixels are not where they were.

use super::{Draws, at, blur, places};
use crate::base::image::ImageShape;

/// How far neighbours are pulled alike, as a part of the picture's shorter side.
const SMOOTHNESS: f64 = 0.12;

/// A picture behind frosted glass: each pixel is seen from up to `reach` pixels away along both axes.
pub fn glass(picture: &[f64], shape: ImageShape, reach: f64, draws: &Draws) -> Vec<f64> {
    let drawn = draws.uniform(2 * shape.plane());
    let [down, over] = [0, 1].map(|axis| {
        let of_axis = drawn[axis * shape.plane()..(axis + 1) * shape.plane()].iter();
        of_axis.map(|u| reach * (2.0 * u - 1.0)).collect::<Vec<f64>>()
    });
    moved(picture, shape, &down, &over)
}

/// A picture that is pulled here and there by a smooth field whose standard deviation is `deviation` pixels.
pub fn elastic(picture: &[f64], shape: ImageShape, deviation: f64, draws: &Draws) -> Vec<f64> {
    let drawn = draws.normal(2 * shape.plane());
    let smooth = SMOOTHNESS * shape.height.min(shape.width) as f64;
    let [down, over] = [0, 1].map(|axis| {
        let mut field =
            blur::gaussian(&drawn[axis * shape.plane()..(axis + 1) * shape.plane()], shape, smooth.max(0.5));
        let square = field.iter().map(|x| x * x).sum::<f64>() / field.len() as f64;
        let by = if square > 0.0 { deviation / square.sqrt() } else { 0.0 };
        field.iter_mut().for_each(|x| *x *= by);
        field
    });
    moved(picture, shape, &down, &over)
}

/// Every pixel from `down` rows below and `over` columns to the right.
fn moved(picture: &[f64], shape: ImageShape, down: &[f64], over: &[f64]) -> Vec<f64> {
    let of_plane = |plane: &[f64]| -> Vec<f64> {
        let of = |((y, x), (dy, dx)): ((usize, usize), (&f64, &f64))| {
            at(plane, shape, y as f64 + dy, x as f64 + dx)
        };
        places(shape).zip(down.iter().zip(over)).map(of).collect()
    };
    picture.chunks(shape.plane()).flat_map(of_plane).collect()
}
